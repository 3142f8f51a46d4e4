/* The laws of the engine (see README.md), on the bundled network. */
#include "core/memory.h"
#include "core/model.h"
#include "espalier/predict.h"
#include "tests/support/allocations.h"
#include "tests/support/bundled.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CATEGORIES = 200, INPUT = 3 * 64 * 64 };

static esp_model *model;
static float inputs[8][INPUT];
static float *whole[8]; /* the whole network's scores of each input, [nodes], group scores included */

static esp_cutout *open_cutout(void)
{
    esp_cutout *cutout;
    ck_assert_int_eq(esp_cutout_create(&cutout, model, NULL), ESP_OK);
    return cutout;
}

static void select_node(esp_cutout *cutout, size_t node)
{
    const char *path = esp_model_node(model, node)->path;
    ck_assert_int_eq(esp_cutout_select(cutout, path, strlen(path), NULL), ESP_OK);
}

static void setup(void)
{
    uint64_t random = 20260101;

    model = load_bundled("auto");
    esp_instance *instance = make_instance(model, 1);
    esp_cutout *all = open_cutout();
    esp_cutout_groups(all, true);
    esp_cutout_close(all, NULL);
    for (size_t i = 0; i < 8; i++) {
        random_floats(&random, inputs[i], INPUT);
        whole[i] = run_one(instance, all, inputs[i], NULL);
    }
    esp_cutout_destroy(&all);
    esp_instance_destroy(&instance);
}

static void teardown(void)
{
    for (size_t i = 0; i < 8; i++)
        free(whole[i]);
    esp_model_destroy(&model);
}

/* Every score that the cutout has is the whole network's, to the last bit. */
static void check_bits(const esp_cutout *cutout, const float *scores, const float *expected)
{
    for (size_t i = 0; i < esp_model_info(model)->nodes; i++)
        if (esp_cutout_scores(cutout, i) && memcmp(&scores[i], &expected[i], sizeof *scores) != 0)
            ck_abort_msg("%s: %.9g in the cutout, %.9g in the whole network", esp_model_node(model, i)->path,
                         (double)scores[i], (double)expected[i]);
}

/* A selection of 1 to 30 random nodes, groups and realms among them. */
static esp_cutout *random_cutout(uint64_t *random)
{
    esp_cutout *cutout = open_cutout();
    for (size_t n = 1 + random_below(random, 30); n > 0; n--)
        select_node(cutout, 1 + random_below(random, esp_model_info(model)->nodes - 1));
    esp_cutout_groups(cutout, random_below(random, 2));
    ck_assert_int_eq(esp_cutout_close(cutout, NULL), ESP_OK);
    return cutout;
}

START_TEST(test_single_categories_have_the_same_bits)
{
    esp_instance *instance = make_instance(model, 1);

    ck_assert_uint_eq(esp_model_info(model)->categories, CATEGORIES);
    for (size_t category = 0; category < CATEGORIES; category++) {
        esp_cutout *cutout = open_cutout();
        struct esp_cost cost;
        select_node(cutout, esp_model_category_node(model, category));
        ck_assert_int_eq(esp_cutout_close(cutout, NULL), ESP_OK);
        float *scores = run_one(instance, cutout, inputs[category % 8], &cost);
        ck_assert_uint_eq(cost.categories, 1);
        check_bits(cutout, scores, whole[category % 8]);
        free(scores);
        esp_cutout_destroy(&cutout);
    }
    esp_instance_destroy(&instance);
}
END_TEST

START_TEST(test_random_selections_have_the_same_bits)
{
    esp_instance *instance = make_instance(model, 1);
    uint64_t random = 50;

    for (size_t n = 0; n < 50; n++) {
        esp_cutout *cutout = random_cutout(&random);
        float *scores = run_one(instance, cutout, inputs[n % 8], NULL);
        check_bits(cutout, scores, whole[n % 8]);
        free(scores);
        esp_cutout_destroy(&cutout);
    }
    esp_instance_destroy(&instance);
}
END_TEST

/* Batches of images whose selections and weights differ give what each image gives alone. */
START_TEST(test_mixed_batches_have_the_same_bits)
{
    static const size_t sizes[] = {2, 3, 8};
    size_t size = sizes[_i], nodes = esp_model_info(model)->nodes;
    esp_instance *batched = make_instance(model, 8), *single = make_instance(model, 1);
    uint64_t random = 7 + size;

    for (int round = 0; round < 6; round++) {
        struct esp_job jobs[8] = {0};
        for (size_t i = 0; i < size; i++) {
            esp_cutout *cutout = random_cutout(&random);
            if (i % 2) { /* every second one with attention, too */
                esp_cutout_reset(cutout);
                esp_cutout_attend(cutout, "animal", 6, 1.5, NULL);
                esp_cutout_attend(cutout, "object/device", 13, 0, NULL);
                esp_cutout_attend(cutout, "trunk", 5, 0.75, NULL);
                ck_assert_int_eq(esp_cutout_close(cutout, NULL), ESP_OK);
            }
            jobs[i] = (struct esp_job){.cutout = cutout, .input = inputs[i], .scores = calloc(nodes, sizeof(float))};
        }
        ck_assert_int_eq(esp_instance_run(batched, jobs, size, NULL), ESP_OK);
        for (size_t i = 0; i < size; i++) {
            struct esp_cost cost;
            float *alone = run_one(single, jobs[i].cutout, inputs[i], &cost);
            check_bits(jobs[i].cutout, jobs[i].scores, i % 2 ? alone : whole[i]);
            ck_assert_mem_eq(&cost, &jobs[i].cost, sizeof cost);
            free(alone);
            free(jobs[i].scores);
            esp_cutout_destroy((esp_cutout **)&jobs[i].cutout);
        }
    }
    esp_instance_destroy(&batched);
    esp_instance_destroy(&single);
}
END_TEST

/* A search changes nothing either, among others that do not search: what ran has the whole network's bits. */
START_TEST(test_searches_have_the_same_bits)
{
    esp_instance *batched = make_instance(model, 8);
    size_t nodes = esp_model_info(model)->nodes;
    struct esp_job jobs[8];

    for (size_t i = 0; i < 8; i++) {
        esp_cutout *cutout = open_cutout();
        esp_cutout_beam(cutout, i % 4);
        esp_cutout_budget(cutout, i < 4 ? 0 : esp_model_info(model)->macs / 2);
        ck_assert_int_eq(esp_cutout_close(cutout, NULL), ESP_OK);
        jobs[i] = (struct esp_job){
            .cutout = cutout, .input = inputs[i], .scores = calloc(nodes, sizeof(float)), .ran = calloc(nodes, 1)};
    }
    ck_assert_int_eq(esp_instance_run(batched, jobs, 8, NULL), ESP_OK);
    for (size_t i = 0; i < 8; i++) {
        ck_assert_uint_le(jobs[i].cost.macs, esp_cutout_macs_most(jobs[i].cutout));
        for (size_t node = 0; node < nodes; node++)
            if (esp_job_scored(&jobs[i], node))
                ck_assert_mem_eq(&jobs[i].scores[node], &whole[i][node], sizeof(float));
        free_job(&jobs[i]);
        esp_cutout_destroy((esp_cutout **)&jobs[i].cutout);
    }
    esp_instance_destroy(&batched);
}
END_TEST

static void fill_with_nan(uint8_t *weights, size_t begin, size_t end)
{
    memset(weights + begin, 0xff, end - begin); /* all bits set is a NaN */
}

/* Law 2: no weight of a branch that a search has not come to is read either. */
START_TEST(test_weights_that_a_search_passes_by_are_not_read)
{
    esp_instance *instance = make_instance(model, 1);
    esp_cutout *cutout = open_cutout();

    esp_cutout_beam(cutout, 1);
    ck_assert_int_eq(esp_cutout_close(cutout, NULL), ESP_OK);
    struct esp_job before = run_job(instance, cutout, inputs[0]);
    for (size_t i = 0; i < esp_model_info(model)->nodes; i++)
        if (!esp_job_ran(&before, i))
            fill_with_nan(model->weights, model->nodes[i].weights_begin, model->nodes[i].weights_end);
    struct esp_job after = run_job(instance, cutout, inputs[0]);
    ck_assert_mem_eq(&after.cost, &before.cost, sizeof after.cost);
    ck_assert_mem_eq(after.ran, before.ran, esp_model_info(model)->nodes);
    ck_assert_mem_eq(after.scores, before.scores, esp_model_info(model)->nodes * sizeof(float));
    free_job(&before);
    free_job(&after);
    esp_cutout_destroy(&cutout);
    esp_instance_destroy(&instance);
}
END_TEST

/* Law 2: no weight of a branch outside the cutout is read. */
START_TEST(test_weights_outside_the_cutout_are_not_read)
{
    esp_instance *instance = make_instance(model, 1);
    uint8_t *saved = malloc(model->info.weight_bytes);
    uint64_t random = 11;

    memcpy(saved, model->weights, model->info.weight_bytes);
    for (size_t n = 0; n < 20; n++) {
        esp_cutout *cutout = random_cutout(&random);
        for (size_t i = 0; i < esp_model_info(model)->nodes; i++)
            if (!esp_cutout_runs(cutout, i))
                fill_with_nan(model->weights, model->nodes[i].weights_begin, model->nodes[i].weights_end);
        float *scores = run_one(instance, cutout, inputs[n % 8], NULL);
        check_bits(cutout, scores, whole[n % 8]);
        memcpy(model->weights, saved, model->info.weight_bytes);
        free(scores);
        esp_cutout_destroy(&cutout);
    }
    free(saved);
    esp_instance_destroy(&instance);
}
END_TEST

/* The same, the other way round: a NaN inside the cutout does show, so the test above can fail. */
START_TEST(test_weights_inside_the_cutout_are_read)
{
    esp_instance *instance = make_instance(model, 1);
    esp_cutout *cutout = make_cutout(model, (const char *[]){"tabby", NULL});
    size_t node;

    ck_assert_int_eq(esp_model_find(model, "tabby", 5, &node, NULL), ESP_OK);
    fill_with_nan(model->weights, model->nodes[node].weights_begin, model->nodes[node].weights_end);
    float *scores = run_one(instance, cutout, inputs[0], NULL);
    ck_assert(isnan(scores[node]));
    free(scores);
    esp_cutout_destroy(&cutout);
    esp_instance_destroy(&instance);
}
END_TEST

/* MACs by the contract's formula from model.json's structure, not from what the engine planned. */
static uint64_t macs_by_hand(const esp_cutout *cutout)
{
    uint64_t macs = 0;

    for (size_t i = 0; i < esp_model_info(model)->nodes; i++) {
        unsigned depth = esp_model_node(model, i)->depth;
        macs += esp_cutout_runs(cutout, i) ? bundled_segment_macs[depth] : 0;
        macs += esp_cutout_scores(cutout, i) ? bundled_head_macs[depth] : 0;
    }
    return macs;
}

START_TEST(test_cost_is_what_ran)
{
    esp_instance *instance = make_instance(model, 1);
    uint64_t random = 99;

    for (size_t n = 0; n < 20; n++) {
        esp_cutout *cutout = random_cutout(&random);
        struct esp_cost ran, planned = esp_cutout_cost(cutout);
        free(run_one(instance, cutout, inputs[0], &ran));
        ck_assert_mem_eq(&ran, &planned, sizeof ran);
        ck_assert_uint_eq(ran.macs, macs_by_hand(cutout));
        esp_cutout_destroy(&cutout);
    }
    esp_instance_destroy(&instance);
}
END_TEST

START_TEST(test_documented_costs)
{
    esp_cutout *one = make_cutout(model, (const char *[]){"tabby", NULL});

    ck_assert_uint_eq(esp_model_info(model)->macs, BUNDLED_MACS);
    ck_assert_uint_eq(esp_model_info(model)->parameters, BUNDLED_PARAMETERS);
    ck_assert_uint_eq(esp_cutout_cost(one).macs, BUNDLED_ONE_MACS);
    ck_assert_uint_eq(esp_cutout_cost(one).parameters, BUNDLED_ONE_PARAMETERS);
    ck_assert_uint_eq(esp_cutout_cost(one).branches, 3);
    esp_cutout_destroy(&one);
}
END_TEST

/* Law 3: raising a leaf's weight never lowers its score, and leaves the others as they are. */
START_TEST(test_leaf_attention_is_monotone)
{
    static const double weights[] = {0.01, 0.3, 0.5, 0.8, 0.99, 1, 1.01, 1.25, 1.5, 2, 4, 9, 16};
    esp_instance *instance = make_instance(model, 1);
    esp_cutout *cutout = open_cutout();

    ck_assert(esp_model_info(model)->monotone);
    for (size_t category = 0; category < CATEGORIES; category += 3) {
        size_t node = esp_model_category_node(model, category);
        const char *path = esp_model_node(model, node)->path;
        float last = -INFINITY;
        for (size_t w = 0; w < sizeof weights / sizeof *weights; w++) {
            esp_cutout_reset(cutout);
            select_node(cutout, node);
            ck_assert_int_eq(esp_cutout_attend(cutout, path, strlen(path), weights[w], NULL), ESP_OK);
            ck_assert_int_eq(esp_cutout_close(cutout, NULL), ESP_OK);
            float *scores = run_one(instance, cutout, inputs[category % 8], NULL);
            ck_assert_float_ge(scores[node], last);
            if (weights[w] == 1)
                ck_assert_mem_eq(&scores[node], &whole[category % 8][node], sizeof last);
            last = scores[node];
            free(scores);
        }
    }
    esp_cutout_destroy(&cutout);
    esp_instance_destroy(&instance);
}
END_TEST

/* A budget in which a beam just ends, for an image that takes no cheaper way than it must. */
static bool close_search(esp_cutout *cutout, size_t beam)
{
    bool good = true;
    esp_cutout_beam(cutout, beam);
    for (int i = 0; i < 2 && beam > 0; i++) {
        good = good && esp_cutout_close(cutout, NULL) == ESP_OK;
        esp_cutout_budget(cutout, (esp_cutout_macs_least(cutout) + esp_cutout_macs_most(cutout)) / 2);
    }
    return esp_cutout_close(cutout, NULL) == ESP_OK && good;
}

/* One round of what a request does in the engine, without check's macros, which allocate. */
static bool request_round(esp_instance *instance, struct esp_job *jobs, struct esp_prediction *predictions)
{
    bool good = true;
    for (size_t i = 0; i < 8; i++) {
        esp_cutout *cutout = (esp_cutout *)jobs[i].cutout;
        struct esp_error err = {0};
        esp_cutout_reset(cutout);
        esp_cutout_select(cutout, i % 2 ? "animal" : "object/device", i % 2 ? 6 : 13, NULL);
        esp_cutout_attend(cutout, "trunk", 5, 1.5, NULL);
        good = good && esp_cutout_select(cutout, "tabbi", 5, &err) == ESP_ERROR_UNKNOWN_NAME;
        good = close_search(cutout, i / 3) && good; /* none, a beam of 1 and one of 2 */
    }
    good = good && esp_instance_run(instance, jobs, 8, NULL) == ESP_OK;
    for (size_t i = 0; i < 8; i++)
        good = good && esp_predict(&jobs[i], 5, predictions) > 0;
    return good;
}

/* Law 4: cutout, run and predictions allocate nothing. */
START_TEST(test_request_path_allocates_nothing)
{
    static float scores[8][512];
    static uint8_t ran[8][512];
    static struct esp_prediction predictions[CATEGORIES];
    esp_instance *instance = make_instance(model, 8);
    struct esp_job jobs[8];

    for (size_t i = 0; i < 8; i++)
        jobs[i] = (struct esp_job){.cutout = open_cutout(), .input = inputs[i], .scores = scores[i], .ran = ran[i]};
    bool good = request_round(instance, jobs, predictions); /* the first round may warm OpenBLAS up */
    uint64_t engine = esp_allocations(), process = process_allocations();
    good = request_round(instance, jobs, predictions) && good;
    engine = esp_allocations() - engine;
    process = process_allocations() - process;
    ck_assert(good);
    ck_assert_uint_eq(engine, 0);
    ck_assert_uint_eq(process, 0);
    for (size_t i = 0; i < 8; i++)
        esp_cutout_destroy((esp_cutout **)&jobs[i].cutout);
    esp_instance_destroy(&instance);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("laws");
    TCase *tests = tcase_create("laws");

    tcase_set_timeout(tests, 300);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_single_categories_have_the_same_bits);
    tcase_add_test(tests, test_random_selections_have_the_same_bits);
    tcase_add_loop_test(tests, test_mixed_batches_have_the_same_bits, 0, 3);
    tcase_add_test(tests, test_searches_have_the_same_bits);
    tcase_add_test(tests, test_weights_that_a_search_passes_by_are_not_read);
    tcase_add_test(tests, test_weights_outside_the_cutout_are_not_read);
    tcase_add_test(tests, test_weights_inside_the_cutout_are_read);
    tcase_add_test(tests, test_cost_is_what_ran);
    tcase_add_test(tests, test_documented_costs);
    tcase_add_test(tests, test_leaf_attention_is_monotone);
    tcase_add_test(tests, test_request_path_allocates_nothing);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
