/* Coarse to fine: where a search goes, what it pays, and that it changes nothing. */
#include "core/model.h"
#include "espalier/predict.h"
#include "tests/support/searching.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a tree whose scores are known ----
 *
 * Promises as chances: n1 .60, n7 .37, n13 .03; below them n2 .44, n8 .35, n5 .16, n14 .03, n10 .02. */
static const struct tree_node known[] = {
    {0, 4, false, 0},  {1, 8, true, 2}, /* n1 */
    {2, 4, true, 1},                    /* n2 */
    {3, 2, false, 1},                   /* n3 */
    {3, 2, false, 2},                   /* n4 */
    {2, 4, true, 0},                    /* n5 */
    {3, 2, false, 3},                   /* n6 */
    {1, 8, true, 1.5},                  /* n7 */
    {2, 4, true, 3},                    /* n8 */
    {3, 2, false, 4},                   /* n9 */
    {2, 4, true, -1},                   /* n10 */
    {3, 2, false, 5},                   /* n11 */
    {1, 2, false, 0},                   /* n12: a category beside groups */
    {1, 8, true, -1},                   /* n13 */
    {2, 4, false, 0},                   /* n14: nobody beside it, so it needs no head */
    {3, 2, false, 6},                   /* n15 */
};
enum { KNOWN = sizeof known / sizeof known[0] };

static void setup(void)
{
    open_tree(known, KNOWN, "plain", NULL);
}

/* "n1 n2": the inner branches below the trunk of which `holds` is true after a search. */
static const char *branches(size_t beam, uint64_t budget, bool (*holds)(const struct esp_job *, size_t))
{
    static char names[256];
    struct esp_error err = {0};
    size_t used = 0;

    esp_cutout_beam(cutout, beam);
    esp_cutout_budget(cutout, budget);
    ck_assert_msg(esp_cutout_close(cutout, &err) == ESP_OK, "%s", err.text);
    struct esp_job job = run_job(instance, cutout, input);
    names[0] = 0;
    for (size_t i = 1; i < esp_model_info(model)->nodes; i++)
        if (holds(&job, i))
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? " " : "",
                                     esp_model_node(model, i)->name);
    free_job(&job);
    return names;
}

static const char *entered(size_t beam, uint64_t budget)
{
    return branches(beam, budget, esp_job_descended);
}

static const char *too_dear(size_t beam, uint64_t budget)
{
    return branches(beam, budget, esp_job_too_dear);
}

START_TEST(test_beam_keeps_the_best_of_each_level)
{
    ck_assert_str_eq(entered(1, 0), "n1 n2");
    ck_assert_str_eq(entered(2, 0), "n1 n2 n7 n8");    /* n5 scores less than n8 by its parent's word */
    ck_assert_str_eq(entered(3, 0), "n1 n2 n5 n7 n8"); /* n13 may be kept, but nothing below it could */
    ck_assert_str_eq(entered(4, 0), "n1 n2 n5 n7 n8 n13 n14");
    ck_assert_str_eq(entered(5, 0), "n1 n2 n5 n7 n8 n10 n13 n14");
}
END_TEST

START_TEST(test_categories_on_the_way_are_part_of_the_answer)
{
    static struct esp_prediction list[KNOWN];

    esp_cutout_beam(cutout, 1);
    ck_assert_int_eq(esp_cutout_close(cutout, NULL), ESP_OK);
    struct esp_job job = run_job(instance, cutout, input);
    ck_assert_uint_eq(esp_predict(&job, 10, list), 3);
    ck_assert_str_eq(esp_model_node(model, list[0].node)->name, "n4");
    ck_assert_str_eq(esp_model_node(model, list[1].node)->name, "n3");
    ck_assert_str_eq(esp_model_node(model, list[2].node)->name, "n12");
    ck_assert_double_eq_tol(list[0].probability, 1 / (1 + exp(-1) + exp(-2)), 1e-12);
    ck_assert_uint_eq(job.cost.categories, 3);
    ck_assert_uint_eq(job.cost.branches, 4 + 2 + 2);
    ck_assert_uint_eq(job.cost.macs, segment(0) + with_head(1) + with_head(7) + with_head(12) + with_head(13) +
                                         with_head(2) + with_head(5) + with_head(3) + with_head(4));
    free_job(&job);
}
END_TEST

START_TEST(test_the_selection_limits_the_search)
{
    esp_cutout_select(cutout, "n7", 2, NULL);
    esp_cutout_select(cutout, "n13", 3, NULL);
    esp_cutout_attend(cutout, "n9", 2, 0, NULL); /* and n8 with it, which leads nowhere else */
    ck_assert_str_eq(entered(1, 0), "n7 n10");
    esp_cutout_reset(cutout);
    esp_cutout_select(cutout, "n6", 2, NULL);
    ck_assert_str_eq(entered(1, 0), "n1 n5");
    ck_assert(!esp_cutout_chooses(cutout)); /* there is but one way */
    ck_assert_uint_eq(esp_cutout_macs_most(cutout), segment(0) + segment(1) + segment(5) + with_head(6));
}
END_TEST

START_TEST(test_heads_run_only_where_there_is_a_choice)
{
    esp_cutout_select(cutout, "n7", 2, NULL);
    ck_assert_str_eq(entered(2, 0), "n7 n8 n10");
    ck_assert(!esp_cutout_chooses(cutout));
    ck_assert_str_eq(entered(1, 0), "n7 n8");
    ck_assert(esp_cutout_chooses(cutout));
    struct esp_job job = run_job(instance, cutout, input);
    ck_assert(esp_job_ran(&job, 7) && !esp_job_scored(&job, 7)); /* alone at its level */
    ck_assert(esp_job_scored(&job, 8) && esp_job_scored(&job, 10) && !esp_job_descended(&job, 10));
    ck_assert(!esp_job_ran(&job, 11) && !esp_job_ran(&job, 1));
    free_job(&job);
}
END_TEST

START_TEST(test_budget_goes_to_the_best_that_it_pays_for)
{
    uint64_t first = segment(0) + with_head(1) + with_head(7) + with_head(12) + with_head(13);
    uint64_t n1 = with_head(2) + with_head(5), n5 = with_head(6), n2 = with_head(3) + with_head(4);

    ck_assert_str_eq(entered(0, first), "");
    ck_assert_uint_eq(esp_cutout_macs_least(cutout), first);
    ck_assert_str_eq(entered(0, first + n1 + n5 - 1), "n13 n14"); /* n14 has no head to pay for, and no sibling */
    ck_assert_str_eq(entered(0, first + n1 + n5), "n1 n5");       /* n2 would be better */
    ck_assert_str_eq(entered(0, first + n1 + n2), "n1 n2");
    ck_assert_str_eq(entered(1, first + n1 + n2 + n5), "n1 n2");
    ck_assert_str_eq(entered(0, first + n1 + n2 + n5), "n1 n2 n5");
}
END_TEST

/* What it would have entered next, each time that it could not pay for that. */
START_TEST(test_what_is_too_dear_is_noted)
{
    uint64_t first = segment(0) + with_head(1) + with_head(7) + with_head(12) + with_head(13);
    uint64_t n1 = with_head(2) + with_head(5), n5 = with_head(6), n2 = with_head(3) + with_head(4);

    ck_assert_str_eq(too_dear(0, first), "n1");
    ck_assert_str_eq(too_dear(0, first + n1 + n5 - 1), "n1"); /* it goes on with n13 */
    ck_assert_str_eq(too_dear(0, first + n1 + n5), "n2");
    ck_assert_str_eq(too_dear(0, first + n1 + n2), "n7");
    ck_assert_str_eq(too_dear(0, first + n1 + n2 + n5), "n7");
    ck_assert_str_eq(too_dear(1, first + n1 + n2 + n5), ""); /* the beam is full, whatever is left */
    ck_assert_str_eq(too_dear(1, 0), "");
    ck_assert_str_eq(too_dear(0, esp_model_info(model)->macs), "");
}
END_TEST

START_TEST(test_a_budget_for_all_needs_no_search)
{
    uint64_t all = esp_model_info(model)->macs;

    entered(0, all);
    ck_assert(!esp_cutout_chooses(cutout));
    ck_assert_uint_eq(esp_cutout_macs_least(cutout), all);
    struct esp_job job = run_job(instance, cutout, input);
    ck_assert_uint_eq(job.cost.macs, all);
    ck_assert(!esp_job_scored(&job, 1));
    free_job(&job);
    entered(0, all - 1);
    ck_assert(esp_cutout_chooses(cutout));
}
END_TEST

START_TEST(test_too_small_a_budget_names_the_least)
{
    struct esp_error err = {0};
    char least[32];

    esp_cutout_select(cutout, "n2", 2, NULL);
    esp_cutout_select(cutout, "n8", 2, NULL);
    esp_cutout_budget(cutout, 1);
    ck_assert_int_eq(esp_cutout_close(cutout, &err), ESP_ERROR_SEARCH);
    snprintf(least, sizeof least, "at least %llu;",
             (unsigned long long)(segment(0) + with_head(1) + with_head(7) + segment(8) + with_head(9)));
    ck_assert_msg(strstr(err.text, least) != NULL, "\"%s\" does not say \"%s\"", err.text, least);
    esp_cutout_budget(cutout, esp_cutout_macs_least(cutout));
    ck_assert_int_eq(esp_cutout_close(cutout, NULL), ESP_OK);
    esp_cutout_reset(cutout); /* forgets the budget */
    ck_assert_int_eq(esp_cutout_close(cutout, NULL), ESP_OK);
    ck_assert(!esp_cutout_chooses(cutout));
}
END_TEST

START_TEST(test_bounds_of_a_beam)
{
    esp_cutout_beam(cutout, 1);
    ck_assert_int_eq(esp_cutout_close(cutout, NULL), ESP_OK);
    uint64_t first = segment(0) + with_head(1) + with_head(7) + with_head(12) + with_head(13);
    ck_assert_uint_eq(esp_cutout_macs_least(cutout), first); /* there is a category already */
    ck_assert_uint_eq(esp_cutout_macs_most(cutout), first + with_head(2) + with_head(5) + with_head(3) + with_head(4));
    esp_cutout_budget(cutout, first + 1);
    ck_assert_int_eq(esp_cutout_close(cutout, NULL), ESP_OK);
    ck_assert_uint_eq(esp_cutout_macs_most(cutout), first + 1);
}
END_TEST

START_TEST(test_groups_bring_their_scores_along)
{
    esp_cutout_groups(cutout, true);
    esp_cutout_beam(cutout, 1);
    ck_assert_int_eq(esp_cutout_close(cutout, NULL), ESP_OK);
    struct esp_job job = run_job(instance, cutout, input);
    for (size_t i = 1; i < KNOWN; i++)
        if (esp_job_ran(&job, i)) {
            ck_assert(esp_job_scored(&job, i) == esp_model_node(model, i)->head);
            ck_assert_float_eq(job.scores[i], known[i].score);
        }
    free_job(&job);
}
END_TEST

START_TEST(test_a_budget_is_kept_for_a_category)
{
    /* The promising branch is too dear: its categories cost far more than those of the other one. */
    static const struct tree_node tree[] = {{0, 2, false, 0}, {1, 2, true, 5},   {2, 2, false, 0}, {3, 64, false, 0},
                                            {1, 2, true, 0},  {2, 32, false, 0}, {3, 2, false, 0}};
    close_tree();
    open_tree(tree, 7, "plain", NULL);
    uint64_t first = segment(0) + with_head(1) + with_head(4), cheap = segment(5) + with_head(6);
    ck_assert_str_eq(entered(0, first + cheap), "n4 n5");
    ck_assert_str_eq(entered(0, first + segment(2) + with_head(3)), "n1 n2");
    ck_assert_str_eq(entered(1, 0), "n1 n2");
}
END_TEST

/* A beam of 2 has used up the third level when it comes to n13, whose cheap way leads through that level, and whose
 * other one is too dear. What n13 costs is needed for one of n4, n6, n9 and n11, or no category would come out. */
START_TEST(test_a_budget_is_not_kept_for_ways_that_the_beam_has_closed)
{
    static const struct tree_node tree[] = {
        {0, 2, false, 0}, {1, 2, true, 0.85f},                   /* n1: .70 */
        {2, 2, true, 0},                                         /* n2: .70 */
        {3, 2, true, 0},  {4, 2, true, 0},     {5, 6, false, 0}, /* n3: .35 */
        {4, 2, true, 0},  {5, 6, false, 0},                      /* n6: .18 */
        {3, 2, true, 0},  {4, 2, true, 0},     {5, 6, false, 0}, /* n8: .35 */
        {4, 2, true, 0},  {5, 6, false, 0},                      /* n11: .18 */
        {1, 2, true, 0},                                         /* n13: .30 */
        {2, 2, true, 0},  {3, 64, false, 0},                     /* n14, with a dear category */
        {2, 2, true, 0},  {3, 2, true, 0},     {4, 2, false, 0}, /* n16, with a cheap one behind n17 */
    };
    close_tree();
    open_tree(tree, sizeof tree / sizeof tree[0], "plain", NULL);
    uint64_t before = segment(0) + with_head(1) + with_head(13) + segment(2) + with_head(3) + with_head(8) +
                      with_head(4) + with_head(6) + with_head(9) + with_head(11);
    uint64_t n13 = with_head(14) + with_head(16), cheap = segment(17) + with_head(18);
    ck_assert(with_head(5) > cheap && with_head(5) < n13 + cheap);
    ck_assert_str_eq(entered(2, before + n13 + cheap), "n1 n2 n3 n4 n8");
}
END_TEST

START_TEST(test_choosing_needs_heads)
{
    static const struct tree_node tree[] = {
        {0, 2, false, 0}, {1, 2, true, 5}, {2, 2, false, 0}, {1, 2, false, 0}, {2, 2, false, 0}};
    struct esp_error err = {0};

    close_tree();
    open_tree(tree, 5, "plain", NULL);
    esp_cutout_beam(cutout, 1);
    ck_assert_int_eq(esp_cutout_close(cutout, &err), ESP_ERROR_SEARCH);
    ck_assert_ptr_nonnull(strstr(err.text, "score of n3, which has none"));
    esp_cutout_budget(cutout, esp_model_info(model)->macs - 1);
    ck_assert_int_eq(esp_cutout_close(cutout, NULL), ESP_ERROR_SEARCH);
    ck_assert_str_eq(entered(2, 0), "n1 n3");
    esp_cutout_select(cutout, "n4", 2, NULL);
    ck_assert_str_eq(entered(1, 0), "n3");
}
END_TEST

START_TEST(test_a_search_needs_room)
{
    float scores[KNOWN];
    struct esp_job job = {.cutout = cutout, .input = input, .scores = scores};
    struct esp_error err = {0};

    esp_cutout_beam(cutout, 1);
    ck_assert_int_eq(esp_cutout_close(cutout, NULL), ESP_OK);
    ck_assert_int_eq(esp_instance_run(instance, &job, 1, &err), ESP_ERROR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(err.text, "what ran"));
}
END_TEST

/* Equal scores: the order of the tree decides. What is no number loses. */
START_TEST(test_ties_and_broken_scores)
{
    static struct tree_node tree[] = {{0, 2, false, 0}, {1, 2, true, 1},  {2, 2, false, 0}, {1, 2, true, 1},
                                      {2, 2, false, 0}, {1, 2, true, -9}, {2, 2, false, 0}};
    close_tree();
    open_tree(tree, 7, "plain", NULL);
    ck_assert_str_eq(entered(1, 0), "n1");
    model->nodes[1].head_bias = NAN;
    ck_assert_str_eq(entered(1, 0), "n3");
    model->nodes[3].head_bias = -INFINITY;
    ck_assert_str_eq(entered(1, 0), "n5");
    model->nodes[5].head_bias = INFINITY;
    ck_assert_str_eq(entered(1, 0), "n1");
    ck_assert_str_eq(entered(2, 0), "n1 n3");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("search");
    TCase *tests = tcase_create("tests");

    tcase_add_checked_fixture(tests, setup, close_tree);
    tcase_add_test(tests, test_beam_keeps_the_best_of_each_level);
    tcase_add_test(tests, test_categories_on_the_way_are_part_of_the_answer);
    tcase_add_test(tests, test_the_selection_limits_the_search);
    tcase_add_test(tests, test_heads_run_only_where_there_is_a_choice);
    tcase_add_test(tests, test_budget_goes_to_the_best_that_it_pays_for);
    tcase_add_test(tests, test_what_is_too_dear_is_noted);
    tcase_add_test(tests, test_a_budget_for_all_needs_no_search);
    tcase_add_test(tests, test_too_small_a_budget_names_the_least);
    tcase_add_test(tests, test_bounds_of_a_beam);
    tcase_add_test(tests, test_groups_bring_their_scores_along);
    tcase_add_test(tests, test_a_budget_is_kept_for_a_category);
    tcase_add_test(tests, test_a_budget_is_not_kept_for_ways_that_the_beam_has_closed);
    tcase_add_test(tests, test_choosing_needs_heads);
    tcase_add_test(tests, test_a_search_needs_room);
    tcase_add_test(tests, test_ties_and_broken_scores);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
