/* The instances: worker threads that take jobs from the queue, decode the image, run the network and write the answer.
 *
 * Each worker owns one esp_instance, one esp_decoder and the room for scores; the weights are shared. Nothing of a
 * request outlives it in a worker but buffers that the next one overwrites. */
#ifndef SERVER_POOL_H
#define SERVER_POOL_H

#include "espalier/image.h"
#include "server/job.h"
#include "server/metrics.h"
#include "server/queue.h"

struct pool;

/* All of these must outlive the pool. */
struct pool_parts {
    const esp_model *model;
    struct queue *queue; /* of struct job */
    struct job_store *jobs;
    struct metrics *metrics;
    struct esp_image_limits limits;
    size_t instances;
};

enum esp_status pool_start(struct pool **pool, const struct pool_parts *parts, struct esp_error *err);

/* Closes the queue, answers what still waits in it with 503, and waits for the workers: afterwards no exchange is
 * suspended any more. */
void pool_stop(struct pool **pool);

#endif
