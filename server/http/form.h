/* A form body (multipart/form-data, or urlencoded), taken apart as it arrives. Every part is bounded by what the caller
 * feeds; there are at most FORM_FIELDS_MAX of them. Used by one thread at a time. */
#ifndef SERVER_HTTP_FORM_H
#define SERVER_HTTP_FORM_H

#include "server/http/exchange.h"

enum { FORM_FIELDS_MAX = 32 };

struct MHD_Connection;
struct form;

/* Begins with the boundary that the header names. Answers 400 and gives NULL where it names none. */
struct form *form_open(struct MHD_Connection *connection, struct response *response);
void form_close(struct form **form);

/* The next bytes of the body. Answers and gives false where they are malformed, or have too many fields. */
bool form_feed(struct form *form, const char *bytes, size_t size, struct response *response);

/* The body is over. Answers 400 and gives false where something is missing. The fields live until form_close. */
bool form_finish(struct form *form, struct response *response);
const struct field *form_fields(const struct form *form, size_t *count);

#endif
