/* The one line that a request leaves in the log. Thread-safe. */
#ifndef SERVER_LOG_REQUEST_LINE_H
#define SERVER_LOG_REQUEST_LINE_H

#include "server/log/log.h"

/* How it was over. */
enum request_end {
    REQUEST_SENT,      /* its answer went out completely */
    REQUEST_CANCELLED, /* the client went away before */
    REQUEST_TIMEOUT,   /* the client was too slow and the connection was closed */
    REQUEST_CLOSED     /* the connection was closed for another reason, such as a body that does not end */
};

/* All plain data. What does not apply is left zero, and out of the line. There is no place for the query, the headers
 * and the body, on purpose: see log.h. */
struct request_record {
    const char *id;
    const char *trace_id, *span_id, *parent_span_id;
    const char *client; /* address */
    const char *token;  /* the name of the one that it brought */
    const char *method, *path;
    const char *route; /* the pattern that the path fits, as the metrics name it */
    unsigned status;   /* 0: nothing was answered */
    enum request_end end;
    uint64_t bytes_in, bytes_out; /* bodies; always in the line */
    double duration_ms;           /* from the request line to the end; always in the line */
    const char *model;            /* name */
    bool queued;                  /* it waited for an instance: queue_ms applies */
    bool ran;                     /* the network ran for it: so does what follows */
    double queue_ms, decode_ms, preprocess_ms, trunk_ms, branches_ms;
    uint64_t macs, macs_full;
    uint64_t branches, batch;   /* that ran; images that ran together */
    uint64_t beam, budget_macs; /* of a search; not in the line where 0 */
    const char *problem;        /* the text of an error's answer */
};

/* The level is `error` for our own faults (500 and the like), `warn` where the service was overloaded, stopping or too
 * late (429, 503, 504) or a client timed out, otherwise `info`. */
void log_request(struct log *log, const struct request_record *record);

#endif
