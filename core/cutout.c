#include "core/cutout.h"

#include "core/memory.h"
#include "core/search_plan.h"
#include "espalier/limits.h"

#include <float.h>

enum esp_status esp_cutout_create(esp_cutout **cutout, const esp_model *model, struct esp_error *err)
{
    size_t nodes = model->info.nodes * sizeof(*cutout)->nodes[0], head = esp_aligned(sizeof **cutout + nodes);

    *cutout = esp_alloc(1, head + model->info.nodes * sizeof *(*cutout)->families);
    if (!*cutout)
        return esp_fail(err, ESP_ERROR_MEMORY, "no memory for a cutout");
    (*cutout)->model = model;
    (*cutout)->families = (struct esp_family *)((uint8_t *)*cutout + head);
    esp_cutout_reset(*cutout);
    return ESP_OK;
}

void esp_cutout_destroy(esp_cutout **cutout)
{
    esp_free(*cutout);
    *cutout = NULL;
}

void esp_cutout_reset(esp_cutout *cutout)
{
    cutout->selective = cutout->groups = cutout->closed = false;
    cutout->cost = (struct esp_cost){0};
    cutout->beam = 0;
    cutout->budget = 0;
    for (size_t i = 0; i < cutout->model->info.nodes; i++)
        cutout->nodes[i] = (struct esp_cutout_node){.weight = 1.0f};
}

enum esp_status esp_cutout_select(esp_cutout *cutout, const char *name, size_t length, struct esp_error *err)
{
    size_t node;
    enum esp_status status = esp_model_find(cutout->model, name, length, &node, err);

    if (status != ESP_OK)
        return status;
    cutout->selective = true;
    for (size_t i = node; i < cutout->model->nodes[node].info.subtree_end; i++)
        cutout->nodes[i].selected = true;
    return ESP_OK;
}

enum esp_status esp_cutout_attend(esp_cutout *cutout, const char *name, size_t length, double weight,
                                  struct esp_error *err)
{
    size_t node;
    enum esp_status status = esp_model_find(cutout->model, name, length, &node, err);

    if (status != ESP_OK)
        return status;
    const char *path = cutout->model->nodes[node].info.path;
    if (!(weight >= 0 && weight <= (double)ESP_WEIGHT_MAX)) /* also where it is not a number */
        return esp_fail(err, ESP_ERROR_WEIGHT, "the attention weight of %.200s has to be a number from 0 to %g", path,
                        (double)ESP_WEIGHT_MAX);
    if (cutout->nodes[node].attended)
        return esp_fail(err, ESP_ERROR_NAME, "%.200s has been given an attention weight already", path);
    cutout->nodes[node].attended = true;
    /* A weight too small for a float is not 0, which would silence the node. */
    cutout->nodes[node].weight = weight > 0 && weight < (double)FLT_MIN ? FLT_MIN : (float)weight;
    return ESP_OK;
}

void esp_cutout_groups(esp_cutout *cutout, bool groups)
{
    cutout->groups = groups;
}

void esp_cutout_beam(esp_cutout *cutout, size_t branches)
{
    cutout->beam = branches;
}

void esp_cutout_budget(esp_cutout *cutout, uint64_t macs)
{
    cutout->budget = macs;
}

/* What an earlier close settled. */
static void clear(struct esp_cutout *cutout)
{
    cutout->closed = false;
    cutout->cost = (struct esp_cost){0};
    for (size_t i = 0; i < cutout->model->info.nodes; i++)
        cutout->nodes[i].runs = cutout->nodes[i].scores = false;
}

/* Marks the selected leaves that no silenced node stands above, and the nodes on their paths. */
static void mark_running(struct esp_cutout *cutout)
{
    const struct esp_model *model = cutout->model;

    for (size_t i = 0; i < model->info.nodes;) {
        struct esp_cutout_node *node = &cutout->nodes[i];
        if (node->weight == 0) {
            i = model->nodes[i].info.subtree_end; /* silenced, with all below */
            continue;
        }
        node->runs = model->nodes[i].info.category != SIZE_MAX && (node->selected || !cutout->selective);
        i++;
    }
    for (size_t i = model->info.nodes - 1; i > 0; i--) /* children stand behind their parents */
        if (cutout->nodes[i].runs)
            cutout->nodes[model->nodes[i].info.parent].runs = true;
}

static void add_cost(struct esp_cutout *cutout, size_t index)
{
    const struct esp_node_info *info = &cutout->model->nodes[index].info;
    bool leaf = info->category != SIZE_MAX;

    cutout->nodes[index].scores = info->head && (leaf || cutout->groups);
    cutout->cost.macs += info->macs;
    cutout->cost.parameters += info->parameters;
    cutout->cost.branches += index != 0;
    cutout->cost.categories += leaf;
    if (cutout->nodes[index].scores) {
        cutout->cost.macs += info->head_macs;
        cutout->cost.parameters += info->head_parameters;
    }
}

enum esp_status esp_cutout_close(esp_cutout *cutout, struct esp_error *err)
{
    clear(cutout);
    mark_running(cutout);
    for (size_t i = 0; i < cutout->model->info.nodes; i++)
        if (cutout->nodes[i].runs)
            add_cost(cutout, i);
    if (cutout->cost.categories == 0)
        return esp_fail(err, ESP_ERROR_NOTHING_LEFT,
                        "every selected category is silenced by an attention weight of 0: nothing is left to run");
    enum esp_status status = esp_search_plan(cutout, err);
    cutout->closed = status == ESP_OK;
    return status;
}

const esp_model *esp_cutout_model(const esp_cutout *cutout)
{
    return cutout->model;
}

struct esp_cost esp_cutout_cost(const esp_cutout *cutout)
{
    return cutout->cost;
}

bool esp_cutout_chooses(const esp_cutout *cutout)
{
    return cutout->chooses;
}

uint64_t esp_cutout_macs_least(const esp_cutout *cutout)
{
    return cutout->macs_least;
}

uint64_t esp_cutout_macs_most(const esp_cutout *cutout)
{
    return cutout->macs_most;
}

size_t esp_cutout_get_beam(const esp_cutout *cutout)
{
    return cutout->beam;
}

uint64_t esp_cutout_get_budget(const esp_cutout *cutout)
{
    return cutout->budget;
}

bool esp_cutout_runs(const esp_cutout *cutout, size_t node)
{
    return cutout->nodes[node].runs;
}

bool esp_cutout_scores(const esp_cutout *cutout, size_t node)
{
    return cutout->nodes[node].scores;
}
