#include "server/http/body.h"

#include "server/problem.h"

static bool too_large(const struct body *body, const struct body_limits *limits, size_t size, struct response *response)
{
    if (size <= limits->most - body->received)
        return false;
    problem(response, 413, "the body has more than %zu bytes, which is the limit", limits->most);
    response->close = true;
    return true;
}

/* Memory doubles as it is written to, and what counts is what it takes. A form may take a little more than expected,
 * where it ends what an earlier piece began: that is made good with the next piece. */
static bool hold(struct body *body, enum body_use use, struct body_limits *limits, size_t size)
{
    const struct bytes *grows = use == BODY_FORM ? &body->form.text : &body->bytes;
    return budget_hold(&limits->budget, &body->share, bytes_room(grows, size));
}

static bool keep(struct body *body, enum body_use use, const void *bytes, size_t size, struct response *response)
{
    if (use == BODY_FORM)
        return form_feed(&body->form, bytes, size, response);
    return bytes_append(&body->bytes, bytes, size) || problem(response, 500, "out of memory");
}

enum body_result body_take(struct body *body, enum body_use use, struct body_limits *limits, const void *bytes,
                           size_t size, struct response *response)
{
    enum body_result result = BODY_TAKEN;

    if (use != BODY_DROP) {
        if (too_large(body, limits, size, response))
            result = BODY_REFUSED;
        else if (!hold(body, use, limits, size))
            result = BODY_NO_ROOM;
        else if (!keep(body, use, bytes, size, response))
            result = BODY_REFUSED;
    }
    body->received += size;
    return result;
}

void body_show(struct body *body, struct exchange *exchange)
{
    struct request *request = &exchange->request;

    if (exchange->use == BODY_FORM && form_finish(&body->form, &exchange->response)) {
        request->form = body->form.fields;
        request->form_count = body->form.count;
    }
    request->body = body->bytes.data;
    request->size = body->bytes.size;
}

void body_drop(struct body *body, struct body_limits *limits)
{
    form_close(&body->form);
    bytes_free(&body->bytes);
    budget_hold(&limits->budget, &body->share, 0);
}
