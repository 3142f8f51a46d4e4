/* espalier evaluate: the statistics of scores made by hand, and how they are written. */
#include "server/evaluate/report.h"
#include "server/evaluate/statistics.h"
#include "tests/support/evaluating.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool selected[CATEGORIES];
static struct evaluation evaluation;

static void setup_evaluation(void)
{
    start_evaluating();
    memset(selected, true, sizeof selected);
    evaluation = (struct evaluation){.model = model, .selected = selected};
}

static void teardown_evaluation(void)
{
    evaluation_release(&evaluation);
    stop_evaluating();
}

static struct evaluated *add(size_t truth, const float scores[CATEGORIES])
{
    struct evaluated *picture = evaluation_add(&evaluation, strdup("a/1.jpg"), truth);

    ck_assert_ptr_nonnull(picture);
    for (size_t i = 0; i < CATEGORIES; i++)
        ck_assert(isnan(picture->scores[i]));
    memcpy(picture->scores, scores, CATEGORIES * sizeof *scores);
    return picture;
}

static void add_fault(size_t truth)
{
    static const float none[CATEGORIES] = {NAN, NAN, NAN, NAN, NAN, NAN};
    add(truth, none)->fault = strdup("broken");
    evaluation.faults++;
}

START_TEST(test_accuracy)
{
    struct accuracy accuracy = statistics_accuracy(&evaluation);

    ck_assert(accuracy.pictures == 0 && isnan(accuracy.top1) && isnan(accuracy.top5));
    add(CAT, (float[]){9, 1, 2, 3, 4, 5});           /* first */
    add(DOG, (float[]){9, 8, 2, 3, 4, 5});           /* second */
    add(SMALL_CAT, (float[]){9, 8, 1, 7, 6, 5});     /* last */
    add(PIN, (float[]){9, 8, 7, 4, 6, 5});           /* the same */
    add(BUS, (float[]){9, 8, 7, 6, 5, 4});           /* fifth */
    add(CAT, (float[]){3, 3, 3, 3, 3, 3});           /* the first of equals */
    add(SKY, (float[]){3, 3, 3, 3, 3, 3});           /* the sixth of equals */
    add(BUS, (float[]){3, 3, 3, 3, 3, 3});           /* the fifth */
    add(SKY, (float[]){9, 8, 7, NAN, NAN, NAN});     /* did not run: never right, though fewer than five did */
    add(SKY, (float[]){NAN, NAN, -9, NAN, NAN, -1}); /* first of those that ran */
    add_fault(CAT);
    accuracy = statistics_accuracy(&evaluation);
    ck_assert_uint_eq(accuracy.pictures, 10);
    ck_assert_double_eq_tol(accuracy.top1, 0.3, 1e-12);
    ck_assert_double_eq_tol(accuracy.top5, 0.6, 1e-12);
}
END_TEST

START_TEST(test_only_selected_categories_count)
{
    selected[SKY] = false;
    add(SKY, (float[]){9, 1, 2, 3, 4, NAN});
    add(CAT, (float[]){9, 1, 2, 3, 4, NAN});
    ck_assert_uint_eq(statistics_accuracy(&evaluation).pictures, 1);
    ck_assert_double_eq(statistics_accuracy(&evaluation).top1, 1);
    ck_assert_uint_eq(statistics_group(&evaluation, 1).pictures, 1);
}
END_TEST

START_TEST(test_groups)
{
    enum { ANIMAL = 1, THING = 4, SMALL = 5 };
    struct group_accuracy group;

    add(CAT, (float[]){9, 1, 2, 3, 4, 5}); /* right */
    add(CAT, (float[]){1, 9, 2, 3, 4, 5}); /* another animal */
    add(DOG, (float[]){1, 2, 9, 3, 4, 5}); /* a small thing */
    add(PIN, (float[]){1, 2, 9, 3, 4, 5}); /* another small thing */
    add(PIN, (float[]){1, 2, 3, 4, 9, 5}); /* a thing that is not small */
    add(PIN, (float[]){NAN, NAN, NAN, NAN, NAN, NAN});
    add(SKY, (float[]){9, 2, 3, 4, 1, 5}); /* in no group */
    add_fault(CAT);
    group = statistics_group(&evaluation, ANIMAL);
    ck_assert_uint_eq(group.pictures, 3);
    ck_assert_double_eq_tol(group.top1, 1 / 3., 1e-12);
    ck_assert_double_eq_tol(group.group, 2 / 3., 1e-12);
    group = statistics_group(&evaluation, SMALL);
    ck_assert_uint_eq(group.pictures, 3);
    ck_assert_double_eq(group.top1, 0);
    ck_assert_double_eq_tol(group.group, 1 / 3., 1e-12);
    group = statistics_group(&evaluation, THING);
    ck_assert_uint_eq(group.pictures, 3);
    ck_assert_double_eq_tol(group.group, 2 / 3., 1e-12);
    evaluation_release(&evaluation);
    ck_assert(isnan(statistics_group(&evaluation, ANIMAL).group));
}
END_TEST

START_TEST(test_probability)
{
    float ln3 = logf(3), big = 1000;
    struct calibration calibration;

    statistics_probability(&evaluation, &calibration);
    ck_assert(isnan(calibration.error) && isnan(calibration.bins[0].mean));
    add(CAT, (float[]){ln3, 0, NAN, NAN, NAN, NAN});    /* 0.75, right */
    add(DOG, (float[]){ln3, 0, NAN, NAN, NAN, NAN});    /* 0.75, wrong */
    add(SKY, (float[]){NAN, NAN, ln3, NAN, NAN, 0});    /* 0.75, wrong */
    add(CAT, (float[]){big, -big, NAN, NAN, NAN, NAN}); /* 1, right: in the last bin */
    add(CAT, (float[]){NAN, NAN, NAN, NAN, NAN, NAN});  /* no answer */
    add_fault(CAT);
    statistics_probability(&evaluation, &calibration);
    for (int i = 0; i < CALIBRATION_BINS; i++)
        ck_assert_uint_eq(calibration.bins[i].count, i == 7 ? 3 : i == 9 ? 1 : 0);
    ck_assert_double_eq_tol(calibration.bins[7].mean, 0.75, 1e-6);
    ck_assert_double_eq_tol(calibration.bins[7].right, 1 / 3., 1e-12);
    ck_assert_double_eq(calibration.bins[9].mean, 1);
    ck_assert_double_eq(calibration.bins[9].right, 1);
    ck_assert_double_eq_tol(calibration.error, (3 * (0.75 - 1 / 3.) + 0) / 4, 1e-6);
}
END_TEST

START_TEST(test_cost)
{
    double macs, parameters;

    statistics_cost(&evaluation, &macs, &parameters);
    ck_assert(isnan(macs) && isnan(parameters));
    for (uint64_t i = 1; i <= 2; i++) {
        struct evaluated *picture = add(CAT, (float[CATEGORIES]){0});
        picture->macs = 100 * i;
        picture->parameters = 10 * i;
    }
    add_fault(CAT);
    statistics_cost(&evaluation, &macs, &parameters);
    ck_assert_double_eq(macs, 150);
    ck_assert_double_eq(parameters, 15);
}
END_TEST

START_TEST(test_attended)
{
    static const double weights[] = {0, 2};
    static const size_t attended[] = {DOG, PIN};
    static const float swept[][4] = {{NAN, NAN, 6, 1}, {NAN, NAN, 4, 6}, {NAN, NAN, 6, 1}, {NAN, NAN, 1, 7}};

    evaluation.sweep = (struct weight_sweep){weights, 2, attended, 2};
    memcpy(add(DOG, (float[]){5, 4, 0, 0, 0, 0})->swept, swept[0], sizeof swept[0]); /* becomes right */
    memcpy(add(PIN, (float[]){5, 0, 0, 6, 0, 0})->swept, swept[1], sizeof swept[1]); /* stays right */
    memcpy(add(PIN, (float[]){0, 0, 0, 1, 5, 0})->swept, swept[2], sizeof swept[2]); /* attended, but wrong */
    memcpy(add(SKY, (float[]){5, 0, 0, 6, 0, 9})->swept, swept[3], sizeof swept[3]); /* something else, still right */
    memcpy(add(SKY, (float[]){5, 0, 0, 6, 0, 6})->swept, swept[3], sizeof swept[3]); /* taken for a pin */
    add_fault(DOG);

    struct attended silenced = statistics_attended(&evaluation, 0), twice = statistics_attended(&evaluation, 1);
    ck_assert_double_eq(silenced.recall, 0);
    ck_assert(isnan(silenced.precision)); /* no answer is an attended category */
    ck_assert_double_eq(silenced.false_positives, 0);
    ck_assert_double_eq_tol(twice.recall, 2 / 3., 1e-12);
    ck_assert_double_eq_tol(twice.precision, 2 / 4., 1e-12);
    ck_assert_double_eq_tol(twice.false_positives, 1 / 2., 1e-12);
}
END_TEST

static void take_calibrated_network(void)
{
    char network[DIRECTORY_MAX];
    struct esp_error err = {0};

    esp_model_destroy(&model);
    make_directory(network);
    copy_network("tests/golden/layers/nested_layers", network, true);
    ck_assert_int_eq(esp_model_load(&model, network, NULL, &err), ESP_OK);
    ck_assert_uint_eq(esp_model_info(model)->categories, CATEGORIES);
    remove_directory(network);
    evaluation.model = model;
}

/* The scores that give these confidences. */
static void add_confidences(size_t truth, const double said[CATEGORIES])
{
    float scores[CATEGORIES];

    for (size_t c = 0; c < CATEGORIES; c++) {
        const struct esp_calibration *fit = &esp_model_node(model, esp_model_category_node(model, c))->calibration;
        scores[c] = (float)((log(said[c] / (1 - said[c])) - fit->offset) / fit->slope);
    }
    add(truth, scores);
}

START_TEST(test_confidence)
{
    struct calibration calibration;
    struct single singles[CONFIDENCE_LIMITS];

    take_calibrated_network();
    add_confidences(0, (double[]){0.95, 0.05, 0.05, NAN, NAN, NAN});
    add_confidences(1, (double[]){0.85, 0.3, NAN, NAN, NAN, NAN});
    add_fault(0);
    statistics_confidence(&evaluation, &calibration);
    for (int i = 0; i < CALIBRATION_BINS; i++)
        ck_assert_uint_eq(calibration.bins[i].count, i == 0 ? 2 : i == 3 || i == 8 || i == 9 ? 1 : 0);
    ck_assert_double_eq_tol(calibration.bins[0].mean, 0.05, 1e-6);
    ck_assert_double_eq(calibration.bins[3].right, 1);
    ck_assert_double_eq(calibration.bins[8].right, 0);
    ck_assert_double_eq_tol(calibration.error, (2 * 0.05 + 0.7 + 0.85 + 0.05) / 5, 1e-6);

    statistics_single(&evaluation, singles);
    static const double limits[] = {0.2, 0.5, 0.8, 0.9}, others[] = {1, 1, 1, 0}, own[] = {2, 1, 1, 1};
    for (int i = 0; i < CONFIDENCE_LIMITS; i++) {
        ck_assert_double_eq(singles[i].limit, limits[i]);
        ck_assert_double_eq_tol(singles[i].others, others[i] / 3, 1e-12);
        ck_assert_double_eq_tol(singles[i].own, own[i] / 2, 1e-12);
        ck_assert_double_eq_tol(singles[i].correct, own[i] / (own[i] + others[i]), 1e-12);
    }
}
END_TEST

START_TEST(test_unknown_folders)
{
    static const char *const paths[] = {"a/x/1.jpg", "x/2.jpg",   "y/x/3.jpg",    "4.jpg",
                                        "/5.jpg",    "a/y/6.jpg", "\x1b[0m/7.jpg"};
    static const char *const folders[] = {"x", "", "y", "?[0m"};
    static const size_t counts[] = {3, 2, 1, 1};

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        ck_assert(evaluation_unknown(&evaluation, paths[i]));
    ck_assert_uint_eq(evaluation.unknown_count, 4);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_str_eq(evaluation.unknown[i].name, folders[i]);
        ck_assert_uint_eq(evaluation.unknown[i].pictures, counts[i]);
    }
}
END_TEST

/* Whoever makes an archive does not talk to the terminal of who evaluates it, nor add lines to a table. */
START_TEST(test_names_are_printable)
{
    struct evaluated *picture = evaluation_add(&evaluation, strdup("a\tb\nc\r\x1b[31m\x7f\xc3\xa9.jpg"), CAT);
    ck_assert_str_eq(picture->name, "a?b?c??[31m?\xc3\xa9.jpg");
}
END_TEST

/* ---- reports ---- */

static char *report(void (*print)(FILE *out, const struct evaluation *evaluation))
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    print(out, &evaluation);
    fclose(out);
    return text;
}

START_TEST(test_csv)
{
    struct evaluated *picture = add(CAT, (float[]){9, 1, 2, 3, 4, 5});

    picture->macs = 123456789012; /* of a large network: to the last digit */
    add_fault(DOG);
    char *text = report(report_csv);
    ck_assert_ptr_eq(strstr(text, "table,row,column,value\naccuracy,all,pictures,1\naccuracy,all,top1,1\n"), text);
    ck_assert_ptr_nonnull(strstr(text, "\ncost,mean,macs,123456789012\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nleft_out,unreadable,pictures,1\n"));
    ck_assert_ptr_nonnull(strstr(text, "\ngroups,animal,top1,1\n"));
    ck_assert_ptr_null(strstr(text, "thing"));                        /* nobody shows one */
    ck_assert_ptr_nonnull(strstr(text, "\nprobability,0.3,mean,\n")); /* of nothing */
    ck_assert_ptr_null(strstr(text, "confidence"));                   /* the network has none */
    free(text);
}
END_TEST

static void assert_report(void (*print)(FILE *out, const struct evaluation *evaluation), const char *said,
                          const char *unsaid)
{
    char *text = report(print);

    ck_assert_msg(strstr(text, said), "no %s in %s", said, text);
    ck_assert_msg(!strstr(text, unsaid), "%s in %s", unsaid, text);
    free(text);
}

/* A picture that a search has lost gave its category no confidence. That is no answer to one who had asked for this
 * category alone, so of a search nothing is said about that question. */
START_TEST(test_reports_of_a_search)
{
    take_calibrated_network();
    add_confidences(0, (double[]){0.95, 0.05, NAN, NAN, NAN, NAN});
    add_confidences(0, (double[]){NAN, NAN, 0.05, 0.05, NAN, NAN});
    assert_report(report_text, "\none category asked ", "answers given");
    assert_report(report_text, "\nconfidence                  pairs      mean        so\n", "answers given");
    assert_report(report_csv, "\nsingle,0.2,own,1\n", "answers");
    evaluation.searched = true;
    assert_report(report_text, "\nconfidence          answers given      mean        so\n", "one category asked");
    assert_report(report_text, " 90 % to 100 %                  1   95.00 %  100.00 %\n", "pairs");
    assert_report(report_csv, "\nconfidence,0.0,count,3\n", "single");
}
END_TEST

START_TEST(test_scores_that_cannot_be_written)
{
    struct esp_error err = {0};

    add(CAT, (float[]){9, 1, 2, 3, 4, 5});
    ck_assert_int_eq(report_scores(path_of("nowhere/a.npy"), &evaluation, &err), ESP_ERROR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "nowhere/a.npy"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("evaluate_statistics");
    TCase *tests = tcase_create("evaluate_statistics");

    tcase_add_checked_fixture(tests, setup_evaluation, teardown_evaluation);
    tcase_add_test(tests, test_accuracy);
    tcase_add_test(tests, test_only_selected_categories_count);
    tcase_add_test(tests, test_groups);
    tcase_add_test(tests, test_probability);
    tcase_add_test(tests, test_cost);
    tcase_add_test(tests, test_attended);
    tcase_add_test(tests, test_confidence);
    tcase_add_test(tests, test_unknown_folders);
    tcase_add_test(tests, test_names_are_printable);
    tcase_add_test(tests, test_csv);
    tcase_add_test(tests, test_reports_of_a_search);
    tcase_add_test(tests, test_scores_that_cannot_be_written);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
