#include "espalier/instance.h"

#include "core/clock.h"
#include "core/cutout.h"
#include "core/kernels/pointwise.h"
#include "core/memory.h"
#include "core/model.h"
#include "espalier/limits.h"

struct esp_instance {
    const struct esp_model *model;
    size_t batch;
    float *arenas;   /* [batch][model->arena] */
    void *workspace; /* of the kernels */
};

enum esp_status esp_instance_create(esp_instance **instance, const esp_model *model, size_t batch,
                                    struct esp_error *err)
{
    struct esp_instance *made;
    size_t floats;

    *instance = NULL;
    if (batch < 1 || batch > ESP_BATCH_MAX)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "an instance's batch has to be 1 to %d images", ESP_BATCH_MAX);
    made = esp_alloc(1, sizeof *made);
    if (made) {
        made->model = model;
        made->batch = batch;
        made->arenas = __builtin_mul_overflow(batch, model->arena, &floats) ? NULL : esp_alloc(floats, sizeof(float));
        made->workspace = esp_alloc(model->info.workspace_bytes, 1);
    }
    if (!made || !made->arenas || !made->workspace) {
        esp_instance_destroy(&made);
        return esp_fail(err, ESP_ERROR_MEMORY,
                        "no memory for an instance: its activations take %zu bytes for each image",
                        model->info.activation_bytes);
    }
    *instance = made;
    return ESP_OK;
}

void esp_instance_destroy(esp_instance **instance)
{
    if (!*instance)
        return;
    esp_free((*instance)->arenas);
    esp_free((*instance)->workspace);
    esp_free(*instance);
    *instance = NULL;
}

float *esp_instance_input(esp_instance *instance, size_t index)
{
    return instance->arenas + index * instance->model->arena; /* the input comes first in an arena */
}

/* A run: the images whose cutouts meet at the node in hand. */
struct run {
    struct esp_instance *instance;
    struct esp_job *jobs;
    size_t count;               /* of jobs */
    size_t here[ESP_BATCH_MAX]; /* the jobs that run the node in hand */
    size_t here_count;
};

static float *output_of(const struct run *run, size_t job, unsigned depth)
{
    const struct esp_model *model = run->instance->model;
    return run->instance->arenas + job * model->arena + model->output_offset[depth];
}

static const float *input_of(const struct run *run, size_t job, const struct esp_node *node)
{
    return node->info.depth == 0 ? run->jobs[job].input : output_of(run, job, node->info.depth - 1);
}

static float *locate(const struct run *run, size_t job, const struct esp_node *node, struct esp_place place)
{
    const struct esp_model *model = run->instance->model;

    switch (place.area) {
    case ESP_AREA_INPUT: return (float *)input_of(run, job, node); /* only ever read */
    case ESP_AREA_OUTPUT: return output_of(run, job, node->info.depth);
    case ESP_AREA_SCRATCH: return run->instance->arenas + job * model->arena + model->scratch_offset + place.offset;
    case ESP_AREA_NONE: break;
    }
    return NULL;
}

static void *patches_of(const struct run *run, size_t job, unsigned depth)
{
    const struct esp_model *model = run->instance->model;
    return run->instance->arenas + job * model->arena + model->patches_offset[depth];
}

/* Where the images of a step lie. */
struct operands {
    const float *in[ESP_BATCH_MAX], *addend[ESP_BATCH_MAX];
    const void *patches[ESP_BATCH_MAX];
    float scale[ESP_BATCH_MAX], *out[ESP_BATCH_MAX];
};

static void find_operands(const struct run *run, const struct esp_node *node, const struct esp_step *step,
                          struct operands *operands)
{
    for (size_t i = 0; i < run->here_count; i++) {
        operands->in[i] = locate(run, run->here[i], node, step->source);
        operands->addend[i] = locate(run, run->here[i], node, step->addend);
        operands->out[i] = locate(run, run->here[i], node, step->target);
    }
}

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

static void run_conv(struct run *run, const struct esp_node *node, const struct esp_step *step,
                     struct operands *operands)
{
    size_t index = (size_t)(node - run->instance->model->nodes);
    struct esp_images images = {.count = run->here_count,
                                .in = operands->in,
                                .patches = step->shared_patches ? operands->patches : NULL,
                                .addend = step->addend.area == ESP_AREA_NONE ? NULL : operands->addend,
                                .scale = applies_attention(node, step) ? operands->scale : NULL,
                                .out = operands->out};

    for (size_t i = 0; i < run->here_count; i++) {
        operands->scale[i] = run->jobs[run->here[i]].cutout->nodes[index].weight;
        if (step->shared_patches)
            operands->patches[i] = patches_of(run, run->here[i], node->info.depth - 1);
    }
    run->instance->model->kernels->conv(&step->conv, &images, run->instance->workspace);
}

static void run_step(struct run *run, const struct esp_node *node, const struct esp_step *step)
{
    struct operands operands;

    find_operands(run, node, step, &operands);
    if (step->op == ESP_STEP_CONV)
        run_conv(run, node, step, &operands);
    else
        for (size_t i = 0; i < run->here_count; i++)
            run_pointwise(step, operands.in[i], operands.addend[i], operands.out[i]);
    for (size_t i = 0; i < run->here_count; i++) {
        run->jobs[run->here[i]].cost.macs += step->macs;
        run->jobs[run->here[i]].cost.parameters += step->parameters;
    }
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

/* Attention, head, patches for the children and counts of one image, after the node's steps. */
static void finish_node(struct run *run, size_t index, size_t job_index)
{
    const struct esp_node *node = &run->instance->model->nodes[index];
    struct esp_job *job = &run->jobs[job_index];
    const struct esp_cutout_node *wanted = &job->cutout->nodes[index];
    float *features = output_of(run, job_index, node->info.depth);

    if (!applies_attention(node, &node->program.steps[node->program.count - 1]))
        esp_scale(wanted->weight, features, esp_shape_elements(node->info.output));
    if (wanted->scores) {
        job->scores[index] = head_score(node, features);
        job->cost.macs += node->info.head_macs;
        job->cost.parameters += node->info.head_parameters;
    }
    if (shares_patches(run->instance->model, index, job->cutout))
        run->instance->model->kernels->conv_patches(node->shared_patches, features,
                                                    patches_of(run, job_index, node->info.depth),
                                                    run->instance->workspace);
    job->cost.branches += index != 0;
    job->cost.categories += node->info.category != SIZE_MAX;
}

static void gather(struct run *run, size_t index)
{
    run->here_count = 0;
    for (size_t i = 0; i < run->count; i++)
        if (run->jobs[i].cutout->nodes[index].runs)
            run->here[run->here_count++] = i;
}

/* Runs the nodes from `first` to `end`, skipping the subtrees that no image needs. */
static void run_nodes(struct run *run, size_t first, size_t end)
{
    for (size_t index = first; index < end;) {
        const struct esp_node *node = &run->instance->model->nodes[index];
        gather(run, index);
        if (run->here_count == 0) {
            index = node->info.subtree_end;
            continue;
        }
        for (size_t s = 0; s < node->program.count; s++)
            run_step(run, node, &node->program.steps[s]);
        for (size_t i = 0; i < run->here_count; i++)
            finish_node(run, index, run->here[i]);
        index++;
    }
}

static enum esp_status check_jobs(const struct esp_instance *instance, const struct esp_job *jobs, size_t count,
                                  struct esp_error *err)
{
    if (count < 1 || count > instance->batch)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "this instance runs 1 to %zu images, not %zu", instance->batch, count);
    for (size_t i = 0; i < count; i++)
        if (!jobs[i].cutout->closed || jobs[i].cutout->model != instance->model)
            return esp_fail(err, ESP_ERROR_ARGUMENT, "image %zu: its cutout is open, or another model's", i);
    return ESP_OK;
}

enum esp_status esp_instance_run(esp_instance *instance, struct esp_job *jobs, size_t count, struct esp_error *err)
{
    struct run run = {.instance = instance, .jobs = jobs, .count = count};
    enum esp_status status = check_jobs(instance, jobs, count, err);

    if (status != ESP_OK)
        return status;
    for (size_t i = 0; i < count; i++)
        jobs[i].cost = (struct esp_cost){0};
    double start = esp_clock_seconds();
    run_nodes(&run, 0, 1);
    double trunk = esp_clock_seconds();
    run_nodes(&run, 1, instance->model->info.nodes);
    double end = esp_clock_seconds();
    for (size_t i = 0; i < count; i++) {
        jobs[i].trunk_seconds = trunk - start;
        jobs[i].branches_seconds = end - trunk;
    }
    return ESP_OK;
}
