#include "server/service.h"

#include "server/cpus.h"
#include "server/http/exchange.h"
#include "server/http/transport.h"
#include "server/problem.h"

#include <math.h>
#include <stdlib.h>

enum { RETRY_MS_LEAST = 10, RETRY_MS_MOST = 60000 };

/* ---- callbacks ---- */

static void wake_helpers(void *context, size_t branches)
{
    struct service *service = context;
    bell_ring(service->bell, branches);
}

/* As many MACs as queue_depth runs of the largest network, unless a person has set it. */
static uint64_t macs_limit(struct service *service)
{
    struct network *networks[REPOSITORY_MAX];
    size_t count = repository_take_all(service->repository, networks);
    uint64_t largest = 0;

    for (size_t i = 0; i < count; i++) {
        if (networks[i]->info->macs > largest)
            largest = networks[i]->info->macs;
        repository_release(service->repository, networks[i]);
    }
    return service->settings->queue_macs ? service->settings->queue_macs : service->settings->queue_depth * largest;
}

static void on_other_networks(void *context)
{
    struct service *service = context;

    if (service->queue)
        queue_set_macs_limit(service->queue, macs_limit(service));
    bell_ring(service->bell, SIZE_MAX);
}

static void report_load(void *context, const struct loader_result *result)
{
    static const char *const done[] = {[LOADER_LOAD] = "network loaded", [LOADER_UNLOAD] = "network unloaded"};
    static const char *const refused[] = {
        [LOADER_LOAD] = "network not loaded", [LOADER_UNLOAD] = "network not unloaded"};
    struct service *service = context;
    bool good = result->status == ESP_OK;

    if (result->verb == LOADER_LOAD)
        metrics_load(&service->metrics, good);
    log_event(service->log, good ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, (good ? done : refused)[result->verb],
              LOG_FIELDS(log_text("model", result->name), log_real("duration_ms", result->seconds * 1e3),
                         log_text("problem", good ? NULL : result->text)));
}

static void give_up(void *context, struct queue_item *item, enum sweep_verdict why)
{
    struct service *service = context;
    struct job *job = (struct job *)item;
    struct exchange *exchange = job->exchange;

    if (why == SWEEP_LATE)
        problem_deadline(&exchange->response, job->options.timeout_ms);
    else
        problem_gone(exchange);
    job_store_give(service->jobs, job);
    exchange_resume(exchange);
}

/* ---- up ---- */

/* Each job is in the queue, in an instance's batch, or with one of the I/O threads, which has one at a time, or with
 * the thread that sweeps. */
static size_t jobs_needed(const struct service *service)
{
    return service->settings->queue_depth + service->instances * service->settings->batch +
           service->settings->io_threads + 1;
}

static enum esp_status open_repository(struct service *service, struct esp_error *err)
{
    const struct settings *settings = service->settings;
    struct repository_settings wanted = {.directory = settings->model,
                                         .default_model = settings->default_model,
                                         .parts = {.kernels = settings->kernels,
                                                   .precision = settings->precision,
                                                   .workers = service->instances,
                                                   .batch = settings->batch,
                                                   .cutouts = jobs_needed(service),
                                                   .on_branches = wake_helpers,
                                                   .context = service},
                                         .on_change = on_other_networks,
                                         .context = service};
    return repository_open(&service->repository, &wanted, err);
}

/* The first word on the pace is the default network's. */
static enum esp_status open_queue(struct service *service, struct esp_error *err)
{
    struct network *network = repository_take(service->repository, NULL, 0);
    struct queue_limits limits = {service->settings->queue_depth, macs_limit(service)};

    pace_add(&service->pace, network->info->macs, network->first_run_ns);
    repository_release(service->repository, network);
    service->queue = queue_create(&limits, service->bell);
    if (!service->queue)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    return sweep_create(&service->sweep, service->queue, give_up, service, err);
}

static enum esp_status start_pool(struct service *service, struct esp_error *err)
{
    struct pool_parts parts = {.repository = service->repository,
                               .bell = service->bell,
                               .queue = service->queue,
                               .jobs = service->jobs,
                               .metrics = &service->metrics,
                               .pace = &service->pace,
                               .limits = {service->settings->max_body, service->settings->max_pixels},
                               .instances = service->instances,
                               .batch = service->settings->batch};
    return pool_start(&service->pool, &parts, err);
}

enum esp_status service_open(struct service *service, const struct settings *settings, struct log *log,
                             struct esp_error *err)
{
    enum esp_status status;

    *service = (struct service){.settings = settings, .log = log};
    pace_open(&service->pace);
    service->instances = settings->instances ? settings->instances : cpus_usable();
    service->bell = bell_create();
    if (!service->bell)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    if ((status = open_repository(service, err)) != ESP_OK || (status = open_queue(service, err)) != ESP_OK ||
        (status = job_store_create(&service->jobs, service->repository, jobs_needed(service), err)) != ESP_OK ||
        (status = start_pool(service, err)) != ESP_OK)
        return status;
    return loader_start(&service->loader, service->repository, report_load, service, err);
}

/* ---- states ---- */

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

void service_sweep(struct service *service)
{
    sweep_once(service->sweep);
}

void service_reload(struct service *service)
{
    loader_ask_all(service->loader);
}

/* ---- down ---- */

/* The loader may wait for requests to let go of a network, so what waits is answered first. */
void service_stop(struct service *service)
{
    if (service->pool)
        pool_refuse(service->pool);
    loader_stop(&service->loader);
    pool_stop(&service->pool);
}

void service_close(struct service *service)
{
    service_stop(service);
    sweep_destroy(&service->sweep);
    job_store_destroy(&service->jobs);
    repository_close(&service->repository);
    queue_destroy(&service->queue);
    bell_destroy(&service->bell);
    pace_close(&service->pace);
}

/* ---- answers ---- */

/* Of what runs already, half is done on average. */
unsigned service_retry_ms(struct service *service)
{
    uint64_t macs = queue_macs(service->queue) + pool_running(service->pool) / 2;
    double ms = ceil(pace_seconds(&service->pace, macs, (unsigned)service->instances) * 1000);

    if (ms < RETRY_MS_LEAST)
        return RETRY_MS_LEAST;
    return ms > RETRY_MS_MOST ? RETRY_MS_MOST : (unsigned)ms;
}

bool service_busy(struct service *service, enum rejection why, struct response *response)
{
    metrics_reject(&service->metrics, why);
    return problem_busy(response, service_retry_ms(service));
}

bool service_no_model(struct service *service, const char *name, size_t length, struct response *response)
{
    char names[512];

    repository_names(service->repository, names, sizeof names);
    return problem(response, 404, "there is no model '%.*s'; served are: %s", length < 64 ? (int)length : 64,
                   name ? name : "", names);
}
