/* A form body (multipart/form-data, or urlencoded), taken apart as it arrives. Every part is bounded by what the caller
 * feeds; there are at most FORM_FIELDS_MAX of them. Used by one thread at a time. */
#ifndef SERVER_HTTP_FORM_H
#define SERVER_HTTP_FORM_H

#include "server/http/exchange.h"

enum { FORM_FIELDS_MAX = 32 };

struct MHD_Connection;
struct MHD_PostProcessor;

/* All zero is one that is not open. */
struct form {
    struct MHD_PostProcessor *processor; /* until the body is over */
    struct response *response;           /* of the call under way */
    size_t fed, count;
    struct field fields[FORM_FIELDS_MAX]; /* [count]; their texts are set by form_finish, their lengths before */
    struct bytes text;                    /* name, value, name, value, ... of all fields */
};

/* Begins with the boundary that the header names. Answers 400 and gives false where it names none. */
bool form_open(struct form *form, struct MHD_Connection *connection, struct response *response);

/* Gives back what it holds, and is as it was before form_open; also where it has not been opened. */
void form_close(struct form *form);

/* The next bytes of the body. Answers and gives false where they are malformed, or have too many fields. */
bool form_feed(struct form *form, const char *bytes, size_t size, struct response *response);

/* The body is over. Answers 400 and gives false where something is missing. Otherwise the fields are there, until
 * form_close. */
bool form_finish(struct form *form, struct response *response);

#endif
