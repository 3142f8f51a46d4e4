/* A request's body as it arrives: collected, taken apart as a form, or read and forgotten. Used by one thread at a
 * time.
 */
#ifndef SERVER_HTTP_BODY_H
#define SERVER_HTTP_BODY_H

#include "server/http/budget.h"
#include "server/http/form.h"

/* What bounds bodies; the same for all requests. */
struct body_limits {
    size_t most; /* bytes of one body */
    struct budget budget;
};

/* All zero is one of which nothing has come. */
struct body {
    struct form form;   /* one that is a form, opened by the caller */
    struct bytes bytes; /* any other */
    size_t received;    /* bytes, those that were forgotten included */
    size_t share;       /* of the budget */
};

enum body_result {
    BODY_TAKEN,
    BODY_REFUSED, /* it is too large or malformed: the problem is in the response */
    BODY_NO_ROOM  /* the bodies of others take the whole budget */
};

/* The next bytes. After a result other than BODY_TAKEN, body_drop is due, and `use` is BODY_DROP from then on. */
enum body_result body_take(struct body *body, enum body_use use, struct body_limits *limits, const void *bytes,
                           size_t size, struct response *response);

/* The body is complete: shows it to the handlers, who may look at it until body_drop. Answers where a form is
 * incomplete. */
void body_show(struct body *body, struct exchange *exchange);

/* Gives back all that is held, also the share of the budget. */
void body_drop(struct body *body, struct body_limits *limits);

#endif
