#include "server/http/conversation.h"

#include "server/clock.h"
#include "server/http/buffers.h"
#include "server/http/framing.h"
#include "server/http/origin.h"
#include "server/problem.h"

#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <strings.h>

enum {
    /* A refused body up to this size is read to its end, so that the connection can be used again; before a larger one
     * the answer goes out at once and the connection is closed. */
    DRAIN_MAX = 64 << 10,
    /* A chunked body tells its size only by arriving, and no answer can be given in the middle of it: so much over the
     * limit is read and forgotten before the connection is closed without one. */
    EXCESS_MAX = 8 << 20
};

/* What the library will call next about. */
enum step { AT_HEADERS, AT_BODY, AT_WORK };

/* `exchange` comes first: the two have one address. */
struct conversation {
    struct exchange exchange;
    struct conversation_parts *parts;
    struct MHD_Connection *connection;
    int socket;
    enum step step;
    bool nul_in_path, suspended;
    bool answered; /* the library has the answer */
    bool cut;      /* the body was given up in its middle */
    struct body body;
};

/* ---- begin and end ---- */

/* Called with the request line: each request gets its conversation here, as the library decodes the path and would cut
 * it at an encoded NUL. */
void *conversation_open(void *parts, const char *uri, struct MHD_Connection *connection)
{
    struct conversation *talk = buffer_take(sizeof *talk);
    const char *nul = strstr(uri, "%00"), *query = strchr(uri, '?');

    if (!talk)
        return NULL;
    memset(talk, 0, sizeof *talk); /* nothing of an earlier request is left */
    talk->parts = parts;
    talk->connection = connection;
    talk->socket = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    talk->nul_in_path = nul && (!query || nul < query);
    talk->exchange.begun_ns = clock_now();
    connections_enter(talk->parts->connections, talk->socket, CONNECTION_HEADER);
    return talk;
}

/* The library answers a few requests itself, such as one whose header is too long. */
static unsigned own_status(const struct conversation *talk)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(talk->connection, MHD_CONNECTION_INFO_HTTP_STATUS);
    return info ? info->http_status : 0;
}

static enum exchange_end end_of(const struct conversation *talk, enum MHD_RequestTerminationCode code)
{
    if (code == MHD_REQUEST_TERMINATED_COMPLETED_OK || (!talk->answered && talk->exchange.response.status))
        return END_SENT;
    if (code == MHD_REQUEST_TERMINATED_TIMEOUT_REACHED || connections_late(talk->parts->connections, talk->socket))
        return END_TIMEOUT;
    return talk->cut || code == MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN ? END_CLOSED : END_CANCELLED;
}

void conversation_close(void *parts, struct MHD_Connection *connection, void **slot,
                        enum MHD_RequestTerminationCode code)
{
    struct conversation *talk = *slot;

    (void)parts;
    (void)connection;
    if (!talk)
        return;
    struct application *application = &talk->parts->application;
    struct response *response = &talk->exchange.response;
    if (!talk->answered)
        response->status = own_status(talk);
    application->finished(application->context, &talk->exchange, end_of(talk, code));
    body_drop(&talk->body, &talk->parts->limits);
    response_clear(response);
    connections_enter(talk->parts->connections, talk->socket, CONNECTION_IDLE);
    buffer_give(talk, sizeof *talk);
    *slot = NULL;
}

/* ---- for whoever has the exchange ---- */

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

int exchange_socket(const struct exchange *exchange)
{
    return ((const struct conversation *)exchange)->socket;
}

bool exchange_client_gone(const struct exchange *exchange)
{
    struct pollfd events = {exchange_socket(exchange), POLLRDHUP, 0};
    return poll(&events, 1, 0) > 0 && (events.revents & (POLLRDHUP | POLLHUP | POLLERR));
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
    char traceparent[TRACEPARENT_LENGTH + 1];

    if (response->type)
        MHD_add_response_header(out, MHD_HTTP_HEADER_CONTENT_TYPE, response->type);
    for (size_t i = 0; i < response->header_count; i++)
        MHD_add_response_header(out, response->headers[i].name, response->headers[i].value);
    if (of_the_moment(exchange))
        MHD_add_response_header(out, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(out, "X-Request-Id", exchange->request.id);
    trace_write(&exchange->trace, traceparent);
    MHD_add_response_header(out, "traceparent", traceparent);
    if (close)
        MHD_add_response_header(out, MHD_HTTP_HEADER_CONNECTION, "close");
}

/* What has been answered needs no body any more, however long the client takes to read. */
static void drop_body(struct conversation *talk)
{
    struct request *request = &talk->exchange.request;

    body_drop(&talk->body, &talk->parts->limits);
    request->form = NULL;
    request->body = NULL;
    request->form_count = request->size = 0;
}

static enum MHD_Result send_answer(struct conversation *talk)
{
    struct response *response = &talk->exchange.response;
    /* The answer's body stays ours: it lives until conversation_close, which the library calls when it has gone out. */
    struct MHD_Response *out =
        MHD_create_response_from_buffer(response->size, (void *)response->body, MHD_RESPMEM_PERSISTENT);
    if (!out)
        return MHD_NO;
    drop_body(talk);
    cors_answer(talk->parts->cors, &talk->exchange.request, response);
    add_headers(out, &talk->exchange, response->close || atomic_load(&talk->parts->draining));
    connections_enter(talk->parts->connections, talk->socket, CONNECTION_ANSWER);
    enum MHD_Result result = MHD_queue_response(talk->connection, response->status, out);
    talk->answered = result == MHD_YES;
    MHD_destroy_response(out);
    return result;
}

/* The bodies of other requests take all the room that there is. */
static bool refuse_for_room(struct conversation *talk)
{
    struct application *application = &talk->parts->application;

    talk->exchange.out_of_room = true;
    return problem_busy(&talk->exchange.response, application->retry_ms(application->context));
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

/* "" where there is none. */
static const char *header(struct MHD_Connection *connection, const char *name)
{
    const char *value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
    return value ? value : "";
}

static void read_request(struct conversation *talk, const char *method, const char *path)
{
    struct request *request = &talk->exchange.request;

    request->method = method;
    request->path = path;
    origin_read(&talk->exchange, talk->connection, talk->parts->trusted);
    request->content_type = header(talk->connection, MHD_HTTP_HEADER_CONTENT_TYPE);
    request->authorization = header(talk->connection, MHD_HTTP_HEADER_AUTHORIZATION);
    request->origin = header(talk->connection, MHD_HTTP_HEADER_ORIGIN);
    request->wanted_method = header(talk->connection, MHD_HTTP_HEADER_ACCESS_CONTROL_REQUEST_METHOD);
    request->inference_header = header(talk->connection, "Inference-Header-Content-Length");
    MHD_get_connection_values_n(talk->connection, MHD_GET_ARGUMENT_KIND, add_query, &talk->exchange);
}

/* What the application wants to have of the body may still be too much, or unreadable. */
static bool check_body(struct conversation *talk, const struct framing *framing)
{
    struct exchange *exchange = &talk->exchange;
    struct body_limits *limits = &talk->parts->limits;

    if (exchange->use == BODY_DROP)
        return true;
    if (framing->length > limits->most)
        return problem(&exchange->response, 413, "the body has %" PRIu64 " bytes; the limit is %zu", framing->length,
                       limits->most);
    if (!framing_identity(talk->connection, &exchange->response))
        return false;
    if (framing->length && !budget_fits(&limits->budget, buffer_room(framing->length)))
        return refuse_for_room(talk);
    return exchange->use != BODY_FORM || form_open(&talk->body.form, talk->connection, &exchange->response);
}

static void admit(struct conversation *talk, const struct framing *framing)
{
    struct application *application = &talk->parts->application;
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

/* Whether the client sends the body only when it is told to go on. */
static bool waits_for_continue(const struct conversation *talk)
{
    const char *expect = MHD_lookup_connection_value(talk->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_EXPECT);
    return expect && !strcasecmp(expect, "100-continue");
}

/* Whether a body that nobody wants is read to its end before the answer. Who is told to come again should be told,
 * however much he sends, and find his connection as it was. */
static bool forgettable(const struct conversation *talk, const struct framing *framing)
{
    if (talk->exchange.response.status != 429)
        return !framing->chunked && framing->length <= DRAIN_MAX;
    return framing->length <= talk->parts->limits.most && !waits_for_continue(talk);
}

static enum MHD_Result at_headers(struct conversation *talk, const char *method, const char *path)
{
    struct exchange *exchange = &talk->exchange;
    struct framing framing;

    talk->step = AT_BODY;
    connections_enter(talk->parts->connections, talk->socket, CONNECTION_BODY);
    read_request(talk, method, path);
    if (!framing_read(&framing, talk->connection, &exchange->response))
        return send_answer(talk);
    admit(talk, &framing);
    if (exchange->use != BODY_DROP || forgettable(talk, &framing))
        return MHD_YES;
    if (!exchange->response.status)
        problem(&exchange->response, 413, "this request takes no body");
    exchange->response.close = true;
    return send_answer(talk);
}

/* ---- body ---- */

static enum MHD_Result at_bytes(struct conversation *talk, const char *bytes, size_t size)
{
    struct exchange *exchange = &talk->exchange;
    struct body_limits *limits = &talk->parts->limits;
    enum body_result result = body_take(&talk->body, exchange->use, limits, bytes, size, &exchange->response);

    if (result == BODY_NO_ROOM)
        refuse_for_room(talk);
    if (result != BODY_TAKEN) { /* the answer is an error already */
        exchange->use = BODY_DROP;
        body_drop(&talk->body, limits);
    }
    exchange->bytes_in = talk->body.received;
    talk->cut = talk->body.received > limits->most + EXCESS_MAX;
    return talk->cut ? MHD_NO : MHD_YES;
}

static enum MHD_Result at_end(struct conversation *talk)
{
    struct application *application = &talk->parts->application;
    struct exchange *exchange = &talk->exchange;

    body_show(&talk->body, exchange);
    talk->step = AT_WORK;
    if (exchange->response.status)
        return send_answer(talk);
    connections_enter(talk->parts->connections, talk->socket, CONNECTION_WORK);
    application->handle(application->context, exchange);
    /* A suspended exchange may be a worker's by now: all that may be read of it here is our own mark. */
    return talk->suspended ? MHD_YES : send_answer(talk);
}

/* The library calls this with the headers, then for each piece of the body, then with an empty piece at its end, and
 * again after a suspended connection was resumed. */
enum MHD_Result conversation_call(void *parts, struct MHD_Connection *connection, const char *path, const char *method,
                                  const char *version, const char *bytes, size_t *size, void **slot)
{
    struct conversation *talk = *slot;

    (void)parts;
    (void)version;
    (void)connection;
    if (!talk)
        return MHD_NO;
    if (talk->step == AT_HEADERS)
        return at_headers(talk, method, path);
    if (talk->step == AT_WORK)
        return send_answer(talk);
    if (*size == 0)
        return at_end(talk);
    size_t taken = *size;
    *size = 0;
    return at_bytes(talk, bytes, taken);
}
