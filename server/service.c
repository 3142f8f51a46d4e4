#include "server/service.h"

#include "server/answer.h"
#include "server/clock.h"
#include "server/cpus.h"
#include "server/http/exchange.h"
#include "server/models/model_choice.h"
#include "server/routes.h"

#include <stdlib.h>

enum { RETRY_MS_LEAST = 50, RETRY_MS_MOST = 10000 };

static enum esp_status load_model(struct service *service, struct esp_error *err)
{
    const struct settings *settings = service->settings;
    struct model_choice choice = {settings->model, settings->kernels, settings->precision};
    char directory[BUNDLED_PATH_MAX];

    if (model_choice_load(&choice, &service->model, directory, err) != ESP_OK)
        return ESP_ERROR_MODEL;
    service->categories = answer_categories(service->model);
    if (!service->categories || !branch_counts_create(&service->branches, service->model, service->instances))
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    return ESP_OK;
}

/* Each job is in the queue, in an instance's batch, or with one of the I/O threads, which has one at a time. */
static size_t jobs_needed(const struct service *service)
{
    return service->settings->queue_depth + service->instances * service->settings->batch +
           service->settings->io_threads;
}

static enum esp_status start_pool(struct service *service, struct esp_error *err)
{
    struct pool_parts parts = {.model = service->model,
                               .bell = service->bell,
                               .queue = service->queue,
                               .jobs = service->jobs,
                               .metrics = &service->metrics,
                               .branches = service->branches,
                               .limits = {service->settings->max_body, service->settings->max_pixels},
                               .instances = service->instances,
                               .batch = service->settings->batch};
    return pool_start(&service->pool, &parts, err);
}

enum esp_status service_open(struct service *service, const struct settings *settings, struct esp_error *err)
{
    enum esp_status status;

    *service = (struct service){.settings = settings};
    service->instances = settings->instances ? settings->instances : cpus_usable();
    if ((status = load_model(service, err)) != ESP_OK)
        return status;
    service->bell = bell_create();
    service->queue = service->bell ? queue_create(settings->queue_depth, service->bell) : NULL;
    if (!service->queue)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    status = job_store_create(&service->jobs, service->model, jobs_needed(service), err);
    return status == ESP_OK ? start_pool(service, err) : status;
}

void service_ready(struct service *service)
{
    atomic_store(&service->state, SERVICE_READY);
}

void service_drain(struct service *service)
{
    atomic_store(&service->state, SERVICE_DRAINING);
}

enum service_state service_state(const struct service *service)
{
    return (enum service_state)atomic_load(&service->state);
}

void service_stop(struct service *service)
{
    pool_stop(&service->pool);
}

void service_close(struct service *service)
{
    service_stop(service);
    job_store_destroy(&service->jobs);
    queue_destroy(&service->queue);
    bell_destroy(&service->bell);
    free(service->categories);
    service->categories = NULL;
    branch_counts_release(service->branches);
    esp_model_destroy(&service->model);
}

unsigned service_retry_ms(const struct service *service)
{
    uint64_t waiting = queue_length(service->queue) + 1;
    uint64_t ms = metrics_mean_ns(&service->metrics) * waiting / service->instances / 1000000;

    if (ms < RETRY_MS_LEAST)
        return RETRY_MS_LEAST;
    return ms > RETRY_MS_MOST ? RETRY_MS_MOST : (unsigned)ms;
}

void service_count(struct service *service, const struct exchange *exchange)
{
    metrics_request(&service->metrics, routes_number(exchange->route), exchange->response.status,
                    clock_now() - exchange->request.begun_ns);
    switch (exchange->response.status) {
    case 400:
        if (exchange->response.close) /* a header that nobody could be sure of */
            metrics_reject(&service->metrics, REJECTED_FRAMING);
        break;
    case 413: metrics_reject(&service->metrics, REJECTED_TOO_LARGE); break;
    case 415: metrics_reject(&service->metrics, REJECTED_MEDIA_TYPE); break;
    case 429: metrics_reject(&service->metrics, REJECTED_QUEUE_FULL); break;
    case 503:
        if (exchange->request.method[0] == 'P') /* not /readyz, whose 503 is an answer */
            metrics_reject(&service->metrics, REJECTED_DRAINING);
        break;
    case 504: metrics_reject(&service->metrics, REJECTED_DEADLINE); break;
    default: break;
    }
}
