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
    const esp_model *model;
    struct bell *bell;   /* rings when there is something to do */
    struct queue *queue; /* of struct job; rings the bell */
    struct job_store *jobs;
    struct metrics *metrics;
    struct branch_counts *branches; /* of as many workers */
    struct esp_image_limits limits;
    size_t instances;
    size_t batch; /* the most requests that run together */
};

enum esp_status pool_start(struct pool **pool, const struct pool_parts *parts, struct esp_error *err);

/* Closes the queue, answers what still waits in it with 503, and waits for the workers: afterwards no exchange is
 * suspended any more. */
void pool_stop(struct pool **pool);

#endif
