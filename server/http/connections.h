/* The connections that are open: how many, in which stage each is, and since when. From this follow the limit on
 * connections, the deadlines, and the moment at which nothing is under way any more. It knows sockets, and no HTTP
 * library; a connection is named by its socket.
 *
 * Who does what: the acceptor makes room and adds; the I/O threads tell the stages of their connections; the watchdog
 * closes what is too slow; who stops the server waits until it is calm. A socket is closed by the library alone, after
 * connections_gone: so under the lock in here a socket of the table is still that of its connection. To close a
 * connection is to shut its socket down, which the library notices.
 *
 * All functions are thread-safe, but for create and destroy. */
#ifndef SERVER_HTTP_CONNECTIONS_H
#define SERVER_HTTP_CONNECTIONS_H

#include "espalier/error.h"
#include "server/http/stages.h"

/* A stage without a limit may take any time. */
struct connection_limits {
    size_t most;                            /* connections at a time */
    uint64_t header_ms, body_ms, answer_ms; /* how long these stages may take */
    uint64_t idle_ms;                       /* a silent connection is closed after it by the library itself */
};

struct connection_counts {
    size_t open;
    uint64_t accepted, evicted;                       /* evicted: closed while idle, to make room */
    uint64_t late_headers, late_bodies, late_answers; /* closed as the stage took too long */
};

struct connections;

enum esp_status connections_create(struct connections **connections, const struct connection_limits *limits,
                                   struct esp_error *err);
void connections_destroy(struct connections **connections); /* sets the pointer to NULL; NULL is fine */

struct connection_counts connections_count(struct connections *connections);

/* ---- for the acceptor ---- */

/* Returns when there is room for one more. Makes it by closing the connection that has been idle longest, if it has
 * been so for a moment; otherwise it waits until one closes. False when it is all over. */
bool connections_make_room(struct connections *connections);

/* Open files have run out: closes the connection that has been idle longest, if it has been so for a moment. */
void connections_evict(struct connections *connections);

/* A connection was accepted: CONNECTION_NEW until connections_started. False where there is no memory. */
bool connections_add(struct connections *connections, int socket);

/* Nothing will be added any more. */
void connections_close_doors(struct connections *connections);

/* ---- for the I/O threads ---- */

void connections_started(struct connections *connections, int socket);
void connections_gone(struct connections *connections, int socket);

/* The handshake of TLS is over: its bytes were none of a request. */
void connections_greeted(struct connections *connections, int socket);

/* The connection enters a stage. One that was shut down here stays CONNECTION_CLOSING. */
void connections_enter(struct connections *connections, int socket, enum connection_stage stage);

/* Whether it was shut down here, as a stage took too long. */
bool connections_late(struct connections *connections, int socket);

/* ---- for the watchdog ---- */

/* Sleeps for `ms` milliseconds and, if there is no connection, until there is one. False when it is all over. */
bool connections_rest(struct connections *connections, unsigned ms);

/* Shuts down the connections whose stage has taken too long, and looks which idle ones have begun a request. */
void connections_watch(struct connections *connections);

/* ---- for who stops the server ---- */

/* Waits until the doors are closed and no connection is left, or none has had anything to do for a moment, in which a
 * client who was just about to send would have sent. False where that has not come in `ms` milliseconds. */
bool connections_wait_calm(struct connections *connections, uint64_t ms);

/* It is all over: nobody waits in here any longer. */
void connections_end(struct connections *connections);

#endif
