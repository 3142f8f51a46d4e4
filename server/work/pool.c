#include "server/work/pool.h"

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
    size_t number;
    struct pool *pool;
    struct desk desk;
    struct queue_item *jobs[ESP_BATCH_MAX];
    struct network *networks[REPOSITORY_MAX]; /* held: those that it helps with */
    size_t network_count;
    unsigned networks_seen; /* repository_changes() when they were taken */
};

struct pool {
    struct pool_parts parts;
    struct desk_parts desk_parts;
    atomic_bool stopping;
    atomic_size_t free; /* workers that neither answer nor help */
    atomic_uint_least64_t running;
    struct worker workers[]; /* [parts.instances] */
};

/* ---- a worker's networks ---- */

static void release_networks(struct worker *worker)
{
    for (size_t i = 0; i < worker->network_count; i++)
        repository_release(worker->pool->parts.repository, worker->networks[i]);
    worker->network_count = 0;
}

/* What has been replaced is let go, so that its memory can be given back. */
static void follow_networks(struct worker *worker)
{
    struct repository *repository = worker->pool->parts.repository;
    unsigned changes = repository_changes(repository);

    if (worker->network_count && changes == worker->networks_seen)
        return;
    release_networks(worker);
    worker->networks_seen = changes;
    worker->network_count = repository_take_all(repository, worker->networks);
}

/* ---- a worker ---- */

static bool help_in(struct worker *worker, esp_instance *instance)
{
    struct pool *pool = worker->pool;

    if (!esp_crew_wants_help(instance))
        return false;
    uint64_t begin = clock_now();
    atomic_fetch_sub(&pool->free, 1);
    bool helped = esp_crew_help(instance);
    atomic_fetch_add(&pool->free, 1);
    if (helped) {
        metrics_help(pool->parts.metrics);
        pace_add(pool->parts.pace, 0, clock_now() - begin);
    }
    return helped;
}

/* Takes over a branch of somebody's run, if there is one. */
static bool help(struct worker *worker)
{
    for (size_t i = 0; i < worker->network_count; i++)
        if (help_in(worker, worker->networks[i]->places[worker->number].instance))
            return true;
    return false;
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
        follow_networks(worker);
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
        desk_answer(&worker->desk, (struct job **)worker->jobs, count); /* a job begins with its queue_item */
        atomic_fetch_add(&pool->free, 1);
    }
    release_networks(worker);
    return NULL;
}

/* ---- life ---- */

static struct pool *make_pool(const struct pool_parts *parts)
{
    struct pool *made = calloc(1, sizeof *made + parts->instances * sizeof made->workers[0]);

    if (!made)
        return NULL;
    made->parts = *parts;
    made->desk_parts = (struct desk_parts){.jobs = parts->jobs,
                                           .metrics = parts->metrics,
                                           .pace = parts->pace,
                                           .running = &made->running,
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
    worker->number = number;
    enum esp_status status = desk_open(&worker->desk, &pool->desk_parts, number, err);
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
    enum esp_status status = ESP_OK;

    *pool = made;
    if (!made)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < parts->instances && status == ESP_OK; i++)
        status = make_worker(made, i, err);
    if (status != ESP_OK)
        pool_stop(pool);
    return status;
}

void pool_refuse(struct pool *pool)
{
    atomic_store(&pool->stopping, true);
    queue_close(pool->parts.queue);
}

void pool_stop(struct pool **pool)
{
    if (!*pool)
        return;
    pool_refuse(*pool);
    for (size_t i = 0; i < (*pool)->parts.instances; i++)
        if ((*pool)->workers[i].running)
            pthread_join((*pool)->workers[i].thread, NULL);
    for (size_t i = 0; i < (*pool)->parts.instances; i++)
        desk_close(&(*pool)->workers[i].desk);
    free(*pool);
    *pool = NULL;
}

uint64_t pool_running(struct pool *pool)
{
    return atomic_load(&pool->running);
}
