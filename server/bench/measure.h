/* What `espalier bench` measures: whole runs of the engine, the same runs layer by layer, decoding and preprocessing,
 * and the machine's peak. Everything is done many times, and the medians count: other programs disturb a mean.
 *
 * Whole runs are timed without a profile, on all threads. The layers are timed in further runs, on one thread: looking
 * at the clock at every layer takes time of its own, and a layer's share of a peak is that of one core. */
#ifndef SERVER_BENCH_MEASURE_H
#define SERVER_BENCH_MEASURE_H

#include "espalier/image.h"
#include "espalier/profile.h"

#include <stdint.h>

enum { BENCH_THREADS_MAX = 256, BENCH_RUNS_MAX = 1000000 };

struct bench {
    const esp_model *model;
    const esp_cutout *cutout; /* closed; that of all images */
    const uint8_t *jpeg;      /* the picture of all images; NULL for random values, and no decoding */
    size_t jpeg_size;
    size_t batch, threads, runs;
};

/* A row of the profile that ran: MACs and median seconds of one run of the whole batch. */
struct bench_row {
    const struct esp_profile_row *is;
    uint64_t macs;
    double seconds;
};

struct bench_result {
    struct esp_cost cost;            /* of one image */
    double peak;                     /* multiply-accumulates per second of one thread */
    double median, fastest;          /* seconds of a run of the whole batch: trunk and branches */
    size_t profiled;                 /* how many runs the rows are made of */
    struct bench_row *rows;          /* in the order of the tree */
    size_t count;                    /* of rows */
    size_t *first;                   /* [nodes + 1]: a node's first row; those of a subtree stand together */
    double decode, preprocess;       /* median seconds of one picture; 0 without a picture */
    struct esp_image_report picture; /* all 0 without a picture */
    esp_profile *profile;            /* that the rows belong to */
};

/* Takes some multiples of the time of `runs` runs. Whatever it returns, bench_release frees what is in `result`. */
enum esp_status bench_measure(const struct bench *bench, struct bench_result *result, struct esp_error *err);
void bench_release(struct bench_result *result);

/* Time and work added up. */
struct bench_sum {
    uint64_t macs;
    double products; /* that the kernels really made for them */
    double seconds;
};

struct bench_sum bench_row_sum(const struct bench_row *row);

/* Of the rows of the nodes from `node` to before `end`. */
struct bench_sum bench_add(const struct bench_result *result, size_t node, size_t end);

/* In 10^9 floating point operations per second, of which a multiply-accumulate is two; 0 where there is no time. */
double bench_gflops(struct bench_sum sum);

/* What share of the peak the products are; 0 where there is no time. */
double bench_share(struct bench_sum sum, const struct bench_result *result);

#endif
