/* Searches of random trees, and of the bundled network: what ran hangs together, is what was paid for, and changes
 * nothing. */
#include "core/instance.h"
#include "espalier/limits.h"
#include "espalier/profile.h"
#include "tests/support/searching.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A random tree; categories and groups stand side by side, and now and then a group has no head. */
static size_t draw_tree(struct tree_node *nodes, uint64_t *random)
{
    size_t count = 12 + random_below(random, 60);
    unsigned depth = 1;

    nodes[0] = (struct tree_node){0, 3, false, 0};
    nodes[1] = (struct tree_node){1, 3, true, 0};
    for (size_t i = 2; i < count; i++) {
        depth = 1 + (unsigned)random_below(random, depth + 1);
        depth = depth > 5 ? 5 : depth;
        nodes[i] = (struct tree_node){depth, 1 + (unsigned)random_below(random, 6), random_below(random, 20) > 0, 0};
    }
    return count;
}

static void draw_selection(uint64_t *random)
{
    size_t nodes = esp_model_info(model)->nodes;

    esp_cutout_reset(cutout);
    for (size_t n = random_below(random, 2) * random_below(random, 8); n > 0; n--) {
        const char *path = esp_model_node(model, 1 + random_below(random, nodes - 1))->path;
        esp_cutout_select(cutout, path, strlen(path), NULL);
    }
    for (size_t n = random_below(random, 4); n > 0; n--) {
        const char *path = esp_model_node(model, random_below(random, nodes))->path;
        esp_cutout_attend(cutout, path, strlen(path), (double)random_below(random, 9) / 4, NULL);
    }
}

/* What was counted is what ran, families ran whole, and below what was entered alone. */
static void check_cost(const struct esp_job *job)
{
    struct esp_cost cost = {0};

    for (size_t i = 0; i < esp_model_info(model)->nodes; i++) {
        const struct esp_node_info *node = esp_model_node(model, i);
        bool ran = esp_job_ran(job, i);
        ck_assert(i == 0 || ran == (esp_cutout_runs(job->cutout, i) && esp_job_descended(job, parent(i))));
        ck_assert(ran || (!esp_job_descended(job, i) && !esp_job_scored(job, i)));
        cost.macs += (ran ? node->macs : 0) + (esp_job_scored(job, i) ? node->head_macs : 0);
        cost.parameters += (ran ? node->parameters : 0) + (esp_job_scored(job, i) ? node->head_parameters : 0);
        cost.branches += i > 0 && ran;
        cost.categories += ran && !inner(i);
    }
    ck_assert_mem_eq(&job->cost, &cost, sizeof cost);
    ck_assert_uint_ge(cost.categories, 1);
    ck_assert_uint_le(cost.macs, esp_cutout_macs_most(job->cutout));
    ck_assert_uint_ge(cost.macs, esp_cutout_macs_least(job->cutout));
    if (esp_cutout_get_budget(job->cutout))
        ck_assert_uint_le(cost.macs, esp_cutout_get_budget(job->cutout));
}

/* Too dear is what waits for want of MACs: where no beam forbids it, the most promising one of all that wait is. */
static void check_too_dear(const struct esp_job *job, size_t beam)
{
    bool budget = esp_cutout_get_budget(job->cutout) > 0 && esp_cutout_chooses(job->cutout);
    size_t best = SIZE_MAX;

    for (size_t i = 1; i < esp_model_info(model)->nodes; i++) {
        bool waits = inner(i) && esp_job_ran(job, i) && !esp_job_descended(job, i);
        ck_assert(!esp_job_too_dear(job, i) || (budget && waits));
        if (waits && (best == SIZE_MAX || instance->promise[i] > instance->promise[best]))
            best = i;
    }
    for (size_t i = 1; budget && !beam && best != SIZE_MAX && i < esp_model_info(model)->nodes; i++)
        if (esp_job_too_dear(job, i) && instance->promise[i] == instance->promise[best])
            return;
    ck_assert(!budget || beam || best == SIZE_MAX);
}

static void check_bits(const struct esp_job *job, const float *whole)
{
    for (size_t i = 0; i < esp_model_info(model)->nodes; i++)
        if (esp_job_scored(job, i))
            ck_assert_mem_eq(&job->scores[i], &whole[i], sizeof *whole);
}

static uint64_t profiled(esp_profile *profile)
{
    uint64_t macs = 0;
    for (size_t i = 0; i < esp_profile_rows(profile); i++)
        macs += esp_profile_row(profile, i)->macs;
    return macs;
}

/* ---- the beam once more, level by level, from the scores of the whole network ---- */

struct levels {
    bool kept[TREE_NODES_MAX], reached[TREE_NODES_MAX];
    double promise[TREE_NODES_MAX];
};

static double promise_of(const struct levels *levels, const float *whole, size_t node)
{
    size_t top = parent(node), siblings = 0;
    double sum = 0;

    for (size_t i = top + 1; i < esp_model_node(model, top)->subtree_end; i = esp_model_node(model, i)->subtree_end)
        if (esp_cutout_runs(cutout, i) && inner(i)) {
            siblings++;
            sum += exp((double)whole[i] - (double)whole[node]);
        }
    return levels->promise[top] - (siblings > 1 ? log(sum) : 0);
}

static void keep_best(struct levels *levels, unsigned depth, size_t beam)
{
    for (size_t n = 0; n < beam; n++) {
        size_t best = SIZE_MAX;
        for (size_t i = 1; i < esp_model_info(model)->nodes; i++)
            if (levels->reached[i] && !levels->kept[i] && inner(i) && esp_model_node(model, i)->depth == depth &&
                (best == SIZE_MAX || levels->promise[i] > levels->promise[best]))
                best = i;
        if (best == SIZE_MAX)
            return;
        levels->kept[best] = true;
    }
}

static void search_by_levels(struct levels *levels, const float *whole, size_t beam)
{
    *levels = (struct levels){.kept = {true}, .reached = {true}};
    for (unsigned depth = 1; depth <= ESP_DEPTH_MAX; depth++) {
        for (size_t i = 1; i < esp_model_info(model)->nodes; i++) {
            if (esp_model_node(model, i)->depth != depth || !levels->kept[parent(i)] || !esp_cutout_runs(cutout, i))
                continue;
            levels->reached[i] = true;
            levels->promise[i] = inner(i) ? promise_of(levels, whole, i) : 0;
        }
        keep_best(levels, depth, beam);
    }
}

/* The same categories, though a search need not run what could not be kept. */
static void check_beam(const struct esp_job *job, const float *whole, size_t beam)
{
    static struct levels levels;

    search_by_levels(&levels, whole, beam);
    for (size_t i = 0; i < esp_model_info(model)->nodes; i++) {
        ck_assert(!esp_job_ran(job, i) || levels.reached[i]);
        if (!inner(i))
            ck_assert_msg(esp_job_ran(job, i) == levels.reached[i], "%s", esp_model_node(model, i)->path);
    }
}

static float *run_whole(void)
{
    esp_cutout_beam(cutout, 0);
    esp_cutout_budget(cutout, 0);
    esp_cutout_groups(cutout, true);
    ck_assert_int_eq(esp_cutout_close(cutout, NULL), ESP_OK);
    return run_one(instance, cutout, input, NULL);
}

/* A search that may not be possible, for want of heads or MACs; whether it was made. */
static bool search(esp_profile *profile, const float *whole, size_t beam, uint64_t budget, bool groups)
{
    struct esp_error err = {0};

    esp_cutout_beam(cutout, beam);
    esp_cutout_budget(cutout, budget);
    esp_cutout_groups(cutout, groups);
    if (esp_cutout_close(cutout, &err) != ESP_OK) {
        ck_assert_int_eq(err.status, ESP_ERROR_SEARCH);
        ck_assert(strstr(err.text, "which has none") || budget < esp_cutout_macs_least(cutout));
        return false;
    }
    esp_profile_reset(profile);
    struct esp_job job = run_job(instance, cutout, input);
    ck_assert_uint_eq(profiled(profile), job.cost.macs);
    check_cost(&job);
    check_too_dear(&job, beam);
    check_bits(&job, whole);
    if (beam && !budget)
        check_beam(&job, whole, beam);
    free_job(&job);
    return true;
}

/* Both from where nothing can be done to where everything is: all MACs that matter are tried around. */
static size_t search_all_ways(esp_profile *profile, const float *whole, uint64_t *random)
{
    bool groups = random_below(random, 2);
    uint64_t all = esp_cutout_cost(cutout).macs;
    size_t made = 0;

    for (size_t beam = 1; beam <= 5; beam++)
        made += search(profile, whole, beam, 0, groups);
    for (int n = 0; n < 12; n++) {
        size_t beam = random_below(random, 5);
        made += search(profile, whole, beam, 1 + random_below(random, all + all / 8), groups);
        made += search(profile, whole, beam, esp_cutout_macs_least(cutout), groups); /* to the last MAC */
    }
    return made;
}

static void check_tree(uint64_t *random, const char *kernels, size_t *made)
{
    struct tree_node nodes[TREE_NODES_MAX];
    esp_profile *profile;
    size_t count = draw_tree(nodes, random);

    open_tree(nodes, count, kernels, random);
    ck_assert_int_eq(esp_profile_create(&profile, model, NULL), ESP_OK);
    esp_instance_profile(instance, profile);
    for (int n = 0; n < 6; n++) {
        random_floats(random, input, SEARCHING_INPUT);
        draw_selection(random);
        if (esp_cutout_close(cutout, NULL) != ESP_OK)
            continue; /* all silenced */
        float *whole = run_whole();
        *made += search_all_ways(profile, whole, random);
        ck_assert(search(profile, whole, 1000, 0, false)); /* a beam for all */
        ck_assert(!esp_cutout_chooses(cutout));
        free(whole);
    }
    esp_profile_destroy(&profile);
    close_tree();
}

START_TEST(test_random_searches)
{
    uint64_t random = 4711 + (uint64_t)_i;
    size_t made = 0;

    for (int n = 0; n < 12; n++)
        for (const char *const *kernels = esp_kernels_names(); *kernels; kernels++)
            check_tree(&random, *kernels, &made);
    ck_assert_uint_gt(made, 200);
}
END_TEST

/* ---- the bundled network ---- */

/* What is left over does not pay for any branch that waits. */
START_TEST(test_a_budget_is_used_up)
{
    model = load_bundled("auto");
    instance = make_instance(model, 1);
    ck_assert_int_eq(esp_cutout_create(&cutout, model, NULL), ESP_OK);
    const struct esp_model_info *info = esp_model_info(model);
    float *picture = calloc((size_t)3 * info->input.shape.height * info->input.shape.width, sizeof *picture);

    esp_cutout_budget(cutout, info->macs / 2);
    ck_assert_int_eq(esp_cutout_close(cutout, NULL), ESP_OK);
    struct esp_job job = run_job(instance, cutout, picture);
    check_cost(&job);
    for (size_t i = 1; i < info->nodes; i++) {
        uint64_t family = 0;
        for (size_t c = i + 1; c < esp_model_node(model, i)->subtree_end; c = esp_model_node(model, c)->subtree_end)
            family += with_head(c);
        if (inner(i) && esp_job_ran(&job, i) && !esp_job_descended(&job, i) && !inner(i + 1))
            ck_assert_uint_gt(job.cost.macs + family, info->macs / 2);
    }
    free_job(&job);
    free(picture);
    close_tree();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("random_searches");
    TCase *tests = tcase_create("tests");

    tcase_set_timeout(tests, 300);
    tcase_add_loop_test(tests, test_random_searches, 0, 3);
    tcase_add_test(tests, test_a_budget_is_used_up);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
