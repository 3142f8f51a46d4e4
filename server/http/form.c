#include "server/http/form.h"

#include "server/http/bytes.h"
#include "server/problem.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LINE_BUFFER = 8192 };

struct form {
    struct MHD_PostProcessor *processor;
    struct response *response; /* of the call under way, for take() */
    size_t fed, count;
    struct field fields[FORM_FIELDS_MAX];
    struct bytes parts[FORM_FIELDS_MAX]; /* what the fields' values point at */
};

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
    char *copy = strdup(name);
    if (!copy)
        return false;
    form->fields[form->count++] = (struct field){.name = copy, .name_length = strlen(copy), .value = ""};
    return true;
}

/* Whether a piece at offset 0 goes on with the last part. The library calls with nothing, and later with offset 0
 * again, where the bytes that had arrived ended just inside a part. A second part of the same name behind an empty one
 * looks the same and is taken for one, too. */
static bool goes_on(const struct form *form, const char *name)
{
    const struct field *last = form->count ? &form->fields[form->count - 1] : NULL;
    return last && last->length == 0 && strcmp(last->name, name) == 0;
}

static bool append(struct field *field, struct bytes *part, const char *bytes, size_t size)
{
    if (!bytes_append(part, bytes, size))
        return false;
    field->value = part->data ? (const char *)part->data : "";
    field->length = part->size;
    return true;
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
    size_t last = form->count - 1;
    if (!append(&form->fields[last], &form->parts[last], bytes, size))
        return stop(form, 500, "out of memory");
    return MHD_YES;
}

struct form *form_open(struct MHD_Connection *connection, struct response *response)
{
    struct form *form = calloc(1, sizeof *form);

    if (form)
        form->processor = MHD_create_post_processor(connection, LINE_BUFFER, take, form);
    if (form && form->processor)
        return form;
    free(form);
    problem(response, 400, "the form's Content-Type names no usable boundary");
    return NULL;
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
    if (complete == MHD_YES || (form->fed == 0 && !response->status))
        return true;
    return response->status
               ? false
               : problem(response, 400, "the form is incomplete: it ends before its last boundary or value");
}

const struct field *form_fields(const struct form *form, size_t *count)
{
    *count = form->count;
    return form->fields;
}

void form_close(struct form **form)
{
    if (!*form)
        return;
    if ((*form)->processor) {
        struct response unread = {0}; /* the last piece may complain; nobody listens any more */
        (*form)->response = &unread;
        MHD_destroy_post_processor((*form)->processor);
        response_clear(&unread);
    }
    for (size_t i = 0; i < (*form)->count; i++) {
        free((char *)(*form)->fields[i].name);
        bytes_free(&(*form)->parts[i]);
    }
    free(*form);
    *form = NULL;
}
