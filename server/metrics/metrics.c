#include "server/metrics/metrics.h"

#include "server/metrics/process.h"

/* A request without an answer has status 0; whatever is not here counts as the last one. */
static const struct {
    unsigned status;
    const char *name;
} codes[METRICS_CODES] = {{200, "200"}, {202, "202"}, {204, "204"}, {400, "400"}, {401, "401"},
                          {403, "403"}, {404, "404"}, {405, "405"}, {409, "409"}, {413, "413"},
                          {415, "415"}, {422, "422"}, {429, "429"}, {499, "499"}, {500, "500"},
                          {503, "503"}, {504, "504"}, {0, "none"},  {1, "other"}};

static const char *const reasons[REJECTIONS] = {
    [REJECTED_QUEUE_FULL] = "queue_full", [REJECTED_QUEUE_MACS] = "queue_macs", [REJECTED_QUEUE_BYTES] = "queue_bytes",
    [REJECTED_DEADLINE] = "deadline",     [REJECTED_DRAINING] = "draining",     [REJECTED_TOO_LARGE] = "too_large",
    [REJECTED_MEDIA_TYPE] = "media_type", [REJECTED_FRAMING] = "framing",
};

static const char *const lates[LATES] = {[LATE_HEADER] = "header", [LATE_BODY] = "body", [LATE_SEND] = "send"};

static const char *const stages[STAGES] = {
    [STAGE_QUEUE] = "queue", [STAGE_DECODE] = "decode",     [STAGE_PREPROCESS] = "preprocess",
    [STAGE_TRUNK] = "trunk", [STAGE_BRANCHES] = "branches", [STAGE_ENCODE] = "encode",
};

/* ---- counting ---- */

/* Counters stand alone: nothing else is read by their value, so they need no ordering. */
static void add(atomic_uint_least64_t *counter, uint64_t value)
{
    atomic_fetch_add_explicit(counter, value, memory_order_relaxed);
}

static uint64_t get(const atomic_uint_least64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static size_t row_of(unsigned status)
{
    size_t row = 0;
    while (row < METRICS_CODES - 1 && codes[row].status != status)
        row++;
    return row;
}

void metrics_request(struct metrics *metrics, size_t route, unsigned status, uint64_t ns)
{
    histogram_observe(&metrics->requests[route][row_of(status)], ns);
}

void metrics_reject(struct metrics *metrics, enum rejection why)
{
    add(&metrics->rejected[why], 1);
}

void metrics_cancel(struct metrics *metrics)
{
    add(&metrics->cancelled, 1);
}

void metrics_load(struct metrics *metrics, bool good)
{
    add(good ? &metrics->loaded : &metrics->load_refused, 1);
}

void metrics_run(struct metrics *metrics, size_t images)
{
    add(&metrics->runs[images - 1], 1);
    atomic_store_explicit(&metrics->batch_size, (uint_least32_t)images, memory_order_relaxed);
}

void metrics_help(struct metrics *metrics)
{
    add(&metrics->helped, 1);
}

void metrics_image(struct metrics *metrics, const struct esp_cost *cost, uint64_t macs_full, size_t predictions)
{
    add(&metrics->macs, cost->macs);
    add(&metrics->macs_full, macs_full);
    add(&metrics->predictions, predictions);
}

static void observe_seconds(struct metrics *metrics, enum metrics_stage stage, double seconds)
{
    histogram_observe(&metrics->stages[stage], (uint64_t)(seconds * 1e9 + 0.5));
}

void metrics_stages(struct metrics *metrics, const struct times *times)
{
    observe_seconds(metrics, STAGE_QUEUE, times->queue);
    observe_seconds(metrics, STAGE_DECODE, times->decode);
    observe_seconds(metrics, STAGE_PREPROCESS, times->preprocess);
    observe_seconds(metrics, STAGE_TRUNK, times->trunk);
    observe_seconds(metrics, STAGE_BRANCHES, times->branches);
}

void metrics_encode(struct metrics *metrics, uint64_t ns)
{
    histogram_observe(&metrics->stages[STAGE_ENCODE], ns);
}

void metrics_begin(struct metrics *metrics)
{
    atomic_fetch_add_explicit(&metrics->instances_busy, 1, memory_order_relaxed);
}

void metrics_end(struct metrics *metrics)
{
    atomic_fetch_sub_explicit(&metrics->instances_busy, 1, memory_order_relaxed);
}

/* ---- printing: families with labels ---- */

/* Calls `print` for each route and code that has occurred. */
static void each_request(const struct metrics *metrics, const struct metrics_view *view, FILE *out,
                         void (*print)(const struct histogram *histogram, const struct label *labels, FILE *out))
{
    for (size_t route = 0; view->route(route); route++) {
        for (size_t row = 0; row < METRICS_CODES; row++) {
            const struct histogram *histogram = &metrics->requests[route][row];
            const struct label labels[] = {{"route", view->route(route)}, {"code", codes[row].name}, {NULL, NULL}};
            if (histogram_count(histogram) > 0)
                print(histogram, labels, out);
        }
    }
}

static void print_request_count(const struct histogram *histogram, const struct label *labels, FILE *out)
{
    print_sample(out, "espalier_requests_total", labels, histogram_count(histogram));
}

static void print_request_times(const struct histogram *histogram, const struct label *labels, FILE *out)
{
    histogram_print(histogram, "espalier_request_duration_seconds", labels, out);
}

static void print_requests(const struct metrics *metrics, const struct metrics_view *view, FILE *out)
{
    print_head(out, "espalier_requests_total", "counter",
               "Requests that are over, by the code of the answer; none: the client was gone, or cut off.");
    each_request(metrics, view, out, print_request_count);
    print_head(out, "espalier_request_duration_seconds", "histogram",
               "Time of a request from its first line to the end of its answer.");
    each_request(metrics, view, out, print_request_times);
}

static void print_stages(const struct metrics *metrics, FILE *out)
{
    print_head(out, "espalier_stage_duration_seconds", "histogram",
               "Time of the stages of a classification; trunk and branches are those of the run that it was part of.");
    for (size_t i = 0; i < STAGES; i++)
        histogram_print(&metrics->stages[i], "espalier_stage_duration_seconds",
                        (const struct label[]){{"stage", stages[i]}, {NULL, NULL}}, out);
}

/* A counter with one label, for each value of which there is a count. */
static void print_counts(FILE *out, const char *name, const char *label, const char *const *values,
                         const uint64_t *counts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        print_sample(out, name, (const struct label[]){{label, values[i]}, {NULL, NULL}}, counts[i]);
}

static void print_rejected(const struct metrics *metrics, FILE *out)
{
    uint64_t counts[REJECTIONS];

    for (size_t i = 0; i < REJECTIONS; i++)
        counts[i] = get(&metrics->rejected[i]);
    print_head(out, "espalier_rejected_total", "counter", "Requests refused, by reason.");
    print_counts(out, "espalier_rejected_total", "reason", reasons, counts, REJECTIONS);
}

static void print_loads(const struct metrics *metrics, FILE *out)
{
    const uint64_t counts[] = {get(&metrics->loaded), get(&metrics->load_refused)};

    print_head(out, "espalier_model_loads_total", "counter",
               "Networks loaded while serving; refused: the old one goes on.");
    print_counts(out, "espalier_model_loads_total", "result", (const char *const[]){"loaded", "refused"}, counts, 2);
}

static void print_late(const struct metrics_view *view, FILE *out)
{
    print_head(out, "espalier_timeouts_total", "counter", "Connections closed as the client was too slow, by what.");
    print_counts(out, "espalier_timeouts_total", "what", lates, view->late, LATES);
}

static void print_runs(const struct metrics *metrics, FILE *out)
{
    char images[16];
    const struct label labels[] = {{"images", images}, {NULL, NULL}};

    print_head(out, "espalier_runs_total", "counter", "Runs of an instance, by the images that ran together.");
    for (size_t i = 0; i < ESP_BATCH_MAX; i++) {
        snprintf(images, sizeof images, "%zu", i + 1);
        if (get(&metrics->runs[i]))
            print_sample(out, "espalier_runs_total", labels, get(&metrics->runs[i]));
    }
}

/* ---- printing: the networks ---- */

static void print_branches_of(const struct metrics_model *model, FILE *out)
{
    size_t nodes = model->branches ? branch_counts_nodes(model->branches) : 0;

    for (size_t node = 0; node < nodes; node++) {
        const struct label labels[] = {
            {"model", model->name}, {"branch", branch_counts_path(model->branches, node)}, {NULL, NULL}};
        print_sample(out, "espalier_branch_runs_total", labels, branch_counts_sum(model->branches, node));
    }
}

static void print_branches(const struct metrics_view *view, FILE *out)
{
    print_head(out, "espalier_branch_runs_total", "counter", "Images that a branch, or the trunk, was run for.");
    for (size_t i = 0; i < view->model_count; i++)
        print_branches_of(&view->models[i], out);
}

static void print_models(const struct metrics_view *view, FILE *out)
{
    print_head(out, "espalier_model_info", "gauge", "A network that is served; always 1.");
    for (size_t i = 0; i < view->model_count; i++) {
        const struct metrics_model *model = &view->models[i];
        const struct label labels[] = {{"model", model->name},
                                       {"version", model->version},
                                       {"kernels", model->kernels},
                                       {"precision", model->precision},
                                       {"default", model->is_default ? "true" : "false"},
                                       {NULL, NULL}};
        print_sample(out, "espalier_model_info", labels, 1);
    }
}

/* ---- printing: all ---- */

static void print_counter(FILE *out, const char *name, const char *help, uint64_t value)
{
    print_one(out, name, "counter", help, value);
}

static void print_gauge(FILE *out, const char *name, const char *help, uint64_t value)
{
    print_one(out, name, "gauge", help, value);
}

static void print_work(const struct metrics *metrics, const struct metrics_view *view, FILE *out)
{
    print_runs(metrics, out);
    print_counter(out, "espalier_branches_helped_total", "Branches that another instance took over.",
                  get(&metrics->helped));
    print_counter(out, "espalier_macs_total", "Multiply-accumulates that ran.", get(&metrics->macs));
    print_counter(out, "espalier_macs_full_total", "What whole networks would have run for the same images.",
                  get(&metrics->macs_full));
    print_counter(out, "espalier_predictions_total", "Predictions answered.", get(&metrics->predictions));
    print_gauge(out, "espalier_instances", "Instances, each of which runs requests.", view->instances);
    print_gauge(out, "espalier_instances_busy", "Instances that work right now.",
                atomic_load_explicit(&metrics->instances_busy, memory_order_relaxed));
    print_gauge(out, "espalier_batch_size", "Images of the most recent run.",
                atomic_load_explicit(&metrics->batch_size, memory_order_relaxed));
}

static void print_queue(const struct metrics *metrics, const struct metrics_view *view, FILE *out)
{
    print_rejected(metrics, out);
    print_counter(out, "espalier_cancelled_total", "Requests dropped, as the client was gone while they waited.",
                  get(&metrics->cancelled));
    print_gauge(out, "espalier_queue_depth", "Requests that wait for an instance.", view->queue_depth);
    print_gauge(out, "espalier_queue_capacity", "Requests that may wait.", view->queue_capacity);
    print_gauge(out, "espalier_queue_macs", "Multiply-accumulates that wait for an instance.", view->queue_macs);
    print_gauge(out, "espalier_queue_macs_capacity", "Multiply-accumulates that may wait.", view->queue_macs_capacity);
    print_gauge(out, "espalier_body_bytes", "Bytes that the bodies of requests take.", view->body_bytes);
    print_gauge(out, "espalier_body_bytes_capacity", "Bytes that they may take.", view->body_bytes_capacity);
}

static void print_connections(const struct metrics_view *view, FILE *out)
{
    print_gauge(out, "espalier_connections", "Clients connected.", view->connections);
    print_counter(out, "espalier_connections_total", "Connections taken.", view->connections_total);
    print_counter(out, "espalier_connections_evicted_total", "Idle connections closed to make room for others.",
                  view->connections_evicted);
    print_late(view, out);
    if (view->certificate_until)
        print_gauge(out, "espalier_certificate_until_seconds", "When the certificate ends, in seconds since 1970.",
                    view->certificate_until);
    print_counter(out, "espalier_log_lines_dropped_total", "Lines of the log that were dropped, as they came too fast.",
                  view->log_lines_dropped);
}

static void print_build(const struct metrics_view *view, FILE *out)
{
    const struct label labels[] = {{"version", view->version}, {"compiler", __VERSION__}, {NULL, NULL}};

    print_head(out, "espalier_build_info", "gauge", "The program that runs here; always 1.");
    print_sample(out, "espalier_build_info", labels, 1);
}

void metrics_print(const struct metrics *metrics, const struct metrics_view *view, FILE *out)
{
    print_gauge(out, "espalier_ready", "1 if the service takes requests.", view->ready);
    print_requests(metrics, view, out);
    print_queue(metrics, view, out);
    print_stages(metrics, out);
    print_work(metrics, view, out);
    print_connections(view, out);
    print_loads(metrics, out);
    print_models(view, out);
    print_build(view, out);
    process_print(out);
    print_branches(view, out);
}
