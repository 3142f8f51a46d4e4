/* The calibrated chance of a category: from its own score alone. */
#include "espalier/predict.h"
#include "tests/support/networks.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NETWORK "tests/golden/layers/nested_layers"

enum { CATEGORIES_MAX = 16, INPUT = 3 * 12 * 10, BATCH = 3 };

static char directory[DIRECTORY_MAX];
static esp_model *model;
static size_t categories;
static float inputs[BATCH][INPUT];

static void load(bool calibrated)
{
    struct esp_error err = {0};
    uint64_t random = 11;

    make_directory(directory);
    copy_network(NETWORK, directory, calibrated);
    if (esp_model_load(&model, directory, NULL, &err) != ESP_OK)
        ck_abort_msg("%s", err.text);
    categories = esp_model_info(model)->categories;
    ck_assert_uint_le(categories, CATEGORIES_MAX);
    for (size_t i = 0; i < BATCH; i++)
        random_floats(&random, inputs[i], INPUT);
}

static void setup(void)
{
    load(true);
}

static void teardown(void)
{
    esp_model_destroy(&model);
    remove_directory(directory);
}

/* The confidences of what the cutout says to the scores, by node. */
static double *confidences(const esp_cutout *cutout, float *scores)
{
    struct esp_job job = {.cutout = cutout, .scores = scores};
    struct esp_prediction list[CATEGORIES_MAX];
    double *values = calloc(esp_model_info(model)->nodes, sizeof *values);
    size_t count = esp_predict(&job, categories, list);

    for (size_t i = 0; i < count; i++)
        values[list[i].node] = list[i].confidence;
    return values;
}

static double formula(size_t node, float score)
{
    const struct esp_calibration *calibration = &esp_model_node(model, node)->calibration;
    return 1 / (1 + exp(-(calibration->slope * (double)score + calibration->offset)));
}

START_TEST(test_formula)
{
    esp_instance *instance = make_instance(model, 1);
    esp_cutout *all = make_cutout(model, NULL);
    float *scores = run_one(instance, all, inputs[0], NULL);
    double *values = confidences(all, scores);

    ck_assert(esp_model_info(model)->calibrated);
    for (size_t i = 0; i < categories; i++) {
        size_t node = esp_model_category_node(model, i);
        ck_assert_double_eq_tol(esp_model_node(model, node)->calibration.slope, 0.3 + 0.1 * (double)i, 1e-12);
        ck_assert_double_eq_tol(esp_model_node(model, node)->calibration.offset, 0.7 - 0.2 * (double)i, 1e-12);
        ck_assert_double_eq(values[node], formula(node, scores[node]));
    }
    free(values);
    free(scores);
    esp_cutout_destroy(&all);
    esp_instance_destroy(&instance);
}
END_TEST

/* Each category alone, in a batch with others: the bits of the whole network on its own. */
START_TEST(test_same_in_cutouts_and_batches)
{
    esp_instance *instance = make_instance(model, BATCH);
    esp_cutout *all = make_cutout(model, NULL);
    float *scores = run_one(instance, all, inputs[1], NULL);
    double *whole = confidences(all, scores);

    for (size_t i = 0; i < categories; i++) {
        size_t node = esp_model_category_node(model, i);
        const char *names[] = {esp_model_node(model, node)->path, NULL};
        esp_cutout *one = make_cutout(model, names);
        float *of[BATCH];
        struct esp_job jobs[BATCH];
        for (size_t b = 0; b < BATCH; b++) {
            of[b] = calloc(esp_model_info(model)->nodes, sizeof **of);
            jobs[b] = (struct esp_job){.cutout = b == 1 ? one : all, .input = inputs[b], .scores = of[b]};
        }
        ck_assert_int_eq(esp_instance_run(instance, jobs, BATCH, NULL), ESP_OK);
        double *values = confidences(one, of[1]);
        ck_assert_mem_eq(&values[node], &whole[node], sizeof *values);
        free(values);
        for (size_t b = 0; b < BATCH; b++)
            free(of[b]);
        esp_cutout_destroy(&one);
    }
    free(whole);
    free(scores);
    esp_cutout_destroy(&all);
    esp_instance_destroy(&instance);
}
END_TEST

/* In the order of the tree: the same predictions, of whatever cutout. */
START_TEST(test_predictions_in_order)
{
    esp_instance *instance = make_instance(model, 1);
    const char *names[] = {"kernels", NULL};

    for (int part = 0; part < 2; part++) {
        esp_cutout *cutout = make_cutout(model, part ? names : NULL);
        struct esp_job job = run_job(instance, cutout, inputs[2]);
        struct esp_prediction best[CATEGORIES_MAX], list[CATEGORIES_MAX];
        size_t count = esp_predict_in_order(&job, list);
        ck_assert_uint_eq(count, esp_cutout_cost(cutout).categories);
        ck_assert_uint_eq(count, esp_predict(&job, categories, best));
        for (size_t i = 0; i < count; i++) {
            size_t same = 0;
            while (best[same].node != list[i].node)
                ck_assert_uint_lt(++same, count);
            ck_assert(i == 0 || list[i].node > list[i - 1].node);
            ck_assert_float_eq(list[i].score, best[same].score);
            ck_assert_double_eq_tol(list[i].probability, best[same].probability, 1e-12);
            ck_assert_double_eq(list[i].confidence, best[same].confidence);
        }
        free_job(&job);
        esp_cutout_destroy(&cutout);
    }
    esp_instance_destroy(&instance);
}
END_TEST

START_TEST(test_attention_goes_through_the_score)
{
    esp_instance *instance = make_instance(model, 1);
    size_t node = esp_model_category_node(model, 0);
    const char *path = esp_model_node(model, node)->path;
    esp_cutout *plain = make_cutout(model, NULL), *attending;

    ck_assert_int_eq(esp_cutout_create(&attending, model, NULL), ESP_OK);
    ck_assert_int_eq(esp_cutout_attend(attending, path, strlen(path), 2, NULL), ESP_OK);
    ck_assert_int_eq(esp_cutout_close(attending, NULL), ESP_OK);
    float *before = run_one(instance, plain, inputs[0], NULL), *after = run_one(instance, attending, inputs[0], NULL);
    double *values = confidences(attending, after);
    ck_assert_float_ne(before[node], after[node]);
    ck_assert_double_eq(values[node], formula(node, after[node]));
    free(values);
    free(before);
    free(after);
    esp_cutout_destroy(&plain);
    esp_cutout_destroy(&attending);
    esp_instance_destroy(&instance);
}
END_TEST

/* From the lowest to the highest float, the ends included: never down, from exactly 0 to exactly 1. */
START_TEST(test_monotone_and_safe)
{
    static const float steps[] = {-INFINITY, -3.4e38f, -1e30f, -1e4f, -100, -1,    -0.5f,   0,
                                  1e-30f,    0.5f,     1,      100,   1e4f, 1e30f, 3.4e38f, INFINITY};
    enum { STEPS = sizeof steps / sizeof *steps };
    esp_cutout *all = make_cutout(model, NULL);
    float *scores = calloc(esp_model_info(model)->nodes, sizeof *scores);
    double *before = calloc(esp_model_info(model)->nodes, sizeof *before);

    for (size_t s = 0; s < STEPS; s++) {
        for (size_t i = 0; i < categories; i++)
            scores[esp_model_category_node(model, i)] = steps[s];
        double *now = confidences(all, scores);
        for (size_t i = 0; i < categories; i++) {
            size_t node = esp_model_category_node(model, i);
            ck_assert_double_ge(now[node], before[node]);
            ck_assert(s > 2 || now[node] == 0);
            ck_assert(s < STEPS - 3 || now[node] == 1);
        }
        free(before);
        before = now;
    }
    free(before);
    free(scores);
    esp_cutout_destroy(&all);
}
END_TEST

START_TEST(test_none_without_a_calibration)
{
    teardown();
    load(false);
    esp_cutout *all = make_cutout(model, NULL);
    float *scores = calloc(esp_model_info(model)->nodes, sizeof *scores);
    double *values = confidences(all, scores);

    ck_assert(!esp_model_info(model)->calibrated);
    for (size_t i = 0; i < categories; i++)
        ck_assert(isnan(values[esp_model_category_node(model, i)]));
    free(values);
    free(scores);
    esp_cutout_destroy(&all);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("confidence");
    TCase *tests = tcase_create("confidence");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_formula);
    tcase_add_test(tests, test_same_in_cutouts_and_batches);
    tcase_add_test(tests, test_predictions_in_order);
    tcase_add_test(tests, test_attention_goes_through_the_score);
    tcase_add_test(tests, test_monotone_and_safe);
    tcase_add_test(tests, test_none_without_a_calibration);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
