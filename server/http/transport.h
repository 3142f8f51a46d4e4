/* The HTTP server: connections, headers, bodies and answers. Together with form.c and framing.c it is all that knows
 * libmicrohttpd.
 *
 * A request goes through the application's functions in this order, all on one of the I/O threads:
 *
 *     admit     the headers are there. It looks up the route and says what becomes of the body (exchange->use); it may
 *               answer already: then the body is read and forgotten, or the connection is closed after the answer.
 *     handle    the body is there, too. It answers, or it calls exchange_suspend() and hands the exchange to a worker,
 *               which answers and calls exchange_resume().
 *     answered  the answer is complete and on its way.
 *
 * Not all of them are called where the client breaks off, or where the transport itself answers (400 framing, 413,
 * 415). */
#ifndef SERVER_HTTP_TRANSPORT_H
#define SERVER_HTTP_TRANSPORT_H

#include "espalier/error.h"
#include "server/http/exchange.h"

struct application {
    void *context;
    void (*admit)(void *context, struct exchange *exchange);
    void (*handle)(void *context, struct exchange *exchange);
    void (*answered)(void *context, const struct exchange *exchange);
};

struct transport_settings {
    int socket; /* listening; it stays the caller's, to be closed after transport_stop */
    unsigned threads, connections;
    unsigned idle_timeout; /* seconds */
    size_t body_max;       /* bytes */
};

struct transport;

enum esp_status transport_start(struct transport **transport, const struct transport_settings *settings,
                                const struct application *application, struct esp_error *err);

/* Takes no new connections, and closes each one after the answer that it waits for. */
void transport_quiesce(struct transport *transport);

/* Requests whose answer has not gone out yet. Thread-safe. */
size_t transport_in_flight(struct transport *transport);

/* Closes everything at once. No exchange may be suspended any more. */
void transport_stop(struct transport **transport);

/* The connection sleeps until exchange_resume(); called from `handle`, before anyone else hears of the exchange. */
void exchange_suspend(struct exchange *exchange);

/* The answer is in exchange->response. Whoever calls this must not touch the exchange afterwards. Thread-safe. */
void exchange_resume(struct exchange *exchange);

/* The socket of the client; valid while the exchange is suspended. */
int exchange_socket(const struct exchange *exchange);

#endif
