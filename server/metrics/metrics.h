/* What the service counts about itself, as Prometheus reads it (text format 0.0.4).
 *
 * Counting is an atomic addition: no locks in the path of a request. All functions are thread-safe. */
#ifndef SERVER_METRICS_METRICS_H
#define SERVER_METRICS_METRICS_H

#include "espalier/cost.h"
#include "espalier/limits.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The status codes that we answer, plus one for any other. */
enum { METRICS_ROUTES_MAX = 32, METRICS_CODES = 13 };

enum rejection {
    REJECTED_QUEUE_FULL,
    REJECTED_QUEUE_MACS,
    REJECTED_DEADLINE,
    REJECTED_DRAINING,
    REJECTED_TOO_LARGE,
    REJECTED_MEDIA_TYPE,
    REJECTED_FRAMING,
    REJECTIONS
};

/* All zero is a new one. */
struct metrics {
    atomic_uint_least64_t requests[METRICS_ROUTES_MAX][METRICS_CODES];
    atomic_uint_least64_t rejected[REJECTIONS];
    atomic_uint_least64_t macs, macs_full, predictions;
    atomic_uint_least64_t runs[ESP_BATCH_MAX]; /* by images, from 1 */
    atomic_uint_least64_t helped;
    atomic_uint_least32_t instances_busy;
};

/* What is not counted but looked up when somebody asks. */
struct metrics_view {
    const char *(*route)(size_t number); /* names a row of `requests`; NULL after the last */
    size_t queue_depth, queue_capacity, instances;
    bool ready;
    const char *version, *kernels, *precision, *model;
};

void metrics_request(struct metrics *metrics, size_t route, unsigned status);
void metrics_reject(struct metrics *metrics, enum rejection why);

/* A run of an instance with `images` images, 1 to ESP_BATCH_MAX. */
void metrics_run(struct metrics *metrics, size_t images);

/* A branch of another instance's run was taken over. */
void metrics_help(struct metrics *metrics);

/* One image went through: what it cost, beside the whole network's MACs, and what came out. */
void metrics_image(struct metrics *metrics, const struct esp_cost *cost, uint64_t macs_full, size_t predictions);

/* An instance begins with what it has taken; has finished with it. */
void metrics_begin(struct metrics *metrics);
void metrics_end(struct metrics *metrics);

void metrics_print(const struct metrics *metrics, const struct metrics_view *view, FILE *out);

#endif
