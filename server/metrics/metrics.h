/* What the service counts about itself, as Prometheus reads it (text format 0.0.4).
 *
 * Counting takes a few atomic additions: no locks in the path of a request, and what different kinds of threads write
 * lies on different cache lines. All functions are thread-safe. */
#ifndef SERVER_METRICS_METRICS_H
#define SERVER_METRICS_METRICS_H

#include "espalier/cost.h"
#include "espalier/limits.h"
#include "server/metrics/branch_counts.h"
#include "server/metrics/histogram.h"
#include "server/times.h"

enum { METRICS_ROUTES_MAX = 32, METRICS_CODES = 19 };

enum rejection {
    REJECTED_QUEUE_FULL,  /* 429: as many requests wait as may */
    REJECTED_QUEUE_MACS,  /* 429: as many MACs wait as may */
    REJECTED_QUEUE_BYTES, /* 429: the bodies that are held take as many bytes as they may */
    REJECTED_DEADLINE,    /* 504 */
    REJECTED_DRAINING,    /* 503 */
    REJECTED_TOO_LARGE,   /* 413 */
    REJECTED_MEDIA_TYPE,  /* 415 */
    REJECTED_FRAMING,     /* 400 */
    REJECTIONS
};

/* What a client was too slow with, so that its connection was closed. */
enum late { LATE_HEADER, LATE_BODY, LATE_SEND, LATES };

enum metrics_stage { STAGE_QUEUE, STAGE_DECODE, STAGE_PREPROCESS, STAGE_TRUNK, STAGE_BRANCHES, STAGE_ENCODE, STAGES };

/* All zero is a new one. */
struct metrics {
    /* by the threads that read and write */
    struct histogram requests[METRICS_ROUTES_MAX][METRICS_CODES];
    _Alignas(64) atomic_uint_least64_t rejected[REJECTIONS];
    atomic_uint_least64_t cancelled, loaded, load_refused;
    /* by the instances, for each image */
    struct histogram stages[STAGES];
    _Alignas(64) atomic_uint_least64_t macs, macs_full, predictions;
    /* by the instances, for each run */
    _Alignas(64) atomic_uint_least64_t runs[ESP_BATCH_MAX]; /* by images, from 1 */
    _Alignas(64) atomic_uint_least32_t instances_busy, batch_size;
    /* by the instances that help, for each branch */
    _Alignas(64) atomic_uint_least64_t helped;
};

/* A network that is served. */
struct metrics_model {
    const char *name, *version, *kernels, *precision;
    bool is_default;
    const struct branch_counts *branches; /* NULL: not counted */
};

/* What is not counted here but looked up when somebody asks. */
struct metrics_view {
    const char *(*route)(size_t number); /* names a row of `requests`, each another name; NULL after the last */
    uint64_t queue_depth, queue_capacity;
    uint64_t queue_macs, queue_macs_capacity;
    uint64_t body_bytes, body_bytes_capacity;
    uint64_t instances;
    uint64_t connections, connections_total, connections_evicted; /* now; since the start */
    uint64_t late[LATES];
    uint64_t log_lines_dropped;
    uint64_t certificate_until; /* in seconds since 1970; 0: there is none */
    bool ready;
    const char *version;
    const struct metrics_model *models; /* [model_count], each with another name */
    size_t model_count;
};

/* A request is over: its row (see metrics_view.route), the status of its answer, 0 if it got none, and the nanoseconds
 * from its request line to its end. */
void metrics_request(struct metrics *metrics, size_t route, unsigned status, uint64_t ns);

void metrics_reject(struct metrics *metrics, enum rejection why);

/* The client was gone while its request waited, so that it was dropped. */
void metrics_cancel(struct metrics *metrics);

/* A network was loaded anew, or could not be. */
void metrics_load(struct metrics *metrics, bool good);

/* A run of an instance with `images` images, 1 to ESP_BATCH_MAX. */
void metrics_run(struct metrics *metrics, size_t images);

/* A branch of another instance's run was taken over. */
void metrics_help(struct metrics *metrics);

/* One image went through: what it cost, beside the whole network's MACs, and what came out. */
void metrics_image(struct metrics *metrics, const struct esp_cost *cost, uint64_t macs_full, size_t predictions);

/* Its stages. */
void metrics_stages(struct metrics *metrics, const struct times *times);

/* How long an answer took to write. */
void metrics_encode(struct metrics *metrics, uint64_t ns);

/* An instance begins with what it has taken; has finished with it. */
void metrics_begin(struct metrics *metrics);
void metrics_end(struct metrics *metrics);

/* Prints everything, the process_... families, too. Allocates nothing. */
void metrics_print(const struct metrics *metrics, const struct metrics_view *view, FILE *out);

#endif
