/* Options as members of a JSON object, with strict types: `{"categories": ["cat"], "attention": {"cat": 2.0}, "top":
 * 3}`. Whoever includes this need not know the JSON library. */
#ifndef SERVER_OPTIONS_JSON_H
#define SERVER_OPTIONS_JSON_H

#include "server/options.h"

struct json_t;

/* A JSON object that has been read; all zero is none. */
struct document {
    struct json_t *root;
    struct json_t *taken; /* what document_take_text or document_keep took, or NULL */
};

/* Reads `text`. Answers and gives false where it is no object, malformed (400), or has the same member twice (422). */
bool document_open(struct document *document, const void *text, size_t size, struct response *response);

/* Frees what was read; also where nothing was. */
void document_close(struct document *document);

/* Takes the text of the member `name`; it lives as long as the document, and is no option any more. *text is NULL where
 * there is no such member; one that is no string is 422. */
bool document_take_text(struct document *document, const char *name, const char **text, size_t *length,
                        struct response *response);

/* Keeps a value, NULL for none, alive as long as the document, which has not taken anything else. */
void document_keep(struct document *document, struct json_t *value);

/* The text of the member `name`, which stays an option; NULL where there is none, or it is no string. */
const char *document_text(const struct document *document, const char *name, size_t *length);

/* Takes every member as an option. */
bool document_options(const struct document *document, struct options *options, struct response *response);

#endif
