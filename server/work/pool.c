#include "server/work/pool.h"

#include "espalier/crew.h"
#include "espalier/limits.h"
#include "server/clock.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

/* How long a worker looks around, while others are at work, before it sleeps. Waking it takes about as long. */
enum { LOOK_NS = 100000 };

struct worker {
    pthread_t thread;
    bool running;
    struct pool *pool;
    esp_instance *instance; /* the crew's */
    struct desk desk;
    void *jobs[ESP_BATCH_MAX];
};

struct pool {
    struct pool_parts parts;
    struct desk_parts desk_parts;
    esp_crew *crew;
    atomic_bool stopping;
    atomic_size_t free;      /* workers that neither answer nor help */
    struct worker workers[]; /* [parts.instances] */
};

/* ---- a worker ---- */

/* Takes over a branch of somebody's run, if there is one. */
static bool help(struct worker *worker)
{
    struct pool *pool = worker->pool;

    if (!esp_crew_wants_help(worker->instance))
        return false;
    atomic_fetch_sub(&pool->free, 1);
    bool helped = esp_crew_help(worker->instance);
    atomic_fetch_add(&pool->free, 1);
    if (helped)
        metrics_help(pool->parts.metrics);
    return helped;
}

/* Whether looking on is no use: everyone else is free, too, or nothing has come for a while. */
static bool tired(struct pool *pool, uint64_t since)
{
    return atomic_load(&pool->free) == pool->parts.instances || clock_now() - since > LOOK_NS;
}

/* Looks for jobs, helping meanwhile; gives how many there are in worker->jobs, or 0 when the queue is over. */
static size_t find_jobs(struct worker *worker)
{
    struct pool *pool = worker->pool;
    struct pool_parts *parts = &pool->parts;

    for (uint64_t since = clock_now();;) {
        unsigned heard = bell_listen(parts->bell);
        size_t count = queue_take(parts->queue, worker->jobs, parts->batch, atomic_load(&pool->free));
        if (count > 0 || queue_over(parts->queue))
            return count;
        if (help(worker)) {
            since = clock_now();
        } else if (tired(pool, since)) {
            bell_sleep(parts->bell, heard);
            since = clock_now();
        } else {
            sched_yield(); /* the threads that read requests and write answers may need this CPU */
        }
    }
}

static void *work_on(void *context)
{
    struct worker *worker = context;
    struct pool *pool = worker->pool;

    for (size_t count; (count = find_jobs(worker)) > 0;) {
        atomic_fetch_sub(&pool->free, 1);
        desk_answer(&worker->desk, (struct job **)worker->jobs, count);
        atomic_fetch_add(&pool->free, 1);
    }
    return NULL;
}

/* ---- life ---- */

static void wake_helpers(void *context, size_t branches)
{
    struct pool *pool = context;
    bell_ring(pool->parts.bell, branches);
}

static struct pool *make_pool(const struct pool_parts *parts)
{
    struct pool *made = calloc(1, sizeof *made + parts->instances * sizeof made->workers[0]);

    if (!made)
        return NULL;
    made->parts = *parts;
    made->desk_parts = (struct desk_parts){.model = parts->model,
                                           .jobs = parts->jobs,
                                           .metrics = parts->metrics,
                                           .branches = parts->branches,
                                           .limits = parts->limits,
                                           .batch = parts->batch,
                                           .stopping = &made->stopping};
    atomic_init(&made->free, parts->instances);
    return made;
}

static enum esp_status make_worker(struct pool *pool, size_t number, struct esp_error *err)
{
    struct worker *worker = &pool->workers[number];

    worker->pool = pool;
    worker->instance = esp_crew_instance(pool->crew, number);
    enum esp_status status = desk_open(&worker->desk, &pool->desk_parts, number, worker->instance, err);
    if (status != ESP_OK)
        return status;
    if (pthread_create(&worker->thread, NULL, work_on, worker))
        return esp_fail(err, ESP_ERROR_MEMORY, "a thread could not be started");
    worker->running = true;
    return ESP_OK;
}

enum esp_status pool_start(struct pool **pool, const struct pool_parts *parts, struct esp_error *err)
{
    struct pool *made = make_pool(parts);

    *pool = made;
    if (!made)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    enum esp_status status = esp_crew_create(&made->crew, parts->model, parts->instances, parts->batch, err);
    if (status == ESP_OK)
        esp_crew_on_branches(made->crew, wake_helpers, made);
    for (size_t i = 0; i < parts->instances && status == ESP_OK; i++)
        status = make_worker(made, i, err);
    if (status != ESP_OK)
        pool_stop(pool);
    return status;
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
        desk_close(&(*pool)->workers[i].desk);
    esp_crew_destroy(&(*pool)->crew);
    free(*pool);
    *pool = NULL;
}
