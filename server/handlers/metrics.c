#include "server/metrics/metrics.h"

#include "server/handlers/handlers.h"
#include "server/http/exchange.h"
#include "server/problem.h"
#include "server/routes.h"
#include "server/service.h"

#include <pthread.h>
#include <stdio_ext.h>

static struct metrics_model model_of(const struct service *service)
{
    const struct esp_model_info *info = esp_model_info(service->model);

    return (struct metrics_model){.name = info->name,
                                  .version = info->version,
                                  .kernels = info->kernels,
                                  .precision = info->precision,
                                  .is_default = true,
                                  .branches = service->branches};
}

static struct metrics_view view_of(const struct service *service, const struct metrics_model *model)
{
    return (struct metrics_view){.route = routes_name,
                                 .queue_depth = queue_length(service->queue),
                                 .queue_capacity = queue_capacity(service->queue),
                                 .queue_macs_capacity =
                                     queue_capacity(service->queue) * esp_model_info(service->model)->macs,
                                 .instances = service->instances,
                                 .ready = service_state(service) == SERVICE_READY,
                                 .version = ESP_VERSION,
                                 .models = model,
                                 .model_count = 1};
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

void handle_metrics(struct service *service, struct exchange *exchange)
{
    struct metrics_model model = model_of(service);
    struct metrics_view view = view_of(service, &model);

    response_begin(&exchange->response, 200, "text/plain; version=0.0.4; charset=utf-8");
    pthread_mutex_lock(&lock);
    written = &exchange->response;
    bool complete = print(&service->metrics, &view);
    pthread_mutex_unlock(&lock);
    if (complete)
        response_header(&exchange->response, "Cache-Control", "no-store");
    else
        problem(&exchange->response, 500, "out of memory");
}
