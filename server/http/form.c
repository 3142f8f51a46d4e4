#include "server/http/form.h"

#include "server/problem.h"

#include <microhttpd.h>
#include <string.h>
#include <strings.h>

enum { LINE_BUFFER = 8192 };

/* What was malformed is dropped at once: the rest of the body is only read to its end. */
static enum MHD_Result stop(struct form *form, unsigned status, const char *text)
{
    problem(form->response, status, "%s", text);
    return MHD_NO;
}

static bool plain(const char *transfer_encoding)
{
    return !transfer_encoding || !strcasecmp(transfer_encoding, "binary") || !strcasecmp(transfer_encoding, "8bit") ||
           !strcasecmp(transfer_encoding, "7bit");
}

static bool begin_part(struct form *form, const char *name)
{
    size_t length = strlen(name);

    if (!bytes_append(&form->text, name, length))
        return false;
    form->fields[form->count++] = (struct field){.name_length = length};
    return true;
}

/* Whether a piece at offset 0 goes on with the last part. The library calls with nothing, and later with offset 0
 * again, where the bytes that had arrived ended just inside a part. A second part of the same name behind an empty one
 * looks the same and is taken for one, too. */
static bool goes_on(const struct form *form, const char *name)
{
    const struct field *last = form->count ? &form->fields[form->count - 1] : NULL;

    if (!last || last->length > 0 || last->name_length != strlen(name))
        return false;
    return last->name_length == 0 ||
           !memcmp(form->text.data + form->text.size - last->name_length, name, last->name_length);
}

/* Parts come one after the other, so only the last one grows. */
static bool append(struct form *form, const char *bytes, size_t size)
{
    if (!bytes_append(&form->text, bytes, size))
        return false;
    form->fields[form->count - 1].length += size;
    return true;
}

/* The text grows no more, so it can be pointed at. */
static void set_texts(struct form *form)
{
    const char *at = form->text.data ? (const char *)form->text.data : "";

    for (struct field *field = form->fields; field < form->fields + form->count; field++) {
        field->name = at;
        field->value = at += field->name_length;
        at += field->length;
    }
}

/* Called for each piece of a part; `offset` is 0 for its first one. */
static enum MHD_Result take(void *context, enum MHD_ValueKind kind, const char *name, const char *filename,
                            const char *type, const char *transfer_encoding, const char *bytes, uint64_t offset,
                            size_t size)
{
    struct form *form = context;

    (void)kind;
    (void)filename;
    (void)type;
    if (!plain(transfer_encoding))
        return stop(form, 415, "a part's Content-Transfer-Encoding is not understood; send the part as it is");
    bool begins = offset == 0 && !goes_on(form, name ? name : "");
    if (begins && form->count == FORM_FIELDS_MAX)
        return stop(form, 422, "the form has too many fields");
    if (begins && !begin_part(form, name ? name : ""))
        return stop(form, 500, "out of memory");
    if (!append(form, bytes, size))
        return stop(form, 500, "out of memory");
    return MHD_YES;
}

bool form_open(struct form *form, struct MHD_Connection *connection, struct response *response)
{
    form->processor = MHD_create_post_processor(connection, LINE_BUFFER, take, form);
    return form->processor || problem(response, 400, "the form's Content-Type names no usable boundary");
}

bool form_feed(struct form *form, const char *bytes, size_t size, struct response *response)
{
    form->response = response;
    form->fed += size;
    if (MHD_post_process(form->processor, bytes, size) == MHD_YES)
        return true;
    return response->status ? false : problem(response, 400, "the form is malformed");
}

bool form_finish(struct form *form, struct response *response)
{
    form->response = response;
    /* The last piece of an urlencoded form comes out here. */
    enum MHD_Result complete = MHD_destroy_post_processor(form->processor);
    form->processor = NULL;
    set_texts(form);
    if (complete == MHD_YES || (form->fed == 0 && !response->status))
        return true;
    return response->status
               ? false
               : problem(response, 400, "the form is incomplete: it ends before its last boundary or value");
}

void form_close(struct form *form)
{
    if (form->processor) {
        struct response unread = {0}; /* the last piece may complain; nobody listens any more */
        form->response = &unread;
        MHD_destroy_post_processor(form->processor);
        response_clear(&unread);
    }
    bytes_free(&form->text);
    form->processor = NULL;
    form->fed = form->count = 0;
}
