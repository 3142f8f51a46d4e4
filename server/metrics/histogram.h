/* How durations are spread: a Prometheus histogram whose bounds are the same for all, so that those of many daemons can
 * be added up. Observing takes two atomic additions. All functions are thread-safe; one that prints while others
 * observe may miss the latest. */
#ifndef SERVER_METRICS_HISTOGRAM_H
#define SERVER_METRICS_HISTOGRAM_H

#include "server/metrics/print.h"

#include <stdatomic.h>

enum { HISTOGRAM_BOUNDS = 18, HISTOGRAM_LABELS_MAX = 4 };

/* The upper bounds of the buckets in nanoseconds, 25 µs to 10 s, ascending; a duration that equals one counts into its
 * bucket. */
extern const uint64_t histogram_bounds[HISTOGRAM_BOUNDS];

/* All zero is a new one. It begins a cache line: who observes here slows nobody down who observes elsewhere. */
struct histogram {
    _Alignas(64) atomic_uint_least64_t buckets[HISTOGRAM_BOUNDS + 1]; /* the last one is for all that is longer */
    atomic_uint_least64_t sum_ns;
};

void histogram_observe(struct histogram *histogram, uint64_t ns);

/* How many durations were observed. */
uint64_t histogram_count(const struct histogram *histogram);

/* Prints NAME_bucket, NAME_sum and NAME_count, without the head; `labels` as in print.h, HISTOGRAM_LABELS_MAX or fewer.
 * The last bucket and the count always agree. */
void histogram_print(const struct histogram *histogram, const char *name, const struct label *labels, FILE *out);

#endif
