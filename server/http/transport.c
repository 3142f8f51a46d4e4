#include "server/http/transport.h"

#include "server/clock.h"
#include "server/http/buffers.h"
#include "server/http/form.h"
#include "server/http/framing.h"
#include "server/http/request_id.h"
#include "server/problem.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum {
    /* A refused body up to this size is read to its end, so that the connection can be used again; before a larger one
     * the answer goes out at once and the connection is closed. */
    DRAIN_MAX = 64 << 10,
    /* A chunked body tells its size only by arriving, and no answer can be given in the middle of it: so much over the
     * limit is read and forgotten before the connection is closed without one. */
    EXCESS_MAX = 8 << 20,
    CONNECTION_MEMORY = 64 << 10 /* for the header and as read buffer; longer headers are 431 */
};

enum stage { AT_HEADERS, AT_BODY, AT_WORK };

struct transport {
    struct MHD_Daemon *daemon;
    struct application application;
    size_t body_max;
    atomic_bool draining;
    atomic_size_t in_flight;
};

/* A request on its connection. `exchange` comes first: the two have one address. */
struct conversation {
    struct exchange exchange;
    struct transport *transport;
    struct MHD_Connection *connection;
    enum stage stage;
    bool nul_in_path, suspended;
    struct form form;  /* a body that is one */
    struct bytes body; /* any other */
    size_t received;   /* bytes of the body, those that were dropped included */
};

/* Called with the request line: each request gets its conversation here, as the library decodes the path and would cut
 * it at an encoded NUL. */
static void *open_conversation(void *context, const char *uri, struct MHD_Connection *connection)
{
    struct conversation *talk = buffer_take(sizeof *talk);
    const char *nul = strstr(uri, "%00"), *query = strchr(uri, '?');

    if (!talk)
        return NULL;
    memset(talk, 0, sizeof *talk); /* nothing of an earlier request is left */
    talk->transport = context;
    talk->connection = connection;
    talk->exchange.request.begun_ns = clock_now();
    talk->nul_in_path = nul && (!query || nul < query);
    atomic_fetch_add(&talk->transport->in_flight, 1);
    return talk;
}

static void close_conversation(void *context, struct MHD_Connection *connection, void **slot,
                               enum MHD_RequestTerminationCode code)
{
    struct conversation *talk = *slot;

    (void)context;
    (void)connection;
    (void)code;
    if (!talk)
        return;
    atomic_fetch_sub(&talk->transport->in_flight, 1);
    form_close(&talk->form);
    response_clear(&talk->exchange.response);
    bytes_free(&talk->body);
    buffer_give(talk, sizeof *talk);
    *slot = NULL;
}

void exchange_suspend(struct exchange *exchange)
{
    struct conversation *talk = (struct conversation *)exchange;
    talk->suspended = true;
    MHD_suspend_connection(talk->connection);
}

void exchange_resume(struct exchange *exchange)
{
    MHD_resume_connection(((struct conversation *)exchange)->connection);
}

/* ---- answers ---- */

/* Answers to POST, and errors, are of the moment; for the others the handler says how long they keep. */
static bool of_the_moment(const struct exchange *exchange)
{
    const char *method = exchange->request.method;
    return exchange->response.status >= 400 ||
           (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD));
}

static void add_headers(struct MHD_Response *out, const struct exchange *exchange, bool close)
{
    const struct response *response = &exchange->response;

    if (response->type)
        MHD_add_response_header(out, MHD_HTTP_HEADER_CONTENT_TYPE, response->type);
    for (size_t i = 0; i < response->header_count; i++)
        MHD_add_response_header(out, response->headers[i].name, response->headers[i].value);
    if (of_the_moment(exchange))
        MHD_add_response_header(out, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(out, "X-Request-Id", exchange->request.id);
    if (close)
        MHD_add_response_header(out, MHD_HTTP_HEADER_CONNECTION, "close");
}

static enum MHD_Result send_answer(struct conversation *talk)
{
    struct transport *transport = talk->transport;
    struct response *response = &talk->exchange.response;
    /* The body stays ours: it lives until close_conversation, which the library calls when it has gone out. */
    struct MHD_Response *out =
        MHD_create_response_from_buffer(response->size, (void *)response->body, MHD_RESPMEM_PERSISTENT);
    if (!out)
        return MHD_NO;
    add_headers(out, &talk->exchange, response->close || atomic_load(&transport->draining));
    enum MHD_Result result = MHD_queue_response(talk->connection, response->status, out);
    MHD_destroy_response(out);
    transport->application.answered(transport->application.context, &talk->exchange);
    return result;
}

/* ---- headers ---- */

static enum MHD_Result add_query(void *context, enum MHD_ValueKind kind, const char *name, size_t name_length,
                                 const char *value, size_t length)
{
    struct exchange *exchange = context;
    struct request *request = &exchange->request;

    (void)kind;
    if (name_length == 0 && !value) /* "/cost?", or "&&" */
        return MHD_YES;
    if (request->query_count == REQUEST_FIELDS_MAX) {
        problem(&exchange->response, 422, "the query has too many options");
        return MHD_NO;
    }
    request->query[request->query_count++] = (struct field){name, name_length, value ? value : "", length};
    return MHD_YES;
}

static void read_request(struct conversation *talk, const char *method, const char *path)
{
    struct request *request = &talk->exchange.request;
    const char *id = NULL, *type;
    size_t id_length = 0;

    request->method = method;
    request->path = path;
    MHD_lookup_connection_value_n(talk->connection, MHD_HEADER_KIND, "X-Request-Id", strlen("X-Request-Id"), &id,
                                  &id_length);
    request_id_choose(request->id, id, id_length);
    type = MHD_lookup_connection_value(talk->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_TYPE);
    request->content_type = type ? type : "";
    MHD_get_connection_values_n(talk->connection, MHD_GET_ARGUMENT_KIND, add_query, &talk->exchange);
}

/* What the application wants to have of the body may still be too much, or unreadable. */
static bool check_body(struct conversation *talk, const struct framing *framing)
{
    struct exchange *exchange = &talk->exchange;
    size_t limit = talk->transport->body_max;

    if (exchange->use == BODY_DROP)
        return true;
    if (framing->length > limit)
        return problem(&exchange->response, 413, "the body has %" PRIu64 " bytes; the limit is %zu", framing->length,
                       limit);
    if (!framing_identity(talk->connection, &exchange->response))
        return false;
    return exchange->use != BODY_FORM || form_open(&talk->form, talk->connection, &exchange->response);
}

static void admit(struct conversation *talk, const struct framing *framing)
{
    struct application *application = &talk->transport->application;
    struct exchange *exchange = &talk->exchange;

    if (talk->nul_in_path)
        problem(&exchange->response, 404, "there is nothing at this path");
    else if (!exchange->response.status)
        application->admit(application->context, exchange);
    if (!exchange->response.status)
        check_body(talk, framing);
    if (exchange->response.status)
        exchange->use = BODY_DROP;
}

static enum MHD_Result at_headers(struct conversation *talk, const char *method, const char *path)
{
    struct exchange *exchange = &talk->exchange;
    struct framing framing;

    talk->stage = AT_BODY;
    read_request(talk, method, path);
    if (!framing_read(&framing, talk->connection, &exchange->response))
        return send_answer(talk);
    admit(talk, &framing);
    if (exchange->use != BODY_DROP || (!framing.chunked && framing.length <= DRAIN_MAX))
        return MHD_YES;
    if (!exchange->response.status)
        problem(&exchange->response, 413, "this request takes no body");
    exchange->response.close = true;
    return send_answer(talk);
}

/* ---- body ---- */

/* The answer is an error already: what has been collected for it is of no use any more. */
static void drop_body(struct conversation *talk)
{
    talk->exchange.use = BODY_DROP;
    form_close(&talk->form);
    bytes_free(&talk->body);
}

static bool take_bytes(struct conversation *talk, const char *bytes, size_t size)
{
    struct response *response = &talk->exchange.response;
    size_t limit = talk->transport->body_max;

    if (talk->exchange.use == BODY_DROP)
        return true;
    if (size > limit - talk->received) {
        problem(response, 413, "the body has more than %zu bytes, which is the limit", limit);
        response->close = true;
        return false;
    }
    if (talk->exchange.use == BODY_FORM)
        return form_feed(&talk->form, bytes, size, response);
    return bytes_append(&talk->body, bytes, size) || problem(response, 500, "out of memory");
}

static enum MHD_Result at_bytes(struct conversation *talk, const char *bytes, size_t size)
{
    if (!take_bytes(talk, bytes, size))
        drop_body(talk);
    talk->received += size;
    return talk->received > talk->transport->body_max + EXCESS_MAX ? MHD_NO : MHD_YES;
}

/* The body is complete: shows it to the handlers. */
static void show_body(struct conversation *talk)
{
    struct exchange *exchange = &talk->exchange;
    struct request *request = &exchange->request;

    if (exchange->use == BODY_FORM && form_finish(&talk->form, &exchange->response)) {
        request->form = talk->form.fields;
        request->form_count = talk->form.count;
    }
    request->body = talk->body.data;
    request->size = talk->body.size;
}

static enum MHD_Result at_end(struct conversation *talk)
{
    struct application *application = &talk->transport->application;
    struct response *response = &talk->exchange.response;

    show_body(talk);
    talk->stage = AT_WORK;
    if (response->status)
        return send_answer(talk);
    application->handle(application->context, &talk->exchange);
    /* A suspended exchange may be a worker's by now: all that may be read of it here is our own mark. */
    return talk->suspended ? MHD_YES : send_answer(talk);
}

/* The library calls this with the headers, then for each piece of the body, then with an empty piece at its end, and
 * again after a suspended connection was resumed. */
static enum MHD_Result on_call(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                               const char *version, const char *bytes, size_t *size, void **slot)
{
    struct conversation *talk = *slot;

    (void)context;
    (void)version;
    (void)connection;
    if (!talk)
        return MHD_NO;
    if (talk->stage == AT_HEADERS)
        return at_headers(talk, method, path);
    if (talk->stage == AT_WORK)
        return send_answer(talk);
    if (*size == 0)
        return at_end(talk);
    size_t taken = *size;
    *size = 0;
    return at_bytes(talk, bytes, taken);
}

/* ---- life ---- */

static struct MHD_Daemon *start_daemon(struct transport *transport, const struct transport_settings *settings)
{
    unsigned threads = settings->threads < settings->connections ? settings->threads : settings->connections;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_LISTEN_SOCKET, settings->socket, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, settings->connections, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, settings->idle_timeout, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)close_conversation, NULL},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)open_conversation, transport},
        {MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},                                     /* HTTP/1.1 without Host is 400 */
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads, NULL}, /* a pool of one is no pool */
        {MHD_OPTION_END, 0, NULL}};

    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_SUSPEND_RESUME, 0, NULL, NULL, on_call, NULL,
                            MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

enum esp_status transport_start(struct transport **transport, const struct transport_settings *settings,
                                const struct application *application, struct esp_error *err)
{
    struct transport *made = calloc(1, sizeof *made);

    *transport = made;
    if (!made)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    made->application = *application;
    made->body_max = settings->body_max;
    made->daemon = start_daemon(made, settings);
    if (made->daemon)
        return ESP_OK;
    free(made);
    *transport = NULL;
    return esp_fail(err, ESP_ERROR_IO, "the HTTP threads could not be started");
}

void transport_quiesce(struct transport *transport)
{
    atomic_store(&transport->draining, true);
    int socket = MHD_quiesce_daemon(transport->daemon);
    if (socket >= 0)
        shutdown(socket, SHUT_RDWR); /* who connects now is refused rather than left waiting */
}

size_t transport_in_flight(struct transport *transport)
{
    return atomic_load(&transport->in_flight);
}

void transport_stop(struct transport **transport)
{
    if (!*transport)
        return;
    MHD_stop_daemon((*transport)->daemon);
    free(*transport);
    *transport = NULL;
}
