/* Metrics: histograms and their text, labels, counting by many threads at a time, the branches of a network. */
#include "server/metrics/metrics.h"
#include "tests/support/support.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, ROUNDS = 20000 };

/* What `print` writes, in a buffer that the next call writes again. */
static char text[1 << 20];

static FILE *begin_text(void)
{
    return fmemopen(text, sizeof text, "w");
}

/* The value of the sample that begins with `start` (name and labels). */
static double sample(const char *start)
{
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!strncmp(line, start, strlen(start)) && line[strlen(start)] == ' ')
            return atof(line + strlen(start));
    }
    ck_abort_msg("no sample %s in\n%s", start, text);
    return 0;
}

static void run_threads(void *(*work)(void *), void *contexts, size_t size)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, (char *)contexts + (size_t)i * size), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* ---- histograms ---- */

static void print_histogram(const struct histogram *histogram, const struct label *labels)
{
    FILE *out = begin_text();
    histogram_print(histogram, "x", labels, out);
    fclose(out);
}

START_TEST(test_bounds_are_seconds_and_belong_to_their_bucket)
{
    ck_assert_uint_eq(histogram_bounds[0], 25000);
    ck_assert_uint_eq(histogram_bounds[HISTOGRAM_BOUNDS - 1], 10000000000);
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        struct histogram histogram = {0};
        ck_assert(i == 0 || histogram_bounds[i - 1] < histogram_bounds[i]);
        histogram_observe(&histogram, histogram_bounds[i]);
        histogram_observe(&histogram, histogram_bounds[i] + 1);
        for (size_t bucket = 0; bucket <= HISTOGRAM_BOUNDS; bucket++)
            ck_assert_uint_eq(atomic_load(&histogram.buckets[bucket]), bucket == i || bucket == i + 1);
    }
}
END_TEST

START_TEST(test_histogram_text)
{
    struct histogram histogram = {0};
    const struct label labels[] = {{"a", "b"}, {NULL, NULL}};

    histogram_observe(&histogram, 0);
    histogram_observe(&histogram, 25000);
    histogram_observe(&histogram, 25001);
    histogram_observe(&histogram, 999999999);
    histogram_observe(&histogram, 60000000000);
    ck_assert_uint_eq(histogram_count(&histogram), 5);
    print_histogram(&histogram, labels);
    ck_assert(sample("x_bucket{a=\"b\",le=\"2.5e-05\"}") == 2);
    ck_assert(sample("x_bucket{a=\"b\",le=\"5e-05\"}") == 3);
    ck_assert(sample("x_bucket{a=\"b\",le=\"0.5\"}") == 3);
    ck_assert(sample("x_bucket{a=\"b\",le=\"1\"}") == 4);
    ck_assert(sample("x_bucket{a=\"b\",le=\"10\"}") == 4);
    ck_assert(sample("x_bucket{a=\"b\",le=\"+Inf\"}") == 5);
    ck_assert(sample("x_count{a=\"b\"}") == 5);
    ck_assert_ptr_nonnull(strstr(text, "x_sum{a=\"b\"} 61.000050000\n"));
    print_histogram(&histogram, NULL);
    ck_assert(sample("x_bucket{le=\"+Inf\"}") == 5);
    ck_assert(sample("x_count") == 5);
}
END_TEST

START_TEST(test_labels_are_escaped)
{
    const struct label labels[] = {{"one", "a \"b\" \\ c\nd {},="}, {"two", "\xc3\xa9"}, {NULL, NULL}};
    FILE *out = begin_text();

    print_sample(out, "x", labels, UINT64_MAX);
    print_sample(out, "y", &labels[2], 7);
    print_seconds(out, "z", NULL, 12000000003);
    fclose(out);
    ck_assert_str_eq(text, "x{one=\"a \\\"b\\\" \\\\ c\\nd {},=\",two=\"\xc3\xa9\"} 18446744073709551615\n"
                           "y 7\n"
                           "z 12.000000003\n");
}
END_TEST

/* ---- all of it ---- */

static const char *route_name(size_t number)
{
    static const char *const names[] = {"/classify", "other", NULL};
    return names[number];
}

static void print_metrics(const struct metrics *metrics, const struct metrics_view *view)
{
    struct metrics_view shown = view ? *view : (struct metrics_view){0};
    FILE *out = begin_text();

    shown.route = route_name;
    shown.version = "1.2.3";
    metrics_print(metrics, &shown, out);
    fclose(out);
}

START_TEST(test_requests_by_route_and_code)
{
    static struct metrics metrics;

    metrics_request(&metrics, 0, 200, 1000000);
    metrics_request(&metrics, 0, 200, 2000000);
    metrics_request(&metrics, 0, 0, 5);
    metrics_request(&metrics, 1, 404, 5);
    metrics_request(&metrics, 1, 418, 5);
    print_metrics(&metrics, NULL);
    ck_assert(sample("espalier_requests_total{route=\"/classify\",code=\"200\"}") == 2);
    ck_assert(sample("espalier_requests_total{route=\"/classify\",code=\"none\"}") == 1);
    ck_assert(sample("espalier_requests_total{route=\"other\",code=\"404\"}") == 1);
    ck_assert(sample("espalier_requests_total{route=\"other\",code=\"other\"}") == 1);
    ck_assert(sample("espalier_request_duration_seconds_count{route=\"/classify\",code=\"200\"}") == 2);
    ck_assert(sample("espalier_request_duration_seconds_sum{route=\"/classify\",code=\"200\"}") == 0.003);
    ck_assert_ptr_null(strstr(text, "code=\"422\"")); /* none has occurred */
}
END_TEST

START_TEST(test_the_view_is_shown)
{
    static struct metrics metrics;
    struct metrics_model models[] = {{"a", "1", "plain", "fp32", true, NULL}, {"b", "2", "plain", "bf16", false, NULL}};
    struct metrics_view view = {.queue_depth = 3,
                                .queue_macs = UINT64_C(1) << 60,
                                .late = {[LATE_BODY] = 4},
                                .connections_total = 5,
                                .models = models,
                                .model_count = 2};

    metrics_reject(&metrics, REJECTED_QUEUE_MACS);
    metrics_cancel(&metrics);
    metrics_load(&metrics, true);
    metrics_load(&metrics, false);
    metrics_load(&metrics, false);
    metrics_run(&metrics, 7);
    print_metrics(&metrics, &view);
    ck_assert(sample("espalier_queue_depth") == 3);
    ck_assert_ptr_nonnull(strstr(text, "\nespalier_queue_macs 1152921504606846976\n"));
    ck_assert(sample("espalier_timeouts_total{what=\"body\"}") == 4);
    ck_assert(sample("espalier_timeouts_total{what=\"send\"}") == 0);
    ck_assert(sample("espalier_connections_total") == 5);
    ck_assert(sample("espalier_rejected_total{reason=\"queue_macs\"}") == 1);
    ck_assert(sample("espalier_cancelled_total") == 1);
    ck_assert(sample("espalier_model_loads_total{result=\"loaded\"}") == 1);
    ck_assert(sample("espalier_model_loads_total{result=\"refused\"}") == 2);
    ck_assert(sample("espalier_batch_size") == 7);
    ck_assert(sample("espalier_runs_total{images=\"7\"}") == 1);
    ck_assert(
        sample(
            "espalier_model_info{model=\"a\",version=\"1\",kernels=\"plain\",precision=\"fp32\",default=\"true\"}") ==
        1);
    ck_assert(
        sample(
            "espalier_model_info{model=\"b\",version=\"2\",kernels=\"plain\",precision=\"bf16\",default=\"false\"}") ==
        1);
    ck_assert(sample("process_resident_memory_bytes") > 1e6);
    ck_assert(sample("process_open_fds") >= 3);
    ck_assert(sample("process_threads") >= 1);
}
END_TEST

static void *count_all(void *context)
{
    struct metrics *metrics = *(struct metrics **)context;
    const struct esp_cost cost = {.macs = 3};
    const struct times times = {.queue = 1e-3, .decode = 2e-3, .preprocess = 3e-3, .trunk = 4e-3, .branches = 5e-3};

    for (int i = 0; i < ROUNDS; i++) {
        metrics_request(metrics, 0, 200, 1000);
        metrics_stages(metrics, &times);
        metrics_encode(metrics, 2000);
        metrics_image(metrics, &cost, 5, 2);
        metrics_run(metrics, 2);
        metrics_begin(metrics);
        metrics_end(metrics);
    }
    return NULL;
}

START_TEST(test_many_threads_lose_nothing)
{
    static struct metrics metrics;
    struct metrics *contexts[THREADS] = {&metrics, &metrics, &metrics, &metrics};
    const double all = THREADS * ROUNDS;

    run_threads(count_all, contexts, sizeof contexts[0]);
    print_metrics(&metrics, NULL);
    ck_assert(sample("espalier_requests_total{route=\"/classify\",code=\"200\"}") == all);
    ck_assert_double_eq_tol(sample("espalier_request_duration_seconds_sum{route=\"/classify\",code=\"200\"}"),
                            all * 1e-6, 1e-9);
    ck_assert(sample("espalier_stage_duration_seconds_count{stage=\"encode\"}") == all);
    ck_assert(sample("espalier_stage_duration_seconds_bucket{stage=\"branches\",le=\"0.0025\"}") == 0);
    ck_assert(sample("espalier_stage_duration_seconds_bucket{stage=\"branches\",le=\"0.005\"}") == all);
    ck_assert_double_eq_tol(sample("espalier_stage_duration_seconds_sum{stage=\"trunk\"}"), all * 4e-3, 1e-6);
    ck_assert(sample("espalier_macs_total") == 3 * all);
    ck_assert(sample("espalier_macs_full_total") == 5 * all);
    ck_assert(sample("espalier_predictions_total") == 2 * all);
    ck_assert(sample("espalier_runs_total{images=\"2\"}") == all);
    ck_assert(sample("espalier_instances_busy") == 0);
}
END_TEST

/* ---- branches ---- */

struct counter {
    struct branch_counts *counts;
    size_t worker;
    const esp_cutout *cutout;
};

static void *count_branches(void *context)
{
    const struct counter *counter = context;
    for (int i = 0; i < ROUNDS; i++)
        branch_counts_add(counter->counts, counter->worker, &(struct esp_job){.cutout = counter->cutout});
    return NULL;
}

static uint64_t sum_of(const struct branch_counts *counts, const esp_model *model, const char *path)
{
    size_t node;
    ck_assert_int_eq(esp_model_find(model, path, strlen(path), &node, NULL), ESP_OK);
    ck_assert_str_eq(branch_counts_path(counts, node), path);
    return branch_counts_sum(counts, node);
}

START_TEST(test_branches_that_run_are_counted)
{
    esp_model *model = load_bundled("plain");
    esp_cutout *cutouts[] = {make_cutout(model, NULL), make_cutout(model, (const char *[]){"tabby", NULL}),
                             make_cutout(model, (const char *[]){"cat", "orange", NULL}), make_cutout(model, NULL)};
    struct branch_counts *counts;
    struct counter counters[THREADS];

    ck_assert(branch_counts_create(&counts, model, THREADS));
    ck_assert(branch_counts_fits(counts, model));
    for (size_t i = 0; i < THREADS; i++)
        counters[i] = (struct counter){counts, i, cutouts[i]};
    run_threads(count_branches, counters, sizeof counters[0]);
    for (size_t node = 0; node < esp_model_info(model)->nodes; node++) {
        uint64_t expected = 0;
        for (size_t i = 0; i < THREADS; i++)
            expected += esp_cutout_runs(cutouts[i], node) ? ROUNDS : 0;
        ck_assert_uint_eq(branch_counts_sum(counts, node), expected);
    }
    ck_assert_uint_eq(sum_of(counts, model, "trunk"), 4 * ROUNDS);
    ck_assert_uint_eq(sum_of(counts, model, "animal/cat/tabby"), 4 * ROUNDS);
    ck_assert_uint_eq(sum_of(counts, model, "animal/cat/persian_cat"), 3 * ROUNDS);
    ck_assert_uint_eq(sum_of(counts, model, "food"), 3 * ROUNDS);
    ck_assert_uint_eq(sum_of(counts, model, "animal/dog"), 2 * ROUNDS);
    for (size_t i = 0; i < THREADS; i++)
        esp_cutout_destroy(&cutouts[i]);
    branch_counts_release(counts);
    esp_model_destroy(&model);
}
END_TEST

START_TEST(test_counts_outlive_their_model)
{
    static struct metrics metrics;
    esp_model *model = load_bundled("plain"), *other = load_model("tests/golden/layers/nested_layers", "plain");
    struct branch_counts *counts;
    esp_cutout *cutout = make_cutout(model, (const char *[]){"tabby", NULL});

    ck_assert(branch_counts_create(&counts, model, 1));
    branch_counts_add(counts, 0, &(struct esp_job){.cutout = cutout});
    esp_cutout_destroy(&cutout);
    esp_model_destroy(&model);
    branch_counts_release(branch_counts_keep(counts));
    ck_assert(!branch_counts_fits(counts, other));
    model = load_bundled("plain"); /* the next one of the same tree */
    ck_assert(branch_counts_fits(counts, model));
    cutout = make_cutout(model, (const char *[]){"cat", NULL});
    branch_counts_add(counts, 0, &(struct esp_job){.cutout = cutout});
    struct metrics_model shown = {"m", "1", "plain", "fp32", true, counts};
    print_metrics(&metrics, &(struct metrics_view){.models = &shown, .model_count = 1});
    ck_assert(sample("espalier_branch_runs_total{model=\"m\",branch=\"trunk\"}") == 2);
    ck_assert(sample("espalier_branch_runs_total{model=\"m\",branch=\"animal/cat/tabby\"}") == 2);
    ck_assert(sample("espalier_branch_runs_total{model=\"m\",branch=\"animal/cat/persian_cat\"}") == 1);
    ck_assert(sample("espalier_branch_runs_total{model=\"m\",branch=\"food\"}") == 0);
    esp_cutout_destroy(&cutout);
    branch_counts_release(counts);
    branch_counts_release(NULL);
    ck_assert_ptr_null(branch_counts_keep(NULL));
    esp_model_destroy(&model);
    esp_model_destroy(&other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tests = tcase_create("metrics");

    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_bounds_are_seconds_and_belong_to_their_bucket);
    tcase_add_test(tests, test_histogram_text);
    tcase_add_test(tests, test_labels_are_escaped);
    tcase_add_test(tests, test_requests_by_route_and_code);
    tcase_add_test(tests, test_the_view_is_shown);
    tcase_add_test(tests, test_many_threads_lose_nothing);
    tcase_add_test(tests, test_branches_that_run_are_counted);
    tcase_add_test(tests, test_counts_outlive_their_model);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
