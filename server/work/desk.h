/* A desk: where one worker answers requests, several at a time: it decodes their images, runs the network once for all
 * of them, or as often as they have more images than it has seats, and writes the answers. Each desk is used by one
 * thread; what the desks share is thread-safe. Nothing of a request outlives it here but buffers that the next one
 * overwrites. */
#ifndef SERVER_WORK_DESK_H
#define SERVER_WORK_DESK_H

#include "espalier/image.h"
#include "server/answer.h"
#include "server/metrics/metrics.h"
#include "server/work/job.h"
#include "server/work/pace.h"

#include <stdatomic.h>

/* What all desks share; it must outlive them. */
struct desk_parts {
    struct job_store *jobs;
    struct metrics *metrics;
    struct pace *pace;
    atomic_uint_least64_t *running; /* MACs that the instances are at work on */
    struct esp_image_limits limits;
    size_t batch;                /* the most images at a time */
    const atomic_bool *stopping; /* from then on requests are refused */
};

/* A decoded image of a request. */
struct seat {
    struct job *job;
    struct times times;
};

struct desk {
    const struct desk_parts *parts;
    size_t number; /* the worker's: its place in each network */
    struct picture_reader reader;
    struct seat *seats;     /* [batch] */
    struct esp_job *engine; /* [batch], the seats as the engine sees them */
};

/* Whatever it returns, desk_close is due. A desk that is all zero is closed. */
enum esp_status desk_open(struct desk *desk, const struct desk_parts *parts, size_t number, struct esp_error *err);
void desk_close(struct desk *desk);

/* Answers `count` requests of one network, and resumes their exchanges: those that have to be refused before the
 * network runs, the others after the run of their last image. One that fails takes nothing from the others. */
void desk_answer(struct desk *desk, struct job **jobs, size_t count);

#endif
