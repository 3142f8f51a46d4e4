/* The HTTP server: connections, headers, bodies and answers. Together with the other rooms of this folder it is all
 * that knows libmicrohttpd.
 *
 * A request goes through the application's functions in this order, all on one of the I/O threads:
 *
 *     admit     the headers are there. It looks up the route and says what becomes of the body (exchange->use); it may
 *               answer already: then the body is read and forgotten, or the connection is closed after the answer.
 * After a 429 it is read and forgotten whatever its size, so that the client sees the answer and may try again. handle
 * the body is there, too. It answers, or it calls exchange_suspend() and hands the exchange to a worker, which answers
 * and calls exchange_resume(). finished  the exchange is over, one way or the other. Where nothing was answered, its
 * response.status is 0; where not even the header was complete, its request.method is NULL.
 *
 * The first two are not called where the client breaks off before, or where the transport itself answers (400 framing,
 * 413, 415, 429 for queue-bytes); the last one is called for every request whose first line has come. */
#ifndef SERVER_HTTP_TRANSPORT_H
#define SERVER_HTTP_TRANSPORT_H

#include "espalier/error.h"
#include "server/http/client_address.h"
#include "server/http/connections.h"
#include "server/http/cors.h"
#include "server/http/exchange.h"
#include "server/http/tls.h"

struct application {
    void *context;
    void (*admit)(void *context, struct exchange *exchange);
    void (*handle)(void *context, struct exchange *exchange);
    void (*finished)(void *context, const struct exchange *exchange, enum exchange_end end);
    unsigned (*retry_ms)(void *context); /* when a client who is refused for now had better come back */
    /* Called every few milliseconds while there are connections, by a thread of its own, alongside the others; or NULL.
     */
    void (*sweep)(void *context);
};

struct transport_settings {
    int socket; /* listening and non-blocking; it stays the caller's, to be closed after transport_stop */
    unsigned threads, connections;
    unsigned idle_timeout;                /* seconds */
    uint64_t header_ms, body_ms, send_ms; /* how long a header, a body, and taking the answer may take */
    size_t body_max;                      /* bytes of one body */
    size_t bodies_max;                    /* bytes that all of them may take at a time */
    size_t header_max;                    /* bytes of memory for a request's header */
    unsigned per_address;                 /* connections of one address at a time; 0: as many as there are */
    const struct trusted *trusted;        /* whose X-Forwarded-For is believed; must outlive the transport */
    struct tls *tls;                      /* NULL: plain HTTP; likewise */
    const struct cors *cors;              /* NULL: no word of CORS; likewise */
};

struct transport_counts {
    struct connection_counts connections;
    size_t body_bytes, body_bytes_max; /* that the bodies of all requests take now; that they may take */
};

struct transport;

enum esp_status transport_start(struct transport **transport, const struct transport_settings *settings,
                                const struct application *application, struct esp_error *err);

/* Takes no connections but those of clients who have connected already, and closes each one after the answer that it
 * waits for. Returns at once. */
void transport_last_call(struct transport *transport);

/* After transport_last_call: waits until no request is under way and none seems to be coming; false where that has not
 * happened in `ms` milliseconds. */
bool transport_wait(struct transport *transport, uint64_t ms);

/* Closes everything at once. No exchange may be suspended any more. Sets the pointer to NULL; NULL is fine. */
void transport_stop(struct transport **transport);

/* Thread-safe. */
struct transport_counts transport_count(struct transport *transport);

/* The connection sleeps until exchange_resume(); called from `handle`, before anyone else hears of the exchange. */
void exchange_suspend(struct exchange *exchange);

/* The answer is in exchange->response. Whoever calls this must not touch the exchange afterwards. Thread-safe. */
void exchange_resume(struct exchange *exchange);

/* For whoever has the exchange, suspended ones included: the socket of its connection, to be polled and nothing else.
 */
int exchange_socket(const struct exchange *exchange);

/* Whether the client has closed its end, or only the direction in which it sends, since it sent the request. Nobody
 * would tell of a suspended exchange. */
bool exchange_client_gone(const struct exchange *exchange);

#endif
