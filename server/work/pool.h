/* The pool: worker threads, each with an instance, that look for something to do.
 *
 * What waits in the queue comes first: a worker that is free takes its share of it, so that requests which wait anyway
 * run together, and none waits while a worker is free. Nobody waits for a batch to fill. Where nothing waits, a worker
 * takes over a branch of what another one runs, and looks again after it. Where there is nothing of that either, it
 * looks for a moment longer if others are at work, and sleeps. */
#ifndef SERVER_WORK_POOL_H
#define SERVER_WORK_POOL_H

#include "server/work/desk.h"
#include "server/work/queue.h"

struct pool;

/* All of these must outlive the pool. */
struct pool_parts {
    struct repository *repository; /* its networks have as many workers */
    struct bell *bell;             /* rings when there is something to do, and when the networks have changed */
    struct queue *queue;           /* of struct job; rings the bell */
    struct job_store *jobs;
    struct metrics *metrics;
    struct pace *pace;
    struct esp_image_limits limits;
    size_t instances;
    size_t batch; /* the most requests that run together */
};

enum esp_status pool_start(struct pool **pool, const struct pool_parts *parts, struct esp_error *err);

/* From now on what waits is answered with 503. */
void pool_refuse(struct pool *pool);

/* Does so, and waits for the workers: afterwards no exchange of a job is suspended any more. */
void pool_stop(struct pool **pool);

/* MACs that the instances are at work on. Thread-safe. */
uint64_t pool_running(struct pool *pool);

#endif
