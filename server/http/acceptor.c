#include "server/http/acceptor.h"

#include "server/clock.h"
#include "server/http/listener.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    HANDSHAKE_MS = 100, /* for the last packet of those who are just connecting when the last call comes */
    PAUSE_MS = 50       /* before trying again, when open files or memory have run out */
};

struct acceptor {
    pthread_t thread;
    struct acceptor_parts parts;
    int wake; /* an eventfd, readable from the last call or the end on */
    atomic_bool last_call;
};

/* ---- one connection ---- */

/* Errors of a connection that has broken off before it was accepted; the next one is another matter. */
static bool about_one_client(int why)
{
    switch (why) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EOPNOTSUPP: return true;
    default: return false;
    }
}

/* Where there are no open files or no memory left, an idle connection may give its own back; the client waits in the
 * backlog meanwhile. */
static void after_failure(struct acceptor *acceptor, int why)
{
    if (why == EAGAIN || about_one_client(why))
        return;
    connections_evict(acceptor->parts.connections);
    clock_sleep_ms(PAUSE_MS);
}

static void accept_one(struct acceptor *acceptor)
{
    const struct acceptor_parts *parts = &acceptor->parts;
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    int socket = accept4(parts->listening, (struct sockaddr *)&peer, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (socket < 0)
        after_failure(acceptor, errno);
    else if (connections_add(parts->connections, socket))
        parts->take(parts->context, socket, (const struct sockaddr *)&peer, length);
    else
        close(socket);
}

/* ---- the thread ---- */

/* Room is made only when somebody wants it. False where the last call is over: those who came have been accepted, and
 * no others come. */
static bool wait_for_client(struct acceptor *acceptor)
{
    bool last_call = atomic_load(&acceptor->last_call);
    struct pollfd events[] = {{acceptor->parts.listening, POLLIN, 0}, {acceptor->wake, POLLIN, 0}};
    int ready = poll(events, last_call ? 1 : 2, last_call ? HANDSHAKE_MS : -1);

    return !last_call || ready != 0;
}

static void *accept_all(void *context)
{
    struct acceptor *acceptor = context;
    struct connections *connections = acceptor->parts.connections;

    while (wait_for_client(acceptor) && connections_make_room(connections))
        accept_one(acceptor);
    shutdown(acceptor->parts.listening, SHUT_RDWR); /* who connects now is refused rather than left waiting */
    connections_close_doors(connections);
    return NULL;
}

/* ---- life ---- */

static enum esp_status fail(struct acceptor **acceptor, struct esp_error *err)
{
    if ((*acceptor)->wake >= 0)
        close((*acceptor)->wake);
    free(*acceptor);
    *acceptor = NULL;
    return esp_fail(err, ESP_ERROR_IO, "the thread that accepts connections could not be started");
}

enum esp_status acceptor_start(struct acceptor **acceptor, const struct acceptor_parts *parts, struct esp_error *err)
{
    struct acceptor *made = *acceptor = malloc(sizeof *made);

    if (!made)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    *made = (struct acceptor){.parts = *parts, .wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (made->wake < 0 || pthread_create(&made->thread, NULL, accept_all, made) != 0)
        return fail(acceptor, err);
    return ESP_OK;
}

void acceptor_last_call(struct acceptor *acceptor)
{
    listener_refuse(acceptor->parts.listening);
    atomic_store(&acceptor->last_call, true);
    eventfd_write(acceptor->wake, 1);
}

void acceptor_stop(struct acceptor **acceptor)
{
    struct acceptor *stopped = *acceptor;

    if (!stopped)
        return;
    eventfd_write(stopped->wake, 1);
    pthread_join(stopped->thread, NULL);
    close(stopped->wake);
    free(stopped);
    *acceptor = NULL;
}
