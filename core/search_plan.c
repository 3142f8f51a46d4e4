#include "core/search_plan.h"

#include "espalier/limits.h"

#include <inttypes.h>

/* What can run at one depth. */
struct level {
    size_t inner;  /* inner branches */
    uint64_t macs; /* of their families */
};

static bool is_inner(const struct esp_cutout *cutout, size_t node)
{
    return cutout->nodes[node].runs && cutout->model->nodes[node].info.category == SIZE_MAX;
}

static uint64_t macs_of(const struct esp_cutout *cutout, size_t node)
{
    const struct esp_node_info *info = &cutout->model->nodes[node].info;
    return info->macs + (cutout->nodes[node].scores ? info->head_macs : 0);
}

static size_t next_sibling(const struct esp_cutout *cutout, size_t node)
{
    return cutout->model->nodes[node].info.subtree_end;
}

static void count_levels(const struct esp_cutout *cutout, struct level *levels)
{
    for (size_t i = 0; i < cutout->model->info.nodes; i++)
        levels[cutout->model->nodes[i].info.depth].inner += is_inner(cutout, i);
}

/* The deepest level whose branches, or those below them, have to be chosen from; 0 where there is none. */
static unsigned last_choice(const struct esp_cutout *cutout, const struct level *levels)
{
    unsigned last = 0;

    if (cutout->budget && cutout->budget < cutout->cost.macs)
        return ESP_DEPTH_MAX;
    for (unsigned depth = 1; depth <= ESP_DEPTH_MAX; depth++)
        if (cutout->beam && levels[depth].inner > cutout->beam)
            last = depth;
    return last;
}

static size_t count_inner_children(const struct esp_cutout *cutout, size_t node)
{
    size_t count = 0;
    for (size_t i = node + 1; i < next_sibling(cutout, node); i = next_sibling(cutout, i))
        count += is_inner(cutout, i);
    return count;
}

static enum esp_status need_head(struct esp_cutout *cutout, size_t node, struct esp_error *err)
{
    const struct esp_node_info *info = &cutout->model->nodes[node].info;

    cutout->nodes[node].scores = true;
    if (info->head)
        return ESP_OK;
    return esp_fail(
        err, ESP_ERROR_SEARCH,
        "a search would have to choose by the score of %.200s, which has none in this network: name the "
        "categories that matter, give a wider beam or a larger budget, or train the network with a head there",
        info->path);
}

static void add_child(struct esp_cutout *cutout, struct esp_family *family, size_t child)
{
    const struct esp_family *its = &cutout->families[child];
    bool leaf = !is_inner(cutout, child);
    uint64_t completion = leaf ? 0 : its->macs + its->cheapest;
    unsigned depth = leaf ? cutout->model->nodes[child].info.depth : its->category_depth;

    family->macs += macs_of(cutout, child);
    if (completion < family->cheapest)
        family->cheapest = completion;
    if (depth < family->category_depth)
        family->category_depth = depth;
}

/* Heads that only a group score would need are settled already; a search needs those of siblings at `last` or above. */
static enum esp_status plan_family(struct esp_cutout *cutout, size_t node, unsigned last, struct esp_error *err)
{
    struct esp_family family = {.cheapest = UINT64_MAX, .category_depth = UINT32_MAX};
    bool scored = cutout->model->nodes[node].info.depth + 1 <= last && count_inner_children(cutout, node) > 1;

    for (size_t i = node + 1; i < next_sibling(cutout, node); i = next_sibling(cutout, i)) {
        if (!cutout->nodes[i].runs)
            continue;
        if (scored && is_inner(cutout, i) && need_head(cutout, i, err) != ESP_OK)
            return ESP_ERROR_SEARCH;
        add_child(cutout, &family, i);
    }
    cutout->families[node] = family;
    return ESP_OK;
}

/* Children stand behind their parents, so they are planned before them. */
static enum esp_status plan_families(struct esp_cutout *cutout, unsigned last, struct level *levels,
                                     struct esp_error *err)
{
    for (size_t i = cutout->model->info.nodes; i-- > 0;) {
        if (!is_inner(cutout, i))
            continue;
        enum esp_status status = plan_family(cutout, i, last, err);
        if (status != ESP_OK)
            return status;
        levels[cutout->model->nodes[i].info.depth].macs += cutout->families[i].macs;
    }
    return ESP_OK;
}

/* ---- bounds ---- */

/* How many families of a depth cost more than `macs`, and what those cost together. */
static size_t dearer(const struct esp_cutout *cutout, unsigned depth, uint64_t macs, uint64_t *sum)
{
    size_t count = 0;

    *sum = 0;
    for (size_t i = 0; i < cutout->model->info.nodes; i++) {
        if (cutout->model->nodes[i].info.depth != depth || !is_inner(cutout, i) || cutout->families[i].macs <= macs)
            continue;
        *sum += cutout->families[i].macs;
        count++;
    }
    return count;
}

/* What the dearest families of a level cost that a beam could take. The price that fewer families exceed than it takes
 * is found by halving, for there is no room to sort them. */
static uint64_t dearest(const struct esp_cutout *cutout, unsigned depth, const struct level *level)
{
    uint64_t low = 0, high = level->macs, sum;

    if (depth == 0 || !cutout->beam || level->inner <= cutout->beam)
        return level->macs;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (dearer(cutout, depth, middle, &sum) >= cutout->beam)
            low = middle + 1;
        else
            high = middle;
    }
    size_t count = dearer(cutout, depth, low, &sum);
    return sum + (cutout->beam - count) * low;
}

static void set_bounds(struct esp_cutout *cutout, const struct level *levels)
{
    cutout->macs_least = macs_of(cutout, 0) + cutout->families[0].macs + cutout->families[0].cheapest;
    cutout->macs_most = macs_of(cutout, 0);
    for (unsigned depth = 0; depth <= ESP_DEPTH_MAX; depth++)
        cutout->macs_most += dearest(cutout, depth, &levels[depth]);
    if (cutout->budget && cutout->budget < cutout->macs_most)
        cutout->macs_most = cutout->budget;
}

enum esp_status esp_search_plan(struct esp_cutout *cutout, struct esp_error *err)
{
    struct level levels[ESP_DEPTH_MAX + 1] = {0};

    count_levels(cutout, levels);
    unsigned last = last_choice(cutout, levels);
    cutout->chooses = last > 0;
    cutout->macs_least = cutout->macs_most = cutout->cost.macs;
    if (!cutout->chooses)
        return ESP_OK;
    enum esp_status status = plan_families(cutout, last, levels, err);
    if (status != ESP_OK)
        return status;
    set_bounds(cutout, levels);
    if (!cutout->budget || cutout->budget >= cutout->macs_least)
        return ESP_OK;
    return esp_fail(err, ESP_ERROR_SEARCH,
                    "a budget of %" PRIu64
                    " MACs ends before the first category: a search among these categories takes "
                    "at least %" PRIu64 "; give that, or name the categories that matter",
                    cutout->budget, cutout->macs_least);
}
