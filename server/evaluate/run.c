#include "server/evaluate/run.h"

#include "espalier/image.h"
#include "espalier/instance.h"
#include "espalier/limits.h"
#include "server/clock.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 4, WAITING_MAX = 64 };

/* A picture that waits for a worker. */
struct waiting {
    struct evaluated *slot;
    struct picture picture;
};

struct pool {
    const struct evaluate_run *run;
    struct evaluation *evaluation;
    pthread_mutex_t lock;
    pthread_cond_t came, went; /* pictures into the queue, out of it */
    struct waiting queue[WAITING_MAX];
    size_t begin, count;
    bool closed;          /* nothing comes any more */
    struct esp_error err; /* of the first worker that failed */
};

/* What a worker owns. */
struct worker {
    struct pool *pool;
    esp_instance *instance;
    esp_decoder *decoder;
    float *scores; /* [BATCH][nodes] */
    uint8_t *ran;  /* [BATCH][nodes] */
};

/* ---- the queue ---- */

/* Waits for room. Where a worker has failed, its status; the picture is still the caller's. */
static enum esp_status put(struct pool *pool, struct waiting waiting)
{
    pthread_mutex_lock(&pool->lock);
    while (pool->count == WAITING_MAX && pool->err.status == ESP_OK)
        pthread_cond_wait(&pool->went, &pool->lock);
    enum esp_status status = pool->err.status;
    if (status == ESP_OK)
        pool->queue[(pool->begin + pool->count++) % WAITING_MAX] = waiting;
    pthread_cond_signal(&pool->came);
    pthread_mutex_unlock(&pool->lock);
    return status;
}

/* Takes up to BATCH; 0 when there will be no more. */
static size_t take(struct pool *pool, struct waiting *taken)
{
    size_t count = 0;

    pthread_mutex_lock(&pool->lock);
    while (!pool->count && !pool->closed)
        pthread_cond_wait(&pool->came, &pool->lock);
    for (; count < BATCH && pool->count; pool->count--) {
        taken[count++] = pool->queue[pool->begin];
        pool->begin = (pool->begin + 1) % WAITING_MAX;
    }
    pthread_cond_signal(&pool->went);
    pthread_mutex_unlock(&pool->lock);
    return count;
}

/* No more comes. With an error, what waits is dropped. */
static void close_queue(struct pool *pool, const struct esp_error *err)
{
    pthread_mutex_lock(&pool->lock);
    pool->closed = true;
    if (err && pool->err.status == ESP_OK)
        pool->err = *err;
    for (; err && pool->count; pool->count--) {
        picture_release(&pool->queue[pool->begin].picture);
        pool->begin = (pool->begin + 1) % WAITING_MAX;
    }
    pthread_cond_broadcast(&pool->came);
    pthread_cond_broadcast(&pool->went);
    pthread_mutex_unlock(&pool->lock);
}

/* ---- a worker ---- */

/* Decodes into the instance's input `index`. A picture that cannot be read gets a note; that is no error. */
static enum esp_status decode(struct worker *worker, struct waiting *waiting, size_t index, struct esp_error *err)
{
    struct picture *picture = &waiting->picture;
    const struct esp_input_info *input = &esp_model_info(worker->pool->evaluation->model)->input;
    struct esp_error fault = {0};

    if (picture->fault) {
        waiting->slot->fault = picture->fault;
        picture->fault = NULL;
        return ESP_OK;
    }
    enum esp_status status = esp_decoder_decode(worker->decoder, picture->bytes, picture->size, input,
                                                esp_instance_input(worker->instance, index), NULL, &fault);
    if (status == ESP_ERROR_MEMORY || (status != ESP_OK && !(waiting->slot->fault = strdup(fault.text))))
        return esp_fail(err, ESP_ERROR_MEMORY, "no memory to decode pictures");
    return ESP_OK;
}

/* Decodes the good ones of `taken` into the first inputs, and lists their slots. Releases all. */
static enum esp_status decode_all(struct worker *worker, struct waiting *taken, size_t count, struct evaluated **slots,
                                  size_t *good, struct esp_error *err)
{
    enum esp_status status = ESP_OK;

    *good = 0;
    for (size_t i = 0; i < count; i++) {
        if (status == ESP_OK)
            status = decode(worker, &taken[i], *good, err);
        if (status == ESP_OK && !taken[i].slot->fault)
            slots[(*good)++] = taken[i].slot;
        picture_release(&taken[i].picture);
    }
    return status;
}

static enum esp_status run_jobs(struct worker *worker, const esp_cutout *cutout, size_t count, struct esp_job *jobs,
                                struct esp_error *err)
{
    size_t nodes = esp_model_info(worker->pool->evaluation->model)->nodes;

    for (size_t i = 0; i < count; i++)
        jobs[i] = (struct esp_job){.cutout = cutout,
                                   .input = esp_instance_input(worker->instance, i),
                                   .scores = worker->scores + i * nodes,
                                   .ran = worker->ran + i * nodes};
    return esp_instance_run(worker->instance, jobs, count, err);
}

static void keep_scores(const struct evaluation *evaluation, const struct esp_job *job, struct evaluated *slot)
{
    size_t categories = esp_model_info(evaluation->model)->categories;

    slot->macs = job->cost.macs;
    slot->parameters = job->cost.parameters;
    for (size_t i = 0; i < categories; i++) {
        size_t node = esp_model_category_node(evaluation->model, i);
        if (esp_job_scored(job, node))
            slot->scores[i] = job->scores[node];
    }
}

static void keep_swept(const struct evaluation *evaluation, const struct esp_job *job, size_t weight,
                       struct evaluated *slot)
{
    const struct weight_sweep *sweep = &evaluation->sweep;

    for (size_t i = 0; i < sweep->attended_count; i++) {
        size_t node = esp_model_category_node(evaluation->model, sweep->attended[i]);
        if (esp_job_scored(job, node))
            slot->swept[weight * sweep->attended_count + i] = job->scores[node];
    }
}

/* All cutouts on the pictures whose inputs are laid. */
static enum esp_status run_all(struct worker *worker, struct evaluated *const *slots, size_t count,
                               struct esp_error *err)
{
    const struct evaluation *evaluation = worker->pool->evaluation;
    const struct evaluate_run *run = worker->pool->run;
    struct esp_job jobs[BATCH];
    enum esp_status status = run_jobs(worker, run->cutout, count, jobs, err);

    for (size_t i = 0; i < count && status == ESP_OK; i++)
        keep_scores(evaluation, &jobs[i], slots[i]);
    for (size_t w = 0; w < evaluation->sweep.weights_count && status == ESP_OK; w++) {
        if (!run->attended[w])
            continue; /* silenced */
        status = run_jobs(worker, run->attended[w], count, jobs, err);
        for (size_t i = 0; i < count && status == ESP_OK; i++)
            keep_swept(evaluation, &jobs[i], w, slots[i]);
    }
    return status;
}

static enum esp_status prepare(struct worker *worker, struct esp_error *err)
{
    const esp_model *model = worker->pool->evaluation->model;
    struct esp_image_limits limits;
    enum esp_status status;

    esp_image_limits_default(&limits);
    limits.bytes = worker->pool->run->bytes_max;
    if ((status = esp_instance_create(&worker->instance, model, BATCH, err)) != ESP_OK ||
        (status = esp_decoder_create(&worker->decoder, &limits, err)) != ESP_OK)
        return status;
    worker->scores = calloc(BATCH * esp_model_info(model)->nodes, sizeof *worker->scores);
    worker->ran = calloc(BATCH * esp_model_info(model)->nodes, sizeof *worker->ran);
    return worker->scores && worker->ran ? ESP_OK : esp_fail(err, ESP_ERROR_MEMORY, "no memory for scores");
}

static void *work(void *argument)
{
    struct worker worker = {.pool = argument};
    struct waiting taken[BATCH];
    struct esp_error err = {0};
    enum esp_status status = prepare(&worker, &err);

    for (size_t count; status == ESP_OK && (count = take(worker.pool, taken)) > 0;) {
        struct evaluated *slots[BATCH];
        size_t good;
        status = decode_all(&worker, taken, count, slots, &good, &err);
        if (status == ESP_OK && good)
            status = run_all(&worker, slots, good, &err);
    }
    if (status != ESP_OK)
        close_queue(worker.pool, &err);
    free(worker.scores);
    free(worker.ran);
    esp_decoder_destroy(&worker.decoder);
    esp_instance_destroy(&worker.instance);
    return NULL;
}

/* ---- the reader ---- */

/* The picture goes to a worker, or is counted and left out. */
static enum esp_status hand_over(struct pool *pool, struct picture *picture, struct esp_error *err)
{
    struct evaluation *evaluation = pool->evaluation;
    size_t truth = labels_find(pool->run->labels, picture->name);
    bool known = truth != SIZE_MAX, wanted = known && (pool->run->all_pictures || evaluation->selected[truth]);

    if (!wanted) {
        bool noted = known || evaluation_unknown(evaluation, picture->name);
        evaluation->unselected += known;
        picture_release(picture);
        return noted ? ESP_OK : esp_fail(err, ESP_ERROR_MEMORY, "no memory for the names of folders");
    }
    char *name = picture->name;
    picture->name = NULL;
    struct evaluated *slot = evaluation_add(evaluation, name, truth);
    if (!slot) {
        picture_release(picture);
        return esp_fail(err, ESP_ERROR_MEMORY, "no memory for the scores of %zu pictures", evaluation->count + 1);
    }
    enum esp_status status = put(pool, (struct waiting){slot, *picture});
    if (status != ESP_OK)
        picture_release(picture);
    return status;
}

/* 0 to 1: of the source, or of as many pictures as are wanted of it, whichever ends sooner. */
static double how_far(const struct pool *pool)
{
    double source = picture_source_done(pool->run->source);
    double wanted = pool->run->first ? (double)pool->evaluation->count / (double)pool->run->first : 0;
    return wanted > source ? wanted : source;
}

static enum esp_status read_all(struct pool *pool, struct esp_error *err)
{
    const struct evaluate_run *run = pool->run;
    struct picture picture;
    enum esp_status status = ESP_OK;

    while (status == ESP_OK && !(run->first && pool->evaluation->count == run->first)) {
        status = picture_source_next(run->source, &picture, err);
        if (status != ESP_OK || !picture.name)
            break;
        status = hand_over(pool, &picture, err);
        if (run->progress)
            run->progress(run->context, how_far(pool), pool->evaluation->count);
    }
    return status;
}

static void sum_up(struct evaluation *evaluation, const struct evaluate_run *run, uint64_t begun)
{
    evaluation->seconds = (double)(clock_now() - begun) / 1e9;
    evaluation->others = picture_source_others(run->source);
    evaluation->closed_folders = picture_source_closed_folders(run->source, &evaluation->closed_why);
    for (size_t i = 0; i < evaluation->count; i++)
        evaluation->faults += evaluation->pictures[i]->fault != NULL;
}

enum esp_status evaluate_run(const struct evaluate_run *run, struct evaluation *evaluation, struct esp_error *err)
{
    struct pool pool = {.run = run, .evaluation = evaluation};
    pthread_t *threads = calloc(run->threads, sizeof *threads);
    unsigned started = 0;
    uint64_t begun = clock_now();
    struct esp_error fault = {0};

    if (!threads)
        return esp_fail(err, ESP_ERROR_MEMORY, "no memory for threads");
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.came, NULL);
    pthread_cond_init(&pool.went, NULL);
    while (started < run->threads && pthread_create(&threads[started], NULL, work, &pool) == 0)
        started++;
    enum esp_status status =
        started ? read_all(&pool, &fault) : esp_fail(&fault, ESP_ERROR_MEMORY, "no thread could be started");
    close_queue(&pool, status == ESP_OK ? NULL : &fault);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    pthread_cond_destroy(&pool.went);
    pthread_cond_destroy(&pool.came);
    pthread_mutex_destroy(&pool.lock);
    sum_up(evaluation, run, begun);
    return pool.err.status == ESP_OK ? ESP_OK : esp_fail(err, pool.err.status, "%s", pool.err.text);
}
