#include "server/handlers/input.h"

#include "espalier/image.h"
#include "server/options_json.h"
#include "server/options_text.h"
#include "server/problem.h"

#include <string.h>

static bool is(const struct field *field, const char *name)
{
    return field->name_length == strlen(name) && !memcmp(field->name, name, field->name_length);
}

static void give_picture(struct job *job, enum picture_form form, const void *bytes, size_t size)
{
    job->pictures.form = form;
    job->pictures.count = 1;
    job->pictures.list[0] = (struct picture){bytes, size};
}

/* ---- which network ---- */

/* Where JSON can stand: the body, or a form's field for it. */
static bool open_document(const struct request *request, struct job *job, bool with_image, struct response *response)
{
    const struct field *options = field_find(request->form, request->form_count, "options");

    if (options)
        return document_open(&job->document, options->value, options->length, response);
    if (request->form || !request_is(request, "application/json") || (!request->size && !with_image))
        return true;
    return request->size ? document_open(&job->document, request->body, request->size, response)
                         : problem(response, 400, "the body is empty; send JSON with an image");
}

/* The other options name nodes of the network, so this one is looked for first, wherever it may stand. NULL: nowhere.
 */
static const char *find_model(const struct request *request, const struct job *job, size_t *length)
{
    const struct field *field = field_find(request->query, request->query_count, "model");

    if (!field)
        field = field_find(request->form, request->form_count, "model");
    if (!field)
        return job->document.root ? document_text(&job->document, "model", length) : NULL;
    *length = field->length;
    return field->value;
}

static bool choose_network(struct service *service, const struct request *request, struct job *job,
                           struct response *response)
{
    size_t length = 0;
    const char *name = find_model(request, job, &length);

    if (job_choose(service->jobs, job, name, length)) {
        options_begin(&job->options, service->settings->timeout_ms);
        return true;
    }
    return service_no_model(service, name, length, response);
}

/* ---- the query ---- */

static bool read_query(const struct request *request, struct job *job, struct response *response)
{
    for (size_t i = 0; i < request->query_count; i++)
        if (!options_text(&job->options, &request->query[i], response))
            return false;
    return true;
}

/* ---- JSON ---- */

static bool read_json(struct job *job, bool with_image, struct response *response)
{
    const char *text = NULL;
    size_t length = 0;

    if (with_image && !document_take_text(&job->document, "image", &text, &length, response))
        return false;
    if (with_image && length == 0)
        return problem(response, 400, "there is no image; give it as base64 in the member \"image\"");
    give_picture(job, PICTURE_BASE64, text, length);
    return document_options(&job->document, &job->options, response);
}

/* ---- forms ---- */

static bool read_image_field(const struct field *field, struct job *job, struct response *response)
{
    if (job->pictures.count)
        return problem(response, 422, "there are two images; give one");
    give_picture(job, PICTURE_JPEG, field->value, field->length);
    return true;
}

static bool read_form(const struct request *request, struct job *job, bool with_image, struct response *response)
{
    unsigned documents = 0;

    for (size_t i = 0; i < request->form_count; i++) {
        const struct field *field = &request->form[i];
        bool read;
        if (with_image && is(field, "image"))
            read = read_image_field(field, job, response);
        else if (is(field, "options"))
            read = documents++ ? problem(response, 422, "the field options is given twice")
                               : document_options(&job->document, &job->options, response);
        else
            read = options_text(&job->options, field, response);
        if (!read)
            return false;
    }
    return true;
}

/* ---- pictures ---- */

/* What the bytes are counts, not what the client calls them. */
static bool check_image(const struct pictures *pictures, struct response *response)
{
    const struct picture *image = &pictures->list[0];

    if (pictures->count == 0 || image->size == 0)
        return problem(response, 400, "there is no image; send a JPEG as the body or as the form's field \"image\"");
    if (pictures->form == PICTURE_BASE64 || esp_image_is_jpeg(image->bytes, image->size))
        return true;
    const char *format = esp_image_format(image->bytes, image->size);
    if (format)
        return problem(response, 415, "the image is a %s; send a JPEG", format);
    return problem(response, 415, "the bytes are not a JPEG's");
}

static bool read_bytes(const struct request *request, struct job *job, bool with_image, struct response *response)
{
    if (!with_image && request->size)
        return problem(response, 415, "send the options as JSON, as a form or in the query");
    give_picture(job, PICTURE_JPEG, request->body, request->size);
    return true;
}

static bool read_body(const struct request *request, struct job *job, bool with_image, struct response *response)
{
    if (request->form)
        return read_form(request, job, with_image, response);
    if (job->document.root)
        return read_json(job, with_image, response);
    return read_bytes(request, job, with_image, response);
}

bool input_read(struct service *service, const struct request *request, struct job *job, bool with_image,
                struct response *response)
{
    return open_document(request, job, with_image, response) && choose_network(service, request, job, response) &&
           read_query(request, job, response) && read_body(request, job, with_image, response) &&
           (!with_image || check_image(&job->pictures, response)) && options_finish(&job->options, response);
}
