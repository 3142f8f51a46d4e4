#include "server/metrics/histogram.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

const uint64_t histogram_bounds[HISTOGRAM_BOUNDS] = {25 * US,   50 * US,  100 * US, 250 * US,  500 * US, 1 * MS,
                                                     2500 * US, 5 * MS,   10 * MS,  25 * MS,   50 * MS,  100 * MS,
                                                     250 * MS,  500 * MS, 1 * S,    2500 * MS, 5 * S,    10 * S};

enum { NAME_MAX_BYTES = 128 };

void histogram_observe(struct histogram *histogram, uint64_t ns)
{
    size_t bucket = 0;

    while (bucket < HISTOGRAM_BOUNDS && ns > histogram_bounds[bucket])
        bucket++;
    atomic_fetch_add_explicit(&histogram->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum_ns, ns, memory_order_relaxed);
}

static uint64_t get(const atomic_uint_least64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

uint64_t histogram_count(const struct histogram *histogram)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
        count += get(&histogram->buckets[i]);
    return count;
}

/* Prints the buckets; gives the count, which is that of the last one. */
static uint64_t print_buckets(const struct histogram *histogram, const char *name, const struct label *labels,
                              FILE *out)
{
    struct label all[HISTOGRAM_LABELS_MAX + 2] = {{0}};
    uint64_t count = 0;
    char full[NAME_MAX_BYTES], bound[32];
    size_t used = 0;

    for (; labels && labels[used].name && used < HISTOGRAM_LABELS_MAX; used++)
        all[used] = labels[used];
    all[used] = (struct label){"le", bound};
    snprintf(full, sizeof full, "%s_bucket", name);
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        snprintf(bound, sizeof bound, "%g", (double)histogram_bounds[i] / 1e9);
        print_sample(out, full, all, count += get(&histogram->buckets[i]));
    }
    all[used].value = "+Inf";
    print_sample(out, full, all, count += get(&histogram->buckets[HISTOGRAM_BOUNDS]));
    return count;
}

void histogram_print(const struct histogram *histogram, const char *name, const struct label *labels, FILE *out)
{
    char full[NAME_MAX_BYTES];
    uint64_t count = print_buckets(histogram, name, labels, out);

    snprintf(full, sizeof full, "%s_sum", name);
    print_seconds(out, full, labels, get(&histogram->sum_ns));
    snprintf(full, sizeof full, "%s_count", name);
    print_sample(out, full, labels, count);
}
