#include "server/metrics/metrics.h"

#include "server/handlers/handlers.h"
#include "server/http/transport.h"
#include "server/problem.h"
#include "server/routes.h"
#include "server/service.h"

#include <pthread.h>
#include <stdio_ext.h>

/* Writes what is to be said of the networks, which have to be held. */
static void view_networks(struct repository *repository, struct network *const *networks, size_t count,
                          struct metrics_model *models)
{
    for (size_t i = 0; i < count; i++)
        models[i] = (struct metrics_model){.name = networks[i]->info->name,
                                           .version = networks[i]->info->version,
                                           .kernels = networks[i]->info->kernels,
                                           .precision = networks[i]->info->precision,
                                           .is_default = repository_is_default(repository, networks[i]),
                                           .branches = networks[i]->branches};
}

static struct metrics_view view_of(struct service *service)
{
    struct transport_counts counts = transport_count(*service->transport);
    const struct connection_counts *connections = &counts.connections;

    return (struct metrics_view){.route = routes_name,
                                 .queue_depth = queue_length(service->queue),
                                 .queue_capacity = queue_capacity(service->queue),
                                 .queue_macs = queue_macs(service->queue),
                                 .queue_macs_capacity = queue_macs_limit(service->queue),
                                 .body_bytes = counts.body_bytes,
                                 .body_bytes_capacity = counts.body_bytes_max,
                                 .instances = service->instances,
                                 .connections = connections->open,
                                 .connections_total = connections->accepted,
                                 .connections_evicted = connections->evicted,
                                 .late = {[LATE_HEADER] = connections->late_headers,
                                          [LATE_BODY] = connections->late_bodies,
                                          [LATE_SEND] = connections->late_answers},
                                 .certificate_until =
                                     service->doors->tls ? (uint64_t)tls_facts(service->doors->tls).until : 0,
                                 .log_lines_dropped = log_dropped(service->log),
                                 .ready = service_state(service) == SERVICE_READY,
                                 .version = ESP_VERSION};
}

/* ---- a stream whose text becomes the body of an answer ---- */

/* Opening a stream takes memory, so there is one for good, which one answer at a time has. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *stream;
static struct response *written; /* by whoever has the lock */

static ssize_t write_piece(void *context, const char *bytes, size_t size)
{
    (void)context;
    return response_append(written, bytes, size) ? (ssize_t)size : 0; /* 0 is an error to the stream */
}

/* False where there is no memory. */
static bool print(const struct metrics *metrics, const struct metrics_view *view)
{
    static char buffer[BUFSIZ];

    if (!stream && (stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_piece})))
        setvbuf(stream, buffer, _IOFBF, sizeof buffer);
    if (!stream)
        return false;
    __fpurge(stream); /* what an answer that failed has left */
    clearerr(stream);
    metrics_print(metrics, view, stream);
    return fflush(stream) == 0 && !ferror(stream);
}

/* Prints while the networks are held. */
static bool print_all(struct service *service, struct response *response)
{
    struct network *networks[REPOSITORY_MAX];
    struct metrics_model models[REPOSITORY_MAX];
    struct metrics_view view = view_of(service);

    view.models = models;
    view.model_count = repository_take_all(service->repository, networks);
    view_networks(service->repository, networks, view.model_count, models);
    pthread_mutex_lock(&lock);
    written = response;
    bool complete = print(&service->metrics, &view);
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < view.model_count; i++)
        repository_release(service->repository, networks[i]);
    return complete;
}

void handle_metrics(struct service *service, struct exchange *exchange)
{
    response_begin(&exchange->response, 200, "text/plain; version=0.0.4; charset=utf-8");
    if (print_all(service, &exchange->response))
        response_header(&exchange->response, "Cache-Control", "no-store");
    else
        problem(&exchange->response, 500, "out of memory");
}
