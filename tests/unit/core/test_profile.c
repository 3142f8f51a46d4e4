/* Profiles: every layer that ran has its row, and the MACs of the rows are those of the cost. */
#include "core/memory.h"
#include "core/model.h"
#include "espalier/profile.h"
#include "tests/support/allocations.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 3 };

static const char *const networks[] = {"deploy/models/tiny-imagenet-200", "tests/golden/layers/every_layer",
                                       "tests/golden/layers/nested_layers"};
enum { NETWORKS = sizeof networks / sizeof networks[0] };

static esp_model *model;
static esp_profile *profile;
static esp_instance *instance;
static struct esp_job jobs[BATCH];
static float *scores;

static void set_up(const char *directory)
{
    struct esp_error err = {0};

    model = load_model(directory, "auto");
    instance = make_instance(model, BATCH);
    ck_assert_msg(esp_profile_create(&profile, model, &err) == ESP_OK, "%s", err.text);
    esp_instance_profile(instance, profile);
    scores = calloc(BATCH * esp_model_info(model)->nodes, sizeof *scores);
}

static void tear_down(void)
{
    free(scores);
    esp_profile_destroy(&profile);
    esp_instance_destroy(&instance);
    esp_model_destroy(&model);
}

/* One run of all images: the first one of everything, with group scores; the others of one category each. */
static void fill_jobs(esp_cutout *cutouts[BATCH])
{
    const struct esp_model_info *info = esp_model_info(model);

    for (size_t i = 0; i < BATCH; i++) {
        const char *path = esp_model_node(model, esp_model_category_node(model, (i * 7) % info->categories))->path;
        ck_assert(esp_cutout_create(&cutouts[i], model, NULL) == ESP_OK);
        if (i > 0)
            ck_assert(esp_cutout_select(cutouts[i], path, strlen(path), NULL) == ESP_OK);
        esp_cutout_groups(cutouts[i], i == 0);
        ck_assert(esp_cutout_close(cutouts[i], NULL) == ESP_OK);
        jobs[i] = (struct esp_job){
            .cutout = cutouts[i], .input = esp_instance_input(instance, i), .scores = scores + i * info->nodes};
    }
}

static void run(void)
{
    struct esp_error err = {0};
    ck_assert_msg(esp_instance_run(instance, jobs, BATCH, &err) == ESP_OK, "%s", err.text);
}

static void destroy_cutouts(esp_cutout *cutouts[BATCH])
{
    for (size_t i = 0; i < BATCH; i++)
        esp_cutout_destroy(&cutouts[i]);
}

static uint64_t profiled_macs(void)
{
    uint64_t macs = 0;
    for (size_t i = 0; i < esp_profile_rows(profile); i++)
        macs += esp_profile_row(profile, i)->macs;
    return macs;
}

static uint64_t cost_macs(void)
{
    uint64_t macs = 0;
    for (size_t i = 0; i < BATCH; i++)
        macs += jobs[i].cost.macs;
    return macs;
}

static size_t count_rows(size_t node, enum esp_profile_part part)
{
    size_t count = 0;
    for (size_t i = 0; i < esp_profile_rows(profile); i++) {
        const struct esp_profile_row *row = esp_profile_row(profile, i);
        count += row->node == node && row->part == part && row->images > 0;
    }
    return count;
}

START_TEST(test_macs_are_those_of_the_cost)
{
    esp_cutout *cutouts[BATCH];

    set_up(networks[_i]);
    fill_jobs(cutouts);
    run();
    ck_assert_uint_eq(profiled_macs(), cost_macs());
    run();
    ck_assert_uint_eq(profiled_macs(), 2 * cost_macs());
    esp_profile_reset(profile);
    ck_assert_uint_eq(profiled_macs(), 0);
    esp_instance_profile(instance, NULL);
    run();
    ck_assert_uint_eq(profiled_macs(), 0);
    destroy_cutouts(cutouts);
    tear_down();
}
END_TEST

START_TEST(test_rows_are_there_for_all_that_ran)
{
    esp_cutout *cutouts[BATCH];

    set_up(networks[_i]);
    fill_jobs(cutouts);
    run();
    for (size_t i = 0; i < esp_model_info(model)->nodes; i++) {
        ck_assert_uint_eq(count_rows(i, ESP_PROFILE_LAYER), model->nodes[i].program.count);
        ck_assert_uint_eq(count_rows(i, ESP_PROFILE_HEAD), esp_model_node(model, i)->head);
        ck_assert_uint_eq(count_rows(i, ESP_PROFILE_PATCHES), model->nodes[i].shared_patches != NULL);
    }
    destroy_cutouts(cutouts);
    tear_down();
}
END_TEST

START_TEST(test_rows_say_what_ran)
{
    esp_cutout *cutouts[BATCH];

    set_up(networks[0]);
    fill_jobs(cutouts);
    run();
    const struct esp_profile_row *row = esp_profile_row(profile, 0);
    ck_assert_uint_eq(row->node, 0);
    ck_assert_str_eq(row->name, "conv1");
    ck_assert_uint_eq(row->kernel_height, 3);
    ck_assert_uint_eq(row->in.channels, 3);
    ck_assert_uint_eq(row->images, BATCH);
    for (size_t i = 0; i < esp_profile_rows(profile); i++) {
        row = esp_profile_row(profile, i);
        ck_assert_ptr_nonnull(row->name);
        ck_assert(row->seconds >= 0);
        ck_assert(i == 0 || row->node >= esp_profile_row(profile, i - 1)->node);
    }
    destroy_cutouts(cutouts);
    tear_down();
}
END_TEST

START_TEST(test_scores_are_the_same)
{
    esp_cutout *cutouts[BATCH];

    set_up(networks[_i]);
    fill_jobs(cutouts);
    size_t size = BATCH * esp_model_info(model)->nodes * sizeof *scores;
    float *profiled = malloc(size);
    run();
    memcpy(profiled, scores, size);
    esp_instance_profile(instance, NULL);
    run();
    ck_assert_int_eq(memcmp(profiled, scores, size), 0);
    free(profiled);
    destroy_cutouts(cutouts);
    tear_down();
}
END_TEST

START_TEST(test_a_profiled_run_allocates_nothing)
{
    esp_cutout *cutouts[BATCH];

    set_up(networks[0]);
    fill_jobs(cutouts);
    run();
    uint64_t engine = esp_allocations(), process = process_allocations();
    esp_instance_run(instance, jobs, BATCH, NULL);
    process = process_allocations() - process; /* before check allocates for its own bookkeeping */
    ck_assert_uint_eq(process, 0);
    ck_assert_uint_eq(esp_allocations(), engine);
    destroy_cutouts(cutouts);
    tear_down();
}
END_TEST

START_TEST(test_no_memory)
{
    struct esp_error err;

    set_up(networks[1]);
    esp_profile_destroy(&profile);
    for (uint64_t nth = 1; nth <= 3; nth++) {
        err = (struct esp_error){0};
        esp_fail_allocation(nth);
        ck_assert(esp_profile_create(&profile, model, &err) == ESP_ERROR_MEMORY);
        ck_assert_ptr_null(profile);
    }
    esp_fail_allocation(0);
    tear_down();
}
END_TEST

START_TEST(test_every_kernel_set_has_a_peak)
{
    for (const char *const *name = esp_kernels_names(); *name; name++) {
        model = load_model(networks[1], *name);
        ck_assert(esp_model_peak(model) > 1e6);
        esp_model_destroy(&model);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("profile");
    TCase *tests = tcase_create("profile");

    tcase_set_timeout(tests, 120);
    suite_add_tcase(suite, tests);
    tcase_add_loop_test(tests, test_macs_are_those_of_the_cost, 0, NETWORKS);
    tcase_add_loop_test(tests, test_rows_are_there_for_all_that_ran, 0, NETWORKS);
    tcase_add_test(tests, test_rows_say_what_ran);
    tcase_add_loop_test(tests, test_scores_are_the_same, 0, NETWORKS);
    tcase_add_test(tests, test_a_profiled_run_allocates_nothing);
    tcase_add_test(tests, test_no_memory);
    tcase_add_test(tests, test_every_kernel_set_has_a_peak);
    return run_suite(suite);
}
