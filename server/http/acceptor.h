/* A thread that accepts connections, as many as there may be at a time; who connects beyond that waits in the system's
 * backlog. It is ours and not the library's, whose way to stop listening does not go well with several threads under
 * load, and loses those who are in the backlog. */
#ifndef SERVER_HTTP_ACCEPTOR_H
#define SERVER_HTTP_ACCEPTOR_H

#include "server/http/connections.h"

#include <sys/socket.h>

struct acceptor_parts {
    int listening; /* stays the caller's */
    struct connections *connections;
    void *context;
    /* Takes over a socket that is in `connections`, non-blocking and closed on exec. */
    void (*take)(void *context, int socket, const struct sockaddr *peer, socklen_t length);
};

struct acceptor;

enum esp_status acceptor_start(struct acceptor **acceptor, const struct acceptor_parts *parts, struct esp_error *err);

/* Accepts those who have connected already, lets no others connect, and closes the doors of `connections` then. Returns
 * at once. */
void acceptor_last_call(struct acceptor *acceptor);

/* After connections_end. Whoever is not accepted yet is refused. Sets the pointer to NULL; NULL is fine. */
void acceptor_stop(struct acceptor **acceptor);

#endif
