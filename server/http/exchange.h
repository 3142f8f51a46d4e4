/* A request and its answer, as the handlers see them: nothing here knows which HTTP library carries them.
 *
 * Ownership: an exchange belongs to its connection. One thread at a time has it: the I/O thread that reads the request,
 * then the worker to which a suspended exchange was handed, then the I/O thread again. All that a request points at
 * lives until the answer has gone out, but for its body, which is given back when the answer is there. */
#ifndef SERVER_HTTP_EXCHANGE_H
#define SERVER_HTTP_EXCHANGE_H

#include "espalier/limits.h"
#include "server/http/bytes.h"
#include "server/http/trace.h"
#include "server/times.h"

#include <netinet/in.h>

enum {
    REQUEST_ID_MAX = 128,
    REQUEST_FIELDS_MAX = 32,
    REQUEST_PARAMETERS_MAX = 2,
    RESPONSE_HEADERS_MAX = 16,
    CALLER_MAX = 64,
    HEADER_VALUES_MAX = 1024
};

/* A named value of the query or of a form. Neither text need end with 0; both may hold any byte. */
struct field {
    const char *name;
    size_t name_length;
    const char *value;
    size_t length;
};

/* The first one of that name; NULL where there is none. */
const struct field *field_find(const struct field *fields, size_t count, const char *name);

/* A part of a path; need not end with 0. */
struct parameter {
    const char *text;
    size_t length;
};

struct request {
    const char *method, *path;    /* the path is decoded and has no query */
    const char *content_type;     /* "" where there is none */
    const char *authorization;    /* likewise; a secret */
    const char *inference_header; /* likewise: Inference-Header-Content-Length, as it was sent */
    const char *origin;           /* the page from which a browser asks; "" where there is none */
    const char *wanted_method;    /* Access-Control-Request-Method; likewise */
    struct parameter parameters[REQUEST_PARAMETERS_MAX]; /* what stands for each {...} of the route's path, in `path`;
                                                            NULL where there is none */
    char id[REQUEST_ID_MAX + 1];                         /* the client's, or one of our own */
    struct field query[REQUEST_FIELDS_MAX];
    size_t query_count;
    const struct field *form; /* the fields of a form body; files are fields, too */
    size_t form_count;
    const uint8_t *body; /* of any other body; NULL where it is empty */
    size_t size;
};

/* Whether the request's media type is `type` ("application/json"), whatever parameters it has. */
bool request_is(const struct request *request, const char *type);

struct header {
    const char *name;  /* lives as long as the program */
    const char *value; /* in the response's `values` */
};

/* All zero is one without an answer. It must not be copied: it points into itself. */
struct response {
    unsigned status; /* 0: there is no answer yet */
    const char *type;
    const char *body; /* [size], in `text` or a text of the program */
    size_t size;
    struct bytes text; /* a body that was written for this answer */
    bool close;        /* the connection after it */
    struct header headers[RESPONSE_HEADERS_MAX];
    size_t header_count, values_size;
    char values[HEADER_VALUES_MAX];
};

/* Gives the answer; `body` must live as long as the program. */
void response_static(struct response *response, unsigned status, const char *type, const char *body, size_t size);

/* Begins an answer whose body is to be written, and adds to it; false where there is no memory. */
void response_begin(struct response *response, unsigned status, const char *type);
bool response_append(struct response *response, const void *bytes, size_t size);

/* Adds a header. One that would not fit is left out: a cut value would say something else. */
__attribute__((format(printf, 3, 4))) void response_header(struct response *response, const char *name,
                                                           const char *format, ...);

/* Takes the answer back, and gives back the memory of its body. */
void response_clear(struct response *response);

/* What to do with a request's body. */
enum body_use {
    BODY_DROP,  /* nothing: read it and forget it */
    BODY_BYTES, /* collect it into request.body */
    BODY_FORM   /* take it apart into request.form */
};

/* What has been done for a request on the way to its answer: for the log. */
struct exchange_work {
    bool queued, ran; /* it has waited in the queue; an instance has run for it */
    char model[ESP_NAME_MAX + 1];
    struct times times;
    uint64_t macs, macs_full;
    size_t branches, batch;
    size_t beam;          /* of a search; 0 for none */
    uint64_t budget_macs; /* likewise */
};

struct route;

struct exchange {
    struct request request;
    struct response response;
    enum body_use use;         /* set when the headers are there */
    const struct route *route; /* NULL where there is none */
    struct trace trace;
    char client[INET6_ADDRSTRLEN]; /* the address, in digits; "" where the header never was complete */
    char caller[CALLER_MAX];       /* the name of the token that it brought; "" for none */
    uint64_t begun_ns;             /* by the clock of clock.h, when the request line was there */
    uint64_t bytes_in;             /* of the body, as far as it has come */
    struct exchange_work work;
    bool dropped;     /* its client was gone while it waited, so that nobody did anything for it */
    bool out_of_room; /* its 429 is because the bodies of others take all of queue-bytes */
};

/* How an exchange was over. */
enum exchange_end {
    END_SENT,      /* the system has taken all of the answer */
    END_CANCELLED, /* the client went away before that */
    END_TIMEOUT,   /* the connection was closed, as the client took too long to send or to read */
    END_CLOSED     /* it was closed for another reason: a body that does not end, or the server stops */
};

#endif
