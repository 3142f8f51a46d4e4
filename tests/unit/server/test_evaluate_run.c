/* espalier evaluate: how far a run is, and the plan of a sweep. */
#include "server/evaluate/progress.h"
#include "server/evaluate/run.h"
#include "server/evaluate/sweep.h"
#include "tests/support/evaluating.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- progress ---- */

/* Half of 100 pictures after 20 seconds, shown twice at once: the second time is too early. */
static void show_half(bool terminal, char *text, size_t size)
{
    struct progress progress;
    FILE *out = tmpfile();

    ck_assert_ptr_nonnull(out);
    progress_begin(&progress, out);
    ck_assert(!progress.terminal);
    progress.terminal = terminal;
    progress.begun -= UINT64_C(20000000000);
    progress.shown = progress.begun;
    progress_show(&progress, 0.5, 100);
    progress_show(&progress, 0.5, 100);
    progress_end(&progress);
    rewind(out);
    text[fread(text, 1, size - 1, out)] = 0;
    fclose(out);
}

START_TEST(test_progress)
{
    char text[256];

    show_half(false, text, sizeof text);
    ck_assert_str_eq(text, " 50 %  100 pictures, 5/s, 20 s to go\n");
    show_half(true, text, sizeof text);
    ck_assert_str_eq(text, "\r[===============>              ]  50 %  100 pictures, 5/s, 20 s to go\x1b[K\r\x1b[K");
}
END_TEST

/* What the progress was told last, and how often. */
struct told {
    double done;
    size_t pictures, times;
};

static void tell(void *context, double done, size_t pictures)
{
    struct told *told = context;

    ck_assert_double_ge(done, told->done);
    ck_assert_double_le(done, 1);
    *told = (struct told){done, pictures, told->times + 1};
}

/* How far a run says it is at its end, with four pictures that cannot be decoded. */
static struct told progress_of(size_t first)
{
    static const bool selected[CATEGORIES] = {true, true, true, true, true, true};
    struct evaluation evaluation = {.model = model, .selected = selected};
    struct picture_source *source;
    struct labels *labels;
    esp_cutout *cutout = make_cutout(model, NULL);
    struct told told = {0};
    struct esp_error err = {0};

    ck_assert_int_eq(labels_create(&labels, model, NULL, &err), ESP_OK);
    ck_assert_int_eq(picture_source_open(&source, directory, LIMIT, &err), ESP_OK);
    struct evaluate_run run = {.source = source,
                               .labels = labels,
                               .cutout = cutout,
                               .threads = 2,
                               .first = first,
                               .bytes_max = LIMIT,
                               .progress = tell,
                               .context = &told};
    if (evaluate_run(&run, &evaluation, &err) != ESP_OK)
        ck_abort_msg("%s", err.text);
    ck_assert_uint_eq(evaluation.faults, evaluation.count);
    evaluation_release(&evaluation);
    picture_source_close(&source);
    labels_destroy(&labels);
    esp_cutout_destroy(&cutout);
    return told;
}

START_TEST(test_progress_of_a_run)
{
    static const size_t firsts[] = {0, 1, 3, 4, 9}, ends[] = {4, 1, 3, 4, 4};
    static const char *const files[] = {"sky/1.jpg", "sky/2.jpg", "sky/3.jpg", "sky/4.jpg"};

    ck_assert_int_eq(mkdir(path_of("sky"), 0700), 0);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        write_file(files[i], "no picture", 10);
    for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
        struct told told = progress_of(firsts[i]);
        ck_assert_uint_eq(told.times, ends[i]);
        ck_assert_uint_eq(told.pictures, ends[i]);
        ck_assert_double_eq(told.done, 1);
    }
}
END_TEST

/* ---- the sweep ---- */

/* The plan, or the error's text, for the cutout of `only` (NULL: of all). */
static const char *plan_of(struct sweep_plan *plan, const char *only, const char *attended, const char *weights,
                           const char *attention)
{
    static struct esp_error err;
    esp_cutout *cutout = make_cutout(model, only ? (const char *[]){only, NULL} : NULL);

    err = (struct esp_error){0};
    enum esp_status status = sweep_plan(plan, cutout, attended, weights, attention, &err);
    esp_cutout_destroy(&cutout);
    ck_assert(status == ESP_OK || status == ESP_ERROR_ARGUMENT);
    return status == ESP_OK ? NULL : err.text;
}

START_TEST(test_sweep)
{
    struct sweep_plan plan;

    ck_assert_ptr_null(plan_of(&plan, NULL, "small,dog", "0,0.5,16", "sky:0"));
    ck_assert_uint_eq(plan.weights_count, 3);
    ck_assert_double_eq(plan.weights[1], 0.5);
    ck_assert_uint_eq(plan.attended_count, 3);
    ck_assert(plan.attended[0] == DOG && plan.attended[1] == SMALL_CAT && plan.attended[2] == PIN);
    ck_assert_ptr_null(plan.cutouts[0]); /* silenced */
    ck_assert(plan.cutouts[1] && plan.cutouts[2]);
    for (size_t i = 0; i < CATEGORIES; i++)
        ck_assert_int_eq(esp_cutout_scores(plan.cutouts[1], esp_model_category_node(model, i)),
                         i == DOG || i == SMALL_CAT || i == PIN);
    sweep_release(&plan);
    ck_assert_uint_eq(plan.weights_count, 0);
    ck_assert_ptr_null(plan_of(&plan, NULL, "dog", "2", "")); /* no other attention */
    sweep_release(&plan);
}
END_TEST

START_TEST(test_sweeps_that_are_wrong)
{
    static const struct {
        const char *only, *attended, *weights, *attention, *said;
    } cases[] = {
        {NULL, "dog", "", NULL, "--weights"},
        {NULL, "dog", "1,", NULL, "--weights"},
        {NULL, "dog", "1;2", NULL, "--weights \"1;2\""},
        {NULL, "dog", "-0.1", NULL, "0 to 16"},
        {NULL, "dog", "16.1", NULL, "0 to 16"},
        {NULL, "dog", "nan", NULL, "0 to 16"},
        {NULL, "dog", "inf", NULL, "0 to 16"},
        {NULL, "dug", "1", NULL, "dog"},
        {NULL, "cat", "1", NULL, "animal/cat"},
        {NULL, "", "1", NULL, "--attention-sweep"},
        {NULL, "dog,", "1", NULL, "--attention-sweep"},
        {NULL, "dog", "1", "dog:2", "--attention-sweep"}, /* twice */
        {NULL, "dog", "1", "animal:0", "--attention-sweep"},
        {"animal", "pin", "1", NULL, "thing/small/pin is not among"},
    };
    struct sweep_plan plan;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *text = plan_of(&plan, cases[i].only, cases[i].attended, cases[i].weights, cases[i].attention);
        ck_assert_msg(text && strstr(text, cases[i].said), "%s with %s: %s", cases[i].attended, cases[i].weights, text);
        sweep_release(&plan);
    }
}
END_TEST

START_TEST(test_as_many_weights_as_there_may_be)
{
    struct sweep_plan plan;
    char weights[2 * SWEEP_WEIGHTS_MAX + 2];

    for (size_t i = 0; i <= SWEEP_WEIGHTS_MAX; i++)
        memcpy(weights + 2 * i, "1,", 2);
    weights[2 * SWEEP_WEIGHTS_MAX + 1] = 0;
    ck_assert_ptr_nonnull(strstr(plan_of(&plan, NULL, "dog", weights, NULL), "more than 64"));
    sweep_release(&plan);
    weights[2 * SWEEP_WEIGHTS_MAX - 1] = 0;
    ck_assert_ptr_null(plan_of(&plan, NULL, "dog", weights, NULL));
    ck_assert_uint_eq(plan.weights_count, SWEEP_WEIGHTS_MAX);
    sweep_release(&plan);
}
END_TEST

START_TEST(test_no_sweep_of_a_search)
{
    struct sweep_plan plan;
    struct esp_error err = {0};
    esp_cutout *cutout;

    ck_assert_int_eq(esp_cutout_create(&cutout, model, &err), ESP_OK);
    esp_cutout_beam(cutout, 1);
    if (esp_cutout_close(cutout, &err) != ESP_OK)
        ck_abort_msg("%s", err.text);
    ck_assert_int_eq(sweep_plan(&plan, cutout, "pin", "1", NULL, &err), ESP_ERROR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(err.text, "--search"));
    sweep_release(&plan);
    esp_cutout_destroy(&cutout);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("evaluate_run");
    TCase *tests = tcase_create("evaluate_run");

    tcase_add_checked_fixture(tests, start_evaluating, stop_evaluating);
    tcase_add_test(tests, test_progress);
    tcase_add_test(tests, test_progress_of_a_run);
    tcase_add_test(tests, test_sweep);
    tcase_add_test(tests, test_sweeps_that_are_wrong);
    tcase_add_test(tests, test_as_many_weights_as_there_may_be);
    tcase_add_test(tests, test_no_sweep_of_a_search);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
