#include "server/metrics/metrics.h"

#include <inttypes.h>

static const unsigned codes[METRICS_CODES] = {200, 204, 400, 404, 405, 413, 415, 422, 429, 500, 503, 504, 0};

static const char *const reasons[REJECTIONS] = {
    [REJECTED_QUEUE_FULL] = "queue_full", [REJECTED_QUEUE_MACS] = "queue_macs", [REJECTED_DEADLINE] = "deadline",     [REJECTED_DRAINING] = "draining",
    [REJECTED_TOO_LARGE] = "too_large",   [REJECTED_MEDIA_TYPE] = "media_type", [REJECTED_FRAMING] = "framing",
};

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
    while (codes[row] && codes[row] != status)
        row++;
    return row;
}

void metrics_request(struct metrics *metrics, size_t route, unsigned status)
{
    add(&metrics->requests[route][row_of(status)], 1);
}

void metrics_reject(struct metrics *metrics, enum rejection why)
{
    add(&metrics->rejected[why], 1);
}

void metrics_run(struct metrics *metrics, size_t images)
{
    add(&metrics->runs[images - 1], 1);
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

void metrics_begin(struct metrics *metrics)
{
    atomic_fetch_add_explicit(&metrics->instances_busy, 1, memory_order_relaxed);
}

void metrics_end(struct metrics *metrics)
{
    atomic_fetch_sub_explicit(&metrics->instances_busy, 1, memory_order_relaxed);
}

static void print_head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_one(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
    print_head(out, name, type, help);
    fprintf(out, "%s %" PRIu64 "\n", name, value);
}

static void print_request(FILE *out, const char *route, unsigned code, uint64_t count)
{
    char number[16] = "other";

    if (code)
        snprintf(number, sizeof number, "%u", code);
    if (count)
        fprintf(out, "espalier_requests_total{route=\"%s\",code=\"%s\"} %" PRIu64 "\n", route, number, count);
}

static void print_requests(const struct metrics *metrics, const struct metrics_view *view, FILE *out)
{
    print_head(out, "espalier_requests_total", "counter", "Requests answered.");
    for (size_t route = 0; view->route(route); route++)
        for (size_t row = 0; row < METRICS_CODES; row++)
            print_request(out, view->route(route), codes[row], get(&metrics->requests[route][row]));
}

static void print_rejected(const struct metrics *metrics, FILE *out)
{
    print_head(out, "espalier_rejected_total", "counter", "Requests refused, by reason.");
    for (size_t i = 0; i < REJECTIONS; i++)
        fprintf(out, "espalier_rejected_total{reason=\"%s\"} %" PRIu64 "\n", reasons[i], get(&metrics->rejected[i]));
}

static void print_runs(const struct metrics *metrics, FILE *out)
{
    print_head(out, "espalier_runs_total", "counter", "Runs of an instance, by the images that ran together.");
    for (size_t i = 0; i < ESP_BATCH_MAX; i++)
        if (get(&metrics->runs[i]))
            fprintf(out, "espalier_runs_total{images=\"%zu\"} %" PRIu64 "\n", i + 1, get(&metrics->runs[i]));
}

/* A label's value: backslash, quote and newline are escaped. */
static void print_label(FILE *out, const char *name, const char *value)
{
    fprintf(out, "%s=\"", name);
    for (; *value; value++) {
        if (*value == '\n')
            fputs("\\n", out);
        else
            fprintf(out, "%s%c", *value == '"' || *value == '\\' ? "\\" : "", *value);
    }
    fputc('"', out);
}

static void print_build(const struct metrics_view *view, FILE *out)
{
    print_head(out, "espalier_build_info", "gauge", "What runs here; always 1.");
    fputs("espalier_build_info{", out);
    print_label(out, "version", view->version);
    fputc(',', out);
    print_label(out, "kernels", view->kernels);
    fputc(',', out);
    print_label(out, "precision", view->precision);
    fputc(',', out);
    print_label(out, "model", view->model);
    fputs("} 1\n", out);
}

void metrics_print(const struct metrics *metrics, const struct metrics_view *view, FILE *out)
{
    uint64_t busy = atomic_load_explicit(&metrics->instances_busy, memory_order_relaxed);

    print_requests(metrics, view, out);
    print_rejected(metrics, out);
    print_runs(metrics, out);
    print_one(out, "espalier_branches_helped_total", "counter", "Branches that another instance took over.",
              get(&metrics->helped));
    print_one(out, "espalier_macs_total", "counter", "Multiply-accumulates that ran.", get(&metrics->macs));
    print_one(out, "espalier_macs_full_total", "counter", "What whole networks would have run for the same images.",
              get(&metrics->macs_full));
    print_one(out, "espalier_predictions_total", "counter", "Predictions answered.", get(&metrics->predictions));
    print_one(out, "espalier_queue_depth", "gauge", "Requests that wait for an instance.", view->queue_depth);
    print_one(out, "espalier_queue_capacity", "gauge", "Requests that may wait.", view->queue_capacity);
    print_one(out, "espalier_instances", "gauge", "Instances of the network.", view->instances);
    print_one(out, "espalier_instances_busy", "gauge", "Instances that work right now.", busy);
    print_one(out, "espalier_ready", "gauge", "1 if the service takes requests.", view->ready);
    print_build(view, out);
}
