#include "server/http/transport.h"

#include "server/http/acceptor.h"
#include "server/http/conversation.h"
#include "server/http/watchdog.h"

#include <stdlib.h>

struct transport {
    struct conversation_parts parts;
    struct tls *tls; /* NULL: plain HTTP */
    struct MHD_Daemon *daemon;
    struct acceptor *acceptor;
    struct watchdog *watchdog;
};

/* ---- connections, from the acceptor to the library and back ---- */

/* The library closes the socket where it can't take it over. */
static void take_connection(void *context, int socket, const struct sockaddr *peer, socklen_t length)
{
    struct transport *transport = context;

    if (MHD_add_connection(transport->daemon, socket, peer, length) != MHD_YES)
        connections_gone(transport->parts.connections, socket);
}

static struct tls_identity *secure(struct transport *transport, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return tls_begin(transport->tls, info->tls_session, transport->parts.connections);
}

/* The library calls this on the thread that will serve the connection, before its handshake, if any; and before it
 * closes the socket, when the session of TLS is gone. */
static void on_connection(void *context, struct MHD_Connection *connection, void **slot,
                          enum MHD_ConnectionNotificationCode code)
{
    struct transport *transport = context;
    int socket = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *slot = transport->tls ? secure(transport, connection) : NULL;
        connections_started(transport->parts.connections, socket);
    } else {
        tls_end(*slot);
        connections_gone(transport->parts.connections, socket);
    }
}

/* ---- life ---- */

/* The library splits its limit evenly among its threads; ours, which counts all of them, has to come first. */
static struct MHD_Daemon *start_daemon(struct transport *transport, const struct transport_settings *settings)
{
    unsigned threads = settings->threads < settings->connections ? settings->threads : settings->connections;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)settings->connections * threads, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, settings->idle_timeout, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)settings->header_max, NULL},
        {MHD_OPTION_PER_IP_CONNECTION_LIMIT, settings->per_address, NULL},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, transport},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)conversation_close, &transport->parts},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)conversation_open, &transport->parts},
        {MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},                                     /* HTTP/1.1 without Host is 400 */
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads, NULL}, /* a pool of one is no pool */
        {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem secure_options[] = {{MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)tls_priorities},
                                              {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, tls_no_certificate()},
                                              {MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET;

    return MHD_start_daemon(flags | (transport->tls ? MHD_USE_TLS : 0), 0, NULL, NULL, conversation_call,
                            &transport->parts, MHD_OPTION_ARRAY, options,
                            transport->tls ? MHD_OPTION_ARRAY : MHD_OPTION_END, secure_options, MHD_OPTION_END);
}

static enum esp_status open_parts(struct transport *transport, const struct transport_settings *settings,
                                  const struct application *application, struct esp_error *err)
{
    struct conversation_parts *parts = &transport->parts;
    struct connection_limits limits = {.most = settings->connections,
                                       .header_ms = settings->header_ms,
                                       .body_ms = settings->body_ms,
                                       .answer_ms = settings->send_ms,
                                       .idle_ms = (uint64_t)settings->idle_timeout * 1000};

    parts->application = *application;
    parts->limits.most = settings->body_max;
    parts->limits.budget.limit = settings->bodies_max;
    parts->trusted = settings->trusted;
    parts->cors = settings->cors;
    transport->tls = settings->tls;
    return connections_create(&parts->connections, &limits, err);
}

static enum esp_status start_threads(struct transport *transport, const struct transport_settings *settings,
                                     struct esp_error *err)
{
    const struct conversation_parts *parts = &transport->parts;
    struct watchdog_task sweep = {parts->application.sweep, parts->application.context};
    struct acceptor_parts accepting = {.listening = settings->socket,
                                       .connections = parts->connections,
                                       .context = transport,
                                       .take = take_connection};

    transport->daemon = start_daemon(transport, settings);
    if (!transport->daemon)
        return esp_fail(err, ESP_ERROR_IO, "the HTTP threads could not be started");
    enum esp_status status = watchdog_start(&transport->watchdog, parts->connections, sweep, err);
    return status == ESP_OK ? acceptor_start(&transport->acceptor, &accepting, err) : status;
}

enum esp_status transport_start(struct transport **transport, const struct transport_settings *settings,
                                const struct application *application, struct esp_error *err)
{
    struct transport *made = *transport = calloc(1, sizeof *made);

    if (!made)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    enum esp_status status = open_parts(made, settings, application, err);
    if (status == ESP_OK)
        status = start_threads(made, settings, err);
    if (status != ESP_OK)
        transport_stop(transport);
    return status;
}

void transport_last_call(struct transport *transport)
{
    atomic_store(&transport->parts.draining, true);
    acceptor_last_call(transport->acceptor);
}

bool transport_wait(struct transport *transport, uint64_t ms)
{
    return connections_wait_calm(transport->parts.connections, ms);
}

/* The library comes last: the others use it, or sockets that are its own. */
void transport_stop(struct transport **transport)
{
    struct transport *stopped = *transport;

    if (!stopped)
        return;
    if (stopped->parts.connections)
        connections_end(stopped->parts.connections);
    acceptor_stop(&stopped->acceptor);
    watchdog_stop(&stopped->watchdog);
    if (stopped->daemon)
        MHD_stop_daemon(stopped->daemon);
    connections_destroy(&stopped->parts.connections);
    free(stopped);
    *transport = NULL;
}

struct transport_counts transport_count(struct transport *transport)
{
    struct budget *budget = &transport->parts.limits.budget;

    return (struct transport_counts){.connections = connections_count(transport->parts.connections),
                                     .body_bytes = atomic_load(&budget->held),
                                     .body_bytes_max = budget->limit};
}
