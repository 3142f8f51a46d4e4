#include "core/search.h"

#include "core/cutout.h"

#include <math.h>
#include <string.h>

struct search {
    struct esp_walk *walk;
    struct esp_job *job;
    const struct esp_cutout *cutout;
    const struct esp_node *nodes;
    double *promise;                     /* [nodes] */
    size_t *open, open_count;            /* inner branches that have run, and that it has not descended into */
    size_t descended[ESP_DEPTH_MAX + 1]; /* branches of each level */
    uint64_t left;                       /* MACs */
    bool found;                          /* a category has come out */
};

static unsigned depth_of(const struct search *search, size_t node)
{
    return search->nodes[node].info.depth;
}

static bool is_leaf(const struct search *search, size_t node)
{
    return search->nodes[node].info.category != SIZE_MAX;
}

/* ---- the beam ---- */

static bool is_full(const struct search *search, unsigned depth, size_t descended)
{
    return depth > 0 && search->cutout->beam && descended >= search->cutout->beam;
}

/* Whether the level has room for the branch, and those below it lead to a category. */
static bool beam_takes(const struct search *search, size_t node)
{
    unsigned depth = depth_of(search, node), end = search->cutout->families[node].category_depth;

    for (; depth < end; depth++) /* a category hangs on a branch of the level above it */
        if (is_full(search, depth, search->descended[depth]))
            return false;
    return true;
}

/* ---- the budget ---- */

/* The deepest level that would be full with one more branch at `depth`; below it every way is free. */
static unsigned deepest_full(const struct search *search, unsigned depth)
{
    unsigned deepest = 0;
    for (unsigned d = 1; d <= ESP_DEPTH_MAX; d++)
        if (is_full(search, d, search->descended[d] + (d == depth)))
            deepest = d;
    return deepest;
}

/* What has to be left after the family of `node` for a category to come out. */
static uint64_t reserve_after(const struct search *search, size_t node)
{
    const struct esp_family *families = search->cutout->families;
    unsigned full = deepest_full(search, depth_of(search, node));
    uint64_t least = depth_of(search, node) >= full ? families[node].cheapest : UINT64_MAX;

    for (size_t i = 0; i < search->open_count; i++) {
        size_t other = search->open[i];
        uint64_t completion = families[other].macs + families[other].cheapest;
        if (other != node && depth_of(search, other) > full && completion < least)
            least = completion;
    }
    return least;
}

/* Whether what is left pays for the branch and a way from there to a category, and for some category in any case. */
static bool budget_pays(const struct search *search, size_t node)
{
    const struct esp_family *family = &search->cutout->families[node];

    if (!search->cutout->budget)
        return true;
    if (family->macs + family->cheapest > search->left)
        return false;
    return search->found || family->cheapest == 0 || reserve_after(search, node) <= search->left - family->macs;
}

/* ---- promises ---- */

/* Whether a goes before b. */
static bool before(const struct search *search, size_t a, size_t b)
{
    if (search->promise[a] != search->promise[b])
        return search->promise[a] > search->promise[b];
    return depth_of(search, a) != depth_of(search, b) ? depth_of(search, a) < depth_of(search, b) : a < b;
}

/* The place among the open ones of that to descend into next, whatever it costs or paid for by the budget; open_count
 * where there is none. */
static size_t best(const struct search *search, bool paid)
{
    size_t found = search->open_count;

    for (size_t i = 0; i < search->open_count; i++) {
        size_t node = search->open[i];
        if (found < search->open_count && !before(search, node, search->open[found]))
            continue;
        if (beam_takes(search, node) && (!paid || budget_pays(search, node)))
            found = i;
    }
    return found;
}

/* A score that is no number promises nothing. */
static double score_of(const struct search *search, size_t node)
{
    double score = (double)search->job->scores[node];
    return isnan(score) ? -INFINITY : score;
}

/* log(sum of exp(score)) over the branches; NaN where it cannot be told, for want of scores or of finite ones. */
static double log_sum(const struct search *search, const size_t *inner, size_t count)
{
    double greatest = -INFINITY, sum = 0;

    for (size_t i = 0; i < count; i++) {
        if (!search->cutout->nodes[inner[i]].scores)
            return NAN;
        greatest = fmax(greatest, score_of(search, inner[i]));
    }
    for (size_t i = 0; i < count; i++)
        sum += exp(score_of(search, inner[i]) - greatest);
    return greatest + log(sum);
}

/* What the inner branches of a family promise. Not even rounding may make that greater than what the parent does. */
static void promise(struct search *search, size_t parent, const size_t *inner, size_t count)
{
    double all = count > 1 ? log_sum(search, inner, count) : NAN;

    for (size_t i = 0; i < count; i++)
        search->promise[inner[i]] =
            search->promise[parent] + (isfinite(all) ? fmin(score_of(search, inner[i]) - all, 0) : 0);
}

/* ---- the search ---- */

static void note_family(struct search *search, size_t parent)
{
    size_t first = search->open_count;

    search->job->ran[parent] = ESP_RAN | ESP_DESCENDED; /* paid for after all, if it had been too dear before */
    for (size_t i = parent + 1; i < search->nodes[parent].info.subtree_end; i = search->nodes[i].info.subtree_end) {
        if (!search->cutout->nodes[i].runs)
            continue;
        search->job->ran[i] = ESP_RAN;
        if (is_leaf(search, i))
            search->found = true;
        else
            search->open[search->open_count++] = i;
    }
    promise(search, parent, search->open + first, search->open_count - first);
}

static void descend(struct search *search, size_t node)
{
    search->descended[depth_of(search, node)]++;
    search->left -= search->cutout->budget ? search->cutout->families[node].macs : 0;
    esp_walk_family(search->walk, node);
    note_family(search, node);
}

static size_t take(struct search *search, size_t place)
{
    size_t node = search->open[place];
    search->open[place] = search->open[--search->open_count];
    return node;
}

static void begin(struct search *search)
{
    const struct esp_node_info *trunk = &search->nodes[0].info;

    memset(search->job->ran, 0, trunk->subtree_end);
    search->job->ran[0] = ESP_RAN;
    search->promise[0] = 0;
    search->open[0] = 0;
    search->open_count = 1;
    if (search->cutout->budget)
        search->left = search->cutout->budget - trunk->macs;
}

/* Notes the best branch of all, unless it is that at `place`. */
static void note_too_dear(struct search *search, size_t place)
{
    size_t wanted = best(search, false);
    if (wanted != place)
        search->job->ran[search->open[wanted]] |= ESP_TOO_DEAR;
}

/* Descends into the best branch that the budget pays for; false where there is none. */
static bool step(struct search *search)
{
    size_t place = best(search, true);

    if (search->cutout->budget)
        note_too_dear(search, place);
    if (place == search->open_count)
        return false;
    descend(search, take(search, place));
    return true;
}

void esp_search(struct esp_walk *walk, size_t job)
{
    struct search search = {.walk = walk,
                            .job = &walk->run->jobs[job],
                            .cutout = walk->run->jobs[job].cutout,
                            .nodes = walk->run->model->nodes,
                            .promise = walk->instance->promise,
                            .open = walk->instance->open};

    walk->run->searcher = walk->instance;
    walk->run->searched = job;
    begin(&search);
    while (step(&search))
        ;
}

/* ---- afterwards ---- */

bool esp_job_ran(const struct esp_job *job, size_t node)
{
    return job->cutout->chooses ? job->ran[node] & ESP_RAN : job->cutout->nodes[node].runs;
}

bool esp_job_scored(const struct esp_job *job, size_t node)
{
    return job->cutout->nodes[node].scores && esp_job_ran(job, node);
}

bool esp_job_too_dear(const struct esp_job *job, size_t node)
{
    return job->cutout->chooses && job->ran[node] & ESP_TOO_DEAR;
}

bool esp_job_descended(const struct esp_job *job, size_t node)
{
    if (job->cutout->chooses)
        return job->ran[node] & ESP_DESCENDED;
    return job->cutout->nodes[node].runs && job->cutout->model->nodes[node].info.category == SIZE_MAX;
}
