/* A desk: where one worker answers requests, several at a time: it decodes their images, runs the network once for all
 * of them, and writes the answers. Each desk is used by one thread; what the desks share is thread-safe. Nothing of a
 * request outlives it here but buffers that the next one overwrites. */
#ifndef SERVER_WORK_DESK_H
#define SERVER_WORK_DESK_H

#include "espalier/image.h"
#include "espalier/instance.h"
#include "espalier/predict.h"
#include "server/answer.h"
#include "server/metrics/metrics.h"
#include "server/work/job.h"

#include <stdatomic.h>

/* What all desks share; it must outlive them. */
struct desk_parts {
    const esp_model *model;
    struct job_store *jobs;
    struct metrics *metrics;
    struct branch_counts *branches;
    struct esp_image_limits limits;
    size_t batch;                /* the most requests at a time */
    const atomic_bool *stopping; /* from then on requests are refused */
};

/* A request whose image is decoded. */
struct seat {
    struct job *job;
    struct times times;
};

struct desk {
    const struct desk_parts *parts;
    size_t number;          /* the worker's */
    esp_instance *instance; /* not the desk's own; of parts->batch images */
    esp_decoder *decoder;
    struct seat *seats;                 /* [batch] */
    struct esp_job *engine;             /* [batch], the seats as the engine sees them */
    float *scores;                      /* [batch][nodes] */
    struct esp_prediction *predictions; /* [categories] */
    uint8_t *bytes;                     /* [capacity], a decoded base64 text */
    size_t capacity;
};

/* Whatever it returns, desk_close is due. A desk that is all zero is closed. */
enum esp_status desk_open(struct desk *desk, const struct desk_parts *parts, size_t number, esp_instance *instance,
                          struct esp_error *err);
void desk_close(struct desk *desk);

/* Answers `count` requests, at most parts->batch, and resumes their exchanges: those that have to be refused before the
 * network runs, the others after it. One that fails takes nothing from the others. */
void desk_answer(struct desk *desk, struct job **jobs, size_t count);

#endif
