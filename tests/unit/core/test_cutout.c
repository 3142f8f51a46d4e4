/* Names, selections, attention and predictions. */
#include "espalier/limits.h"
#include "espalier/predict.h"
#include "tests/support/bundled.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static esp_model *model;
static esp_cutout *cutout;
static struct esp_error err;

static void setup(void)
{
    model = load_bundled("auto");
    ck_assert_int_eq(esp_cutout_create(&cutout, model, NULL), ESP_OK);
    err = (struct esp_error){0};
}

static void teardown(void)
{
    esp_cutout_destroy(&cutout);
    esp_model_destroy(&model);
}

static size_t find(const char *name)
{
    size_t node;
    if (esp_model_find(model, name, strlen(name), &node, &err) != ESP_OK)
        ck_abort_msg("%s", err.text);
    return node;
}

static enum esp_status select_name(const char *name)
{
    err = (struct esp_error){0};
    return esp_cutout_select(cutout, name, strlen(name), &err);
}

static enum esp_status attend(const char *name, double weight)
{
    err = (struct esp_error){0};
    return esp_cutout_attend(cutout, name, strlen(name), weight, &err);
}

START_TEST(test_names)
{
    ck_assert_uint_eq(find("trunk"), 0);
    ck_assert_uint_eq(find("tabby"), find("animal/cat/tabby"));
    ck_assert_uint_eq(find("cat"), find("animal/cat"));
    for (size_t i = 0; i < esp_model_info(model)->nodes; i++)
        ck_assert_uint_eq(find(esp_model_node(model, i)->path), i);
}
END_TEST

static void suggests(const char *name, const char *expected)
{
    size_t node;
    err = (struct esp_error){0};
    ck_assert_int_eq(esp_model_find(model, name, strlen(name), &node, &err), ESP_ERROR_UNKNOWN_NAME);
    if (!strstr(err.text, expected))
        ck_abort_msg("\"%s\" does not offer %s", err.text, expected);
}

START_TEST(test_unknown_names_get_suggestions)
{
    suggests("tabbi", "animal/cat/tabby");
    suggests("Persian cat", "animal/cat/persian_cat");
    suggests("bus", "school_bus");
    suggests("animal/cat/tabbby", "animal/cat/tabby");
    suggests("xyzzyq", "espalier inspect");
    suggests("", "espalier inspect");
    suggests("animal/", "no category");
    char long_name[5000];
    memset(long_name, 'a', sizeof long_name);
    size_t node;
    ck_assert_int_eq(esp_model_find(model, long_name, sizeof long_name, &node, NULL), ESP_ERROR_UNKNOWN_NAME);
    ck_assert_int_eq(esp_model_find(model, "tabby\0x", 7, &node, NULL), ESP_ERROR_UNKNOWN_NAME);
}
END_TEST

START_TEST(test_selection)
{
    ck_assert_int_eq(select_name("cat"), ESP_OK);
    ck_assert_int_eq(select_name("animal/dog/chihuahua"), ESP_OK);
    ck_assert_int_eq(select_name("tabby"), ESP_OK); /* already in the group */
    ck_assert_int_eq(esp_cutout_close(cutout, &err), ESP_OK);
    ck_assert_uint_eq(esp_cutout_cost(cutout).categories, 6);
    ck_assert_uint_eq(esp_cutout_cost(cutout).branches, 1 + 2 + 6);
    ck_assert(esp_cutout_runs(cutout, find("animal")) && !esp_cutout_runs(cutout, find("bird")));
    ck_assert(!esp_cutout_scores(cutout, find("animal")));
}
END_TEST

START_TEST(test_nothing_said_means_all)
{
    ck_assert_int_eq(esp_cutout_close(cutout, &err), ESP_OK);
    ck_assert_uint_eq(esp_cutout_cost(cutout).categories, 200);
    ck_assert_uint_eq(esp_cutout_cost(cutout).branches, 226);
    ck_assert_uint_eq(esp_cutout_cost(cutout).macs, esp_model_info(model)->macs);
    ck_assert_uint_eq(esp_cutout_cost(cutout).parameters, esp_model_info(model)->parameters);
}
END_TEST

START_TEST(test_group_scores_are_counted)
{
    esp_cutout_groups(cutout, true);
    select_name("tabby");
    ck_assert_int_eq(esp_cutout_close(cutout, &err), ESP_OK);
    ck_assert_uint_eq(esp_cutout_cost(cutout).macs, BUNDLED_ONE_MACS + 96 + 64);
    ck_assert_uint_eq(esp_cutout_cost(cutout).parameters, BUNDLED_ONE_PARAMETERS + 97 + 65);
}
END_TEST

START_TEST(test_silenced_nodes_do_not_run)
{
    select_name("cat");
    ck_assert_int_eq(attend("tabby", 0), ESP_OK);
    ck_assert_int_eq(attend("food", 0), ESP_OK); /* outside of the selection: allowed */
    ck_assert_int_eq(esp_cutout_close(cutout, &err), ESP_OK);
    ck_assert_uint_eq(esp_cutout_cost(cutout).categories, 4);
    ck_assert(!esp_cutout_runs(cutout, find("tabby")));
    esp_cutout_reset(cutout);
    select_name("tabby");
    attend("animal", 0);
    ck_assert_int_eq(esp_cutout_close(cutout, &err), ESP_ERROR_NOTHING_LEFT);
    ck_assert_uint_eq(esp_cutout_cost(cutout).macs, 0);
}
END_TEST

START_TEST(test_bad_weights)
{
    ck_assert_int_eq(attend("cat", -1), ESP_ERROR_WEIGHT);
    ck_assert_int_eq(attend("cat", 16.001), ESP_ERROR_WEIGHT);
    ck_assert_int_eq(attend("cat", (double)NAN), ESP_ERROR_WEIGHT);
    ck_assert_int_eq(attend("cat", (double)INFINITY), ESP_ERROR_WEIGHT);
    ck_assert_int_eq(attend("cat", 16), ESP_OK);
    ck_assert_int_eq(attend("animal/cat", 1), ESP_ERROR_NAME);
    ck_assert_int_eq(attend("nobody_knows", 1), ESP_ERROR_UNKNOWN_NAME);
    ck_assert_int_eq(attend("trunk", 2), ESP_OK);
}
END_TEST

START_TEST(test_tiny_weights_do_not_silence)
{
    select_name("tabby");
    ck_assert_int_eq(attend("tabby", 1e-50), ESP_OK);
    ck_assert_int_eq(esp_cutout_close(cutout, &err), ESP_OK);
    ck_assert(esp_cutout_runs(cutout, find("tabby")));
}
END_TEST

START_TEST(test_closing_twice_counts_once)
{
    select_name("tabby");
    ck_assert_int_eq(esp_cutout_close(cutout, &err), ESP_OK);
    struct esp_cost cost = esp_cutout_cost(cutout);
    ck_assert_int_eq(esp_cutout_close(cutout, &err), ESP_OK);
    ck_assert_uint_eq(esp_cutout_cost(cutout).macs, cost.macs);
}
END_TEST

START_TEST(test_messages_are_one_line)
{
    ck_assert_int_eq(select_name("a\nb\033[31m"), ESP_ERROR_UNKNOWN_NAME);
    for (const char *at = err.text; *at; at++)
        ck_assert_int_ge((unsigned char)*at, 0x20);
}
END_TEST

START_TEST(test_runs_refuse_what_does_not_fit)
{
    esp_instance *instance = make_instance(model, 1), *none;
    struct esp_job job = {.cutout = cutout};

    ck_assert_int_eq(esp_instance_run(instance, &job, 1, &err), ESP_ERROR_ARGUMENT); /* open */
    esp_cutout_close(cutout, NULL);
    ck_assert_int_eq(esp_instance_run(instance, &job, 2, NULL), ESP_ERROR_ARGUMENT);
    ck_assert_int_eq(esp_instance_run(instance, &job, 0, NULL), ESP_ERROR_ARGUMENT);
    ck_assert_int_eq(esp_instance_create(&none, model, 0, NULL), ESP_ERROR_ARGUMENT);
    ck_assert_int_eq(esp_instance_create(&none, model, ESP_BATCH_MAX + 1, NULL), ESP_ERROR_ARGUMENT);
    esp_instance_destroy(&instance);
}
END_TEST

START_TEST(test_predictions)
{
    static struct esp_prediction list[200];
    float *scores = calloc(esp_model_info(model)->nodes, sizeof *scores);
    struct esp_job job = {.cutout = cutout, .scores = scores};
    double sum = 0;

    esp_cutout_close(cutout, NULL);
    for (size_t i = 0; i < 200; i++)
        scores[esp_model_category_node(model, i)] = (float)(i * 37 % 100); /* each value twice */
    ck_assert_uint_eq(esp_predict(&job, 1000, list), 200);
    for (size_t i = 0; i < 200; i++) {
        sum += list[i].probability;
        if (i > 0)
            ck_assert(list[i - 1].score > list[i].score ||
                      (list[i - 1].score == list[i].score && list[i - 1].node < list[i].node));
    }
    ck_assert_double_eq_tol(sum, 1, 1e-12);
    struct esp_prediction best = list[0];
    ck_assert_uint_eq(esp_predict(&job, 3, list), 3);
    ck_assert_uint_eq(list[0].node, best.node);
    ck_assert_double_eq_tol(list[0].probability, best.probability, 1e-15);
    ck_assert_float_eq(list[2].score, 98);
    scores[esp_model_category_node(model, 7)] = 3e38f; /* no overflow */
    ck_assert_uint_eq(esp_predict(&job, 1, list), 1);
    ck_assert_double_eq(list[0].probability, 1);
    free(scores);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cutout");
    TCase *tests = tcase_create("cutout");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_names);
    tcase_add_test(tests, test_unknown_names_get_suggestions);
    tcase_add_test(tests, test_selection);
    tcase_add_test(tests, test_nothing_said_means_all);
    tcase_add_test(tests, test_group_scores_are_counted);
    tcase_add_test(tests, test_silenced_nodes_do_not_run);
    tcase_add_test(tests, test_bad_weights);
    tcase_add_test(tests, test_runs_refuse_what_does_not_fit);
    tcase_add_test(tests, test_predictions);
    tcase_add_test(tests, test_tiny_weights_do_not_silence);
    tcase_add_test(tests, test_closing_twice_counts_once);
    tcase_add_test(tests, test_messages_are_one_line);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
