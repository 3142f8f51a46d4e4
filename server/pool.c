#include "server/pool.h"

#include "espalier/instance.h"
#include "espalier/predict.h"
#include "server/answer.h"
#include "server/base64.h"
#include "server/clock.h"
#include "server/http/transport.h"
#include "server/problem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A buffer for base64 that an unusually large picture has blown up further is given back after it. */
enum { KEPT_BYTES_MAX = 4 << 20 };

struct worker {
    pthread_t thread;
    bool running;
    struct pool *pool;
    esp_instance *instance;
    esp_decoder *decoder;
    float *scores;                      /* [nodes] */
    struct esp_prediction *predictions; /* [categories] */
    uint8_t *bytes;                     /* [capacity], a decoded base64 text */
    size_t capacity;
};

struct pool {
    struct pool_parts parts;
    atomic_bool stopping;
    struct worker workers[]; /* [parts.instances] */
};

static double seconds(uint64_t from_ns, uint64_t to_ns)
{
    return (double)(to_ns - from_ns) / 1e9;
}

/* ---- one job ---- */

static bool make_room(struct worker *worker, size_t size)
{
    if (size <= worker->capacity)
        return true;
    free(worker->bytes);
    worker->bytes = malloc(size);
    worker->capacity = worker->bytes ? size : 0;
    return worker->bytes != NULL;
}

static void give_back_room(struct worker *worker)
{
    if (worker->capacity <= KEPT_BYTES_MAX)
        return;
    free(worker->bytes);
    worker->bytes = NULL;
    worker->capacity = 0;
}

/* Replaces base64 text by the bytes it stands for. */
static bool decode_text(struct worker *worker, struct image_source *image, struct response *response)
{
    size_t size;

    if (!image->base64)
        return true;
    if (!make_room(worker, base64_bytes_max(image->size)))
        return problem(response, 500, "out of memory");
    if (!base64_decode((const char *)image->bytes, image->size, worker->bytes, &size))
        return problem(response, 400, "image is not base64: the standard alphabet with padding, without spaces");
    *image = (struct image_source){worker->bytes, size, false};
    return true;
}

static bool decode_image(struct worker *worker, struct job *job, struct times *times, struct response *response)
{
    const struct esp_model_info *info = esp_model_info(worker->pool->parts.model);
    struct esp_image_report report;
    struct esp_error err = {0};
    uint64_t begin = clock_now();

    if (!decode_text(worker, &job->image, response))
        return false;
    times->decode = seconds(begin, clock_now());
    if (esp_decoder_decode(worker->decoder, job->image.bytes, job->image.size, &info->input,
                           esp_instance_input(worker->instance, 0), &report, &err) != ESP_OK)
        return problem_engine(response, &err);
    times->decode += report.decode_seconds;
    times->preprocess = report.preprocess_seconds;
    return true;
}

static bool run(struct worker *worker, struct esp_job *run, struct response *response)
{
    struct esp_error err = {0};

    if (esp_instance_run(worker->instance, run, 1, &err) == ESP_OK)
        return true;
    return problem(response, 500, "the network could not be run: %s", err.text);
}

static void predict(struct worker *worker, struct job *job, const struct esp_job *ran, struct times *times)
{
    const struct esp_model_info *info = esp_model_info(worker->pool->parts.model);
    size_t top = job->options.top < info->categories ? (size_t)job->options.top : info->categories;
    size_t count = esp_predict(ran->cutout, ran->scores, top, worker->predictions);

    times->trunk = ran->trunk_seconds;
    times->branches = ran->branches_seconds;
    times->total = seconds(job->arrived_ns, clock_now());
    struct answer answer = {.request_id = job->exchange->request.id,
                            .cutout = ran->cutout,
                            .scores = ran->scores,
                            .predictions = worker->predictions,
                            .count = count,
                            .groups = job->options.groups,
                            .cost = ran->cost,
                            .times = *times};
    answer_classify(&answer, &job->exchange->response);
    metrics_run(worker->pool->parts.metrics, &ran->cost, info->macs, count);
}

static void work(struct worker *worker, struct job *job, uint64_t now)
{
    struct response *response = &job->exchange->response;
    struct times times = {.queue = seconds(job->arrived_ns, now)};
    struct esp_job engine = {
        .cutout = job->options.cutout, .input = esp_instance_input(worker->instance, 0), .scores = worker->scores};

    if (decode_image(worker, job, &times, response) && run(worker, &engine, response))
        predict(worker, job, &engine, &times);
    give_back_room(worker);
}

/* A job that nobody waits for any more costs no engine time. */
static bool too_late(const struct pool *pool, const struct job *job, uint64_t now)
{
    struct response *response = &job->exchange->response;

    if (atomic_load(&pool->stopping))
        return !problem(response, 503, "the service is shutting down; try again elsewhere");
    if (now - job->arrived_ns > job->options.timeout_ms * 1000000)
        return !problem(response, 504, "the request has waited longer than its %llu ms",
                        (unsigned long long)job->options.timeout_ms);
    return false;
}

/* The order matters: once resumed, the exchange is no longer ours, and the job's place has to be free by then. */
static void finish(struct pool *pool, struct job *job)
{
    struct exchange *exchange = job->exchange;
    job_store_give(pool->parts.jobs, job);
    exchange_resume(exchange);
}

static void *work_on(void *context)
{
    struct worker *worker = context;
    struct pool *pool = worker->pool;

    for (struct job *job; (job = queue_pop(pool->parts.queue));) {
        uint64_t begin = clock_now();
        if (!too_late(pool, job, begin)) {
            metrics_begin(pool->parts.metrics);
            work(worker, job, begin);
            metrics_end(pool->parts.metrics, clock_now() - begin);
        }
        finish(pool, job);
    }
    return NULL;
}

/* ---- life ---- */

static enum esp_status make_worker(struct worker *worker, struct pool *pool, struct esp_error *err)
{
    const struct pool_parts *parts = &pool->parts;
    const struct esp_model_info *info = esp_model_info(parts->model);
    enum esp_status status;

    worker->pool = pool;
    worker->scores = calloc(info->nodes, sizeof *worker->scores);
    worker->predictions = calloc(info->categories, sizeof *worker->predictions);
    if (!worker->scores || !worker->predictions)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    if ((status = esp_instance_create(&worker->instance, parts->model, 1, err)) != ESP_OK ||
        (status = esp_decoder_create(&worker->decoder, &parts->limits, err)) != ESP_OK)
        return status;
    if (pthread_create(&worker->thread, NULL, work_on, worker))
        return esp_fail(err, ESP_ERROR_MEMORY, "a thread could not be started");
    worker->running = true;
    return ESP_OK;
}

enum esp_status pool_start(struct pool **pool, const struct pool_parts *parts, struct esp_error *err)
{
    struct pool *made = calloc(1, sizeof *made + parts->instances * sizeof made->workers[0]);
    enum esp_status status = ESP_OK;

    *pool = made;
    if (!made)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    made->parts = *parts;
    for (size_t i = 0; i < parts->instances && status == ESP_OK; i++)
        status = make_worker(&made->workers[i], made, err);
    if (status != ESP_OK)
        pool_stop(pool);
    return status;
}

static void unmake_worker(struct worker *worker)
{
    esp_instance_destroy(&worker->instance);
    esp_decoder_destroy(&worker->decoder);
    free(worker->scores);
    free(worker->predictions);
    free(worker->bytes);
}

void pool_stop(struct pool **pool)
{
    if (!*pool)
        return;
    atomic_store(&(*pool)->stopping, true);
    queue_close((*pool)->parts.queue);
    for (size_t i = 0; i < (*pool)->parts.instances; i++)
        if ((*pool)->workers[i].running)
            pthread_join((*pool)->workers[i].thread, NULL);
    for (size_t i = 0; i < (*pool)->parts.instances; i++)
        unmake_worker(&(*pool)->workers[i]);
    free(*pool);
    *pool = NULL;
}
