#include "core/run.h"

#include "core/crew.h"
#include "core/cutout.h"
#include "core/kernels/pointwise.h"
#include "core/profile.h"

#include <string.h>

/* ---- where things lie ---- */

/* Whether the node's output is kept for the search in hand, which may descend from there at any time. */
static bool is_kept(const struct esp_run *run, const struct esp_node *node)
{
    return run->searcher && node->info.depth > 0 && node->info.category == SIZE_MAX;
}

/* Of a node that `instance` ran, or that is kept. */
static float *output_of(const struct esp_walk *walk, const esp_instance *instance, size_t job,
                        const struct esp_node *node)
{
    const struct esp_model *model = instance->model;

    if (is_kept(walk->run, node))
        return walk->run->searcher->kept + node->kept_offset;
    return instance->arenas + job * model->arena + model->output_offset[node->info.depth];
}

static void *patches_of(const esp_instance *instance, size_t job, unsigned depth)
{
    const struct esp_model *model = instance->model;
    return instance->arenas + job * model->arena + model->patches_offset[depth];
}

/* The instance that ran the node's parent. */
static const esp_instance *parent_of(const struct esp_walk *walk, const struct esp_node *node)
{
    return node->info.depth == walk->top ? walk->parent : walk->instance;
}

static const float *input_of(const struct esp_walk *walk, size_t job, const struct esp_node *node)
{
    if (node->info.depth == 0)
        return walk->run->jobs[job].input;
    return output_of(walk, parent_of(walk, node), job, &walk->run->model->nodes[node->info.parent]);
}

static float *locate(const struct esp_walk *walk, size_t job, const struct esp_node *node, struct esp_place place)
{
    switch (place.area) {
    case ESP_AREA_INPUT: return (float *)input_of(walk, job, node); /* only ever read */
    case ESP_AREA_OUTPUT: return output_of(walk, walk->instance, job, node);
    case ESP_AREA_SCRATCH: return walk->instance->scratch + place.offset;
    case ESP_AREA_NONE: break;
    }
    return NULL;
}

/* ---- the steps of a node ---- */

/* Where the image of a step lies. */
struct operands {
    const float *in, *addend;
    float *out;
};

static void run_pointwise(const struct esp_step *step, const float *in, const float *addend, float *out)
{
    const struct esp_conv *shape = &step->conv;

    switch (step->op) {
    case ESP_STEP_CONV: break;
    case ESP_STEP_MAX_POOL: esp_max_pool(shape->in, shape->out, &shape->window, in, out); break;
    case ESP_STEP_AVG_POOL:
        esp_average_pool(shape->in, shape->out, &shape->window, step->count_padding, in, out);
        break;
    case ESP_STEP_GLOBAL_AVG_POOL: esp_global_average(shape->in, in, out); break;
    case ESP_STEP_GATE: esp_gate(shape->activation, shape->in, in, addend, out); break;
    case ESP_STEP_ADD:
    case ESP_STEP_ACTIVATION: esp_add(shape->activation, in, addend, out, esp_shape_elements(shape->out)); break;
    }
}

/* A node's attention weights are applied by its last step where that is a convolution. */
static bool applies_attention(const struct esp_node *node, const struct esp_step *step)
{
    return step == &node->program.steps[node->program.count - 1] && step->op == ESP_STEP_CONV;
}

/* A convolution of less work is over before anyone has come to help. */
static const uint64_t SPLIT_MACS_MIN = 500000;

static size_t parts_of(const struct esp_model *model, const struct esp_conv *conv)
{
    size_t parts = model->kernels->conv_parts ? model->kernels->conv_parts(conv) : 1;
    return parts < ESP_PARTS_MAX ? parts : ESP_PARTS_MAX;
}

/* Somebody idle, and no other image to run: the trunk, which has no branches beside it, should not keep them waiting.
 */
static bool can_split(const struct esp_walk *walk, const struct esp_step *step)
{
    return walk->run->count == 1 && step->macs >= SPLIT_MACS_MIN && walk->instance->crew &&
           esp_crew_has_idle(walk->instance->crew) && parts_of(walk->run->model, &step->conv) > 1;
}

void esp_split_part(const esp_instance *owner, size_t part, esp_instance *worker)
{
    struct esp_images images = *owner->split.images;
    images.part = part;
    owner->model->kernels->conv(owner->split.conv, &images, worker->workspace);
}

static void run_parts(const struct esp_walk *walk, const struct esp_conv *conv, struct esp_images *images)
{
    struct esp_split *split = &walk->instance->split;
    size_t others = images->parts = parts_of(walk->run->model, conv), part;

    split->conv = conv;
    split->images = images;
    for (size_t i = 0; i < images->parts; i++)
        split->numbers[i] = i;
    esp_offer_open(&split->offer, walk->run, images->parts);
    esp_crew_announce(walk->instance->crew, images->parts - 1);
    for (; esp_offer_take(&split->offer, NULL, &part); others--)
        esp_split_part(walk->instance, part, walk->instance);
    esp_crew_wait_for_parts(&split->offer, others);
}

static void run_conv(const struct esp_walk *walk, const struct esp_node *node, const struct esp_step *step, size_t job,
                     const struct operands *operands)
{
    const struct esp_model *model = walk->run->model;
    float scale = walk->run->jobs[job].cutout->nodes[node - model->nodes].weight;
    const void *patches = step->shared_patches ? patches_of(parent_of(walk, node), job, node->info.depth - 1) : NULL;
    struct esp_images images = {.count = 1,
                                .in = &operands->in,
                                .patches = patches ? &patches : NULL,
                                .addend = operands->addend ? &operands->addend : NULL,
                                .scale = applies_attention(node, step) ? &scale : NULL,
                                .out = &operands->out};

    if (can_split(walk, step))
        run_parts(walk, &step->conv, &images);
    else
        model->kernels->conv(&step->conv, &images, walk->instance->workspace);
}

static void run_step(struct esp_walk *walk, const struct esp_node *node, const struct esp_step *step, size_t job)
{
    size_t index = (size_t)(node - walk->run->model->nodes);
    double start = esp_profile_start(walk->instance->profile);
    struct operands operands = {.in = locate(walk, job, node, step->source),
                                .addend = locate(walk, job, node, step->addend),
                                .out = locate(walk, job, node, step->target)};

    if (step->op == ESP_STEP_CONV)
        run_conv(walk, node, step, job, &operands);
    else
        run_pointwise(step, operands.in, operands.addend, operands.out);
    walk->costs[job].macs += step->macs;
    walk->costs[job].parameters += step->parameters;
    esp_profile_step(walk->instance->profile, index, (size_t)(step - node->program.steps), step->macs, start);
}

/* score = sum over channels of weight * mean(feature map), plus bias */
static float head_score(const struct esp_node *node, const float *features)
{
    size_t plane = (size_t)node->info.output.height * node->info.output.width;
    float score = 0;

    for (size_t c = 0; c < node->info.output.channels; c++)
        score += node->head_weight[c] * esp_mean(features + c * plane, plane);
    return score + node->head_bias;
}

/* Whether a child that takes its patches from the node's run is run for this image. */
static bool shares_patches(const struct esp_model *model, size_t index, const struct esp_cutout *cutout)
{
    const struct esp_node *nodes = model->nodes;

    if (!nodes[index].shared_patches)
        return false;
    for (size_t i = index + 1; i < nodes[index].info.subtree_end; i = nodes[i].info.subtree_end)
        if (cutout->nodes[i].runs && nodes[i].program.steps[0].shared_patches)
            return true;
    return false;
}

/* What a node still needs when its steps are done, for one image. */

static void attend(struct esp_walk *walk, size_t index, const struct esp_cutout_node *wanted, float *features)
{
    const struct esp_node *node = &walk->run->model->nodes[index];

    if (applies_attention(node, &node->program.steps[node->program.count - 1]))
        return;
    double start = esp_profile_start(walk->instance->profile);
    esp_scale(wanted->weight, features, esp_shape_elements(node->info.output));
    esp_profile_part(walk->instance->profile, index, ESP_PROFILE_ATTENTION, 0, start);
}

static void score(struct esp_walk *walk, size_t index, size_t job_index, const float *features)
{
    const struct esp_node *node = &walk->run->model->nodes[index];
    double start = esp_profile_start(walk->instance->profile);

    walk->run->jobs[job_index].scores[index] = head_score(node, features);
    walk->costs[job_index].macs += node->info.head_macs;
    walk->costs[job_index].parameters += node->info.head_parameters;
    esp_profile_part(walk->instance->profile, index, ESP_PROFILE_HEAD, node->info.head_macs, start);
}

/* For the node's children, where they share them and are run. */
static void lay_patches(struct esp_walk *walk, size_t index, size_t job_index, const float *features)
{
    const struct esp_model *model = walk->run->model;
    const struct esp_node *node = &model->nodes[index];

    if (!shares_patches(model, index, walk->run->jobs[job_index].cutout))
        return;
    double start = esp_profile_start(walk->instance->profile);

    model->kernels->conv_patches(node->shared_patches, features,
                                 patches_of(walk->instance, job_index, node->info.depth), walk->instance->workspace);
    esp_profile_part(walk->instance->profile, index, ESP_PROFILE_PATCHES, 0, start);
}

static void finish_node(struct esp_walk *walk, size_t index, size_t job_index)
{
    const struct esp_node *node = &walk->run->model->nodes[index];
    const struct esp_cutout *cutout = walk->run->jobs[job_index].cutout;
    float *features = output_of(walk, walk->instance, job_index, node);

    attend(walk, index, &cutout->nodes[index], features);
    if (cutout->nodes[index].scores)
        score(walk, index, job_index, features);
    if (!is_kept(walk->run, node)) /* a search lays them when it descends */
        lay_patches(walk, index, job_index, features);
    walk->costs[job_index].branches += index != 0;
    walk->costs[job_index].categories += node->info.category != SIZE_MAX;
}

/* ---- the tree ---- */

/* Whether the node is to be run for the image now: after the trunk, images of searches wait for theirs. */
static bool wants(const struct esp_run *run, size_t job, size_t node)
{
    const struct esp_cutout *cutout = run->jobs[job].cutout;

    if (!cutout->nodes[node].runs)
        return false;
    return run->searcher ? job == run->searched : node == 0 || !cutout->chooses;
}

/* Image by image: a segment's weights outlast that in the cache, and so does what goes from step to step; a step for
 * all images and then the next one would push it out. */
void esp_walk_node(struct esp_walk *walk, size_t node)
{
    const struct esp_node *its = &walk->run->model->nodes[node];

    for (size_t job = 0; job < walk->run->count; job++) {
        if (!wants(walk->run, job, node))
            continue;
        for (size_t s = 0; s < its->program.count; s++)
            run_step(walk, its, &its->program.steps[s], job);
        finish_node(walk, node, job);
    }
}

static bool runs(const struct esp_run *run, size_t node)
{
    for (size_t i = 0; i < run->count; i++)
        if (wants(run, i, node))
            return true;
    return false;
}

/* The children that some image needs. */
static size_t list_branches(const struct esp_run *run, size_t node, size_t *branches)
{
    const struct esp_node *nodes = run->model->nodes;
    size_t count = 0;

    for (size_t i = node + 1; i < nodes[node].info.subtree_end; i = nodes[i].info.subtree_end)
        if (runs(run, i))
            branches[count++] = i;
    return count;
}

/* Runs branches for as long as there are any that nobody else has taken. */
static void walk_offer(struct esp_walk *walk, struct esp_offer *offer, size_t count, unsigned depth)
{
    size_t others = count, node;

    esp_offer_open(offer, walk->run, count);
    esp_crew_announce(walk->instance->crew, count - 1);
    for (; esp_offer_take(offer, NULL, &node); others--)
        esp_walk_subtree(walk, node);
    esp_crew_wait(walk, offer, others, depth);
}

void esp_walk_branches(struct esp_walk *walk, size_t node)
{
    unsigned depth = walk->run->model->nodes[node].info.depth;
    struct esp_offer *offer = &walk->instance->offers[depth];
    size_t count = list_branches(walk->run, node, offer->branches);

    if (walk->instance->crew && count > 1)
        walk_offer(walk, offer, count, depth);
    else
        for (size_t i = 0; i < count; i++)
            esp_walk_subtree(walk, offer->branches[i]);
}

void esp_walk_subtree(struct esp_walk *walk, size_t node)
{
    esp_walk_node(walk, node);
    if (!walk->run->searcher)
        esp_walk_branches(walk, node);
}

void esp_walk_family(struct esp_walk *walk, size_t node)
{
    const struct esp_node *its = &walk->run->model->nodes[node];
    size_t job = walk->run->searched;

    if (node > 0) /* those of the trunk are there */
        lay_patches(walk, node, job, output_of(walk, walk->instance, job, its));
    esp_walk_branches(walk, node);
}

/* ---- beginning and end ---- */

void esp_walk_begin(struct esp_walk *walk, struct esp_run *run, esp_instance *instance, const esp_instance *parent,
                    unsigned top)
{
    walk->run = run;
    walk->instance = instance;
    walk->parent = parent;
    walk->top = top;
    memset(walk->costs, 0, run->count * sizeof walk->costs[0]);
}

static void add(atomic_uint_least64_t *sum, uint64_t value)
{
    atomic_fetch_add_explicit(sum, value, memory_order_relaxed);
}

void esp_walk_end(struct esp_walk *walk)
{
    for (size_t i = 0; i < walk->run->count; i++) {
        const struct esp_cost *cost = &walk->costs[i];
        struct esp_run_cost *sum = &walk->run->costs[i];
        if (cost->macs == 0 && cost->branches == 0)
            continue; /* nothing below was for this image */
        add(&sum->macs, cost->macs);
        add(&sum->parameters, cost->parameters);
        add(&sum->branches, cost->branches);
        add(&sum->categories, cost->categories);
    }
}

void esp_run_begin(struct esp_run *run, const struct esp_model *model, struct esp_job *jobs, size_t count)
{
    run->model = model;
    run->jobs = jobs;
    run->count = count;
    run->searcher = NULL;
    for (size_t i = 0; i < count; i++) {
        atomic_init(&run->costs[i].macs, 0);
        atomic_init(&run->costs[i].parameters, 0);
        atomic_init(&run->costs[i].branches, 0);
        atomic_init(&run->costs[i].categories, 0);
    }
}

static uint64_t get(const atomic_uint_least64_t *sum)
{
    return atomic_load_explicit(sum, memory_order_relaxed);
}

void esp_run_end(struct esp_run *run)
{
    for (size_t i = 0; i < run->count; i++)
        run->jobs[i].cost = (struct esp_cost){.macs = get(&run->costs[i].macs),
                                              .parameters = get(&run->costs[i].parameters),
                                              .branches = get(&run->costs[i].branches),
                                              .categories = get(&run->costs[i].categories)};
}
