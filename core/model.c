#include "core/model.h"

#include "core/memory.h"
#include "core/names.h"
#include "core/tree_spec.h"
#include "core/weights.h"
#include "espalier/limits.h"

#include <inttypes.h>
#include <string.h>

/* What loading needs beside the model itself. */
struct loading {
    struct esp_model *model;
    struct esp_tree_spec spec;
    struct esp_error *err;
};

static enum esp_status no_memory(struct esp_error *err)
{
    return esp_fail(err, ESP_ERROR_MEMORY, "no memory for the model");
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* --- the tree ------------------------------------------------------------------------------------------------- */

static enum esp_status add_node(struct loading *load, size_t index)
{
    struct esp_model *model = load->model;
    struct esp_node_spec *spec = &load->spec.nodes[index];
    struct esp_node *node = &model->nodes[index];
    struct esp_node_info *info = &node->info;
    struct esp_shape input = index ? model->nodes[spec->parent].info.output : model->info.input.shape;

    info->path = spec->path;
    info->name = spec->name;
    info->label = spec->label;
    info->id = spec->id;
    spec->path = spec->name = spec->label = spec->id = NULL; /* the model's from now on */
    info->parent = spec->parent;
    info->subtree_end = spec->subtree_end;
    info->depth = spec->depth;
    info->head = spec->head;
    info->category = spec->leaf ? model->info.categories++ : SIZE_MAX;
    info->calibration = spec->calibration;
    enum esp_status status = esp_program_build(&node->program, &spec->layers, input, info->path, load->err);
    if (status != ESP_OK)
        return status;
    for (size_t s = 0; s < node->program.count; s++)
        node->program.steps[s].conv.exact = index == 0; /* the trunk, which all scores depend on */
    info->output = node->program.output;
    info->macs = node->program.macs;
    info->parameters = node->program.parameters;
    info->head_macs = spec->head ? info->output.channels : 0;
    info->head_parameters = spec->head ? info->output.channels + 1 : 0;
    return ESP_OK;
}

static void count_node(struct esp_model *model, size_t index)
{
    struct esp_node_info *info = &model->nodes[index].info;

    model->info.macs += info->macs;
    model->info.parameters += info->parameters;
    if (info->category == SIZE_MAX)
        return;
    model->info.macs += info->head_macs;
    model->info.parameters += info->head_parameters;
    model->category_nodes[info->category] = index;
    for (size_t i = index;; i = model->nodes[i].info.parent) {
        model->nodes[i].info.categories++;
        if (i == 0)
            break;
    }
}

static enum esp_status build_tree(struct loading *load)
{
    struct esp_model *model = load->model;

    model->name = load->spec.name;
    model->version = load->spec.version;
    load->spec.name = load->spec.version = NULL;
    model->info.name = model->name;
    model->info.version = model->version;
    model->info.input = load->spec.input;
    model->info.calibrated = load->spec.calibrated;
    model->nodes = esp_alloc(load->spec.count, sizeof *model->nodes);
    model->category_nodes = esp_alloc(load->spec.count, sizeof *model->category_nodes);
    if (!model->nodes || !model->category_nodes)
        return no_memory(load->err);
    for (; model->info.nodes < load->spec.count; model->info.nodes++) {
        enum esp_status status = add_node(load, model->info.nodes);
        if (status != ESP_OK) {
            model->info.nodes++; /* so that what it holds is freed */
            return status;
        }
        count_node(model, model->info.nodes);
        if (model->info.macs > ESP_MACS_MAX)
            return esp_fail(load->err, ESP_ERROR_MODEL, "the network has more than %" PRIu64 " MACs", ESP_MACS_MAX);
    }
    model->info.branches = model->info.nodes - 1;
    return esp_names_index(model) ? ESP_OK : no_memory(load->err);
}

/* --- an instance's memory ------------------------------------------------------------------------------------- */

static bool conv_sizes(struct esp_model *model, const struct esp_step *step)
{
    size_t workspace = model->kernels->conv_workspace_bytes(&step->conv);

    if (workspace > ESP_TENSOR_MAX * 64)
        return false;
    model->info.workspace_bytes = larger(model->info.workspace_bytes, workspace);
    model->info.weight_bytes += esp_aligned(model->kernels->conv_weight_bytes(&step->conv));
    model->info.weight_bytes += esp_aligned(step->conv.out.channels * sizeof(float));
    return true;
}

/* The convolution that reads the node's input first, or NULL. */
static struct esp_step *first_conv(const struct esp_node *node)
{
    struct esp_step *step = &node->program.steps[0];
    return step->op == ESP_STEP_CONV && step->source.area == ESP_AREA_INPUT ? step : NULL;
}

/* Lets the children of a node share the patches that their first convolutions take from its output, where at least two
 * can. Returns their floats. */
static size_t share_patches(struct esp_model *model, size_t parent)
{
    struct esp_node *node = &model->nodes[parent];
    size_t sharing = 0;

    for (size_t i = parent + 1; i < node->info.subtree_end; i = model->nodes[i].info.subtree_end) {
        const struct esp_step *step = first_conv(&model->nodes[i]);
        if (step && !node->shared_patches)
            node->shared_patches = &step->conv;
        sharing += step && esp_conv_shares_patches(node->shared_patches, &step->conv);
    }
    size_t bytes = sharing < 2 ? 0 : model->kernels->conv_patch_bytes(node->shared_patches);
    if (bytes == 0 || bytes > ESP_SHARED_PATCHES_MAX) {
        node->shared_patches = NULL;
        return 0;
    }
    for (size_t i = parent + 1; i < node->info.subtree_end; i = model->nodes[i].info.subtree_end) {
        struct esp_step *step = first_conv(&model->nodes[i]);
        if (step)
            step->shared_patches = esp_conv_shares_patches(node->shared_patches, &step->conv);
    }
    return esp_aligned(bytes) / sizeof(float);
}

/* The largest that any node needs. */
struct needs {
    size_t outputs[ESP_DEPTH_MAX + 1], patches[ESP_DEPTH_MAX + 1]; /* floats, for each depth */
    size_t scratch;
};

/* Sizes of weights and workspace, and what the nodes need. */
static enum esp_status measure(struct loading *load, struct needs *needs)
{
    struct esp_model *model = load->model;

    for (size_t i = 0; i < model->info.nodes; i++) {
        struct esp_node *node = &model->nodes[i];
        unsigned depth = node->info.depth;
        node->kept_offset = model->kept;
        for (size_t s = 0; s < node->program.count; s++) {
            const struct esp_step *step = &node->program.steps[s];
            if (step->op == ESP_STEP_CONV && !conv_sizes(model, step))
                return esp_fail(load->err, ESP_ERROR_MODEL, "%s: layer %s needs more working memory than the limit",
                                node->info.path, step->tensor);
        }
        if (node->info.head)
            model->info.weight_bytes += esp_aligned(node->info.output.channels * sizeof(float));
        if (depth > 0 && node->info.category == SIZE_MAX)
            model->kept += esp_shape_room(node->info.output);
        needs->outputs[depth] = larger(needs->outputs[depth], esp_shape_room(node->info.output));
        needs->patches[depth] = larger(needs->patches[depth], share_patches(model, i));
        needs->scratch = larger(needs->scratch, node->program.scratch);
    }
    return ESP_OK;
}

static enum esp_status plan_memory(struct loading *load)
{
    struct esp_model *model = load->model;
    size_t offset = esp_shape_room(model->info.input.shape);
    struct needs needs = {.scratch = 0};

    for (size_t i = 0; i < model->info.nodes; i++)
        model->depths = larger(model->depths, model->nodes[i].info.depth + 1);
    model->output_offset = esp_alloc(model->depths, sizeof *model->output_offset);
    model->patches_offset = esp_alloc(model->depths, sizeof *model->patches_offset);
    if (!model->output_offset || !model->patches_offset)
        return no_memory(load->err);
    enum esp_status status = measure(load, &needs);
    if (status != ESP_OK)
        return status;
    for (size_t depth = 0; depth < model->depths; depth++) {
        model->output_offset[depth] = offset;
        offset += needs.outputs[depth];
        model->patches_offset[depth] = offset;
        offset += needs.patches[depth];
    }
    model->scratch = needs.scratch;
    model->arena = offset;
    model->info.activation_bytes = model->arena * sizeof(float);
    size_t shared = model->scratch + model->kept;
    if (model->arena > ESP_ARENA_MAX || shared > ESP_ARENA_MAX)
        return esp_fail(load->err, ESP_ERROR_MODEL,
                        "the network's activations take %zu bytes for each image and %zu besides; the limit is %zu",
                        model->arena * sizeof(float), shared * sizeof(float), ESP_ARENA_MAX * sizeof(float));
    model->info.workspace_bytes += shared * sizeof(float);
    return ESP_OK;
}

/* --- the public functions ------------------------------------------------------------------------------------- */

static enum esp_status load_model(struct loading *load, const char *directory)
{
    enum esp_status status = esp_tree_spec_read(&load->spec, directory, load->err);

    if (status == ESP_OK)
        status = build_tree(load);
    if (status == ESP_OK)
        status = plan_memory(load);
    return status == ESP_OK ? esp_weights_load(load->model, directory, load->err) : status;
}

void esp_model_options_default(struct esp_model_options *options)
{
    *options = (struct esp_model_options){.kernels = "auto", .precision = ESP_PRECISION_AUTO};
}

enum esp_status esp_model_load(esp_model **model, const char *directory, const struct esp_model_options *options,
                               struct esp_error *err)
{
    struct loading load = {.err = err};
    const struct esp_kernels *kernels;
    enum esp_status status = esp_kernels_find(&kernels, options && options->kernels ? options->kernels : "auto",
                                              options ? options->precision : ESP_PRECISION_AUTO, err);

    *model = NULL;
    if (status != ESP_OK)
        return status;
    load.model = esp_alloc(1, sizeof *load.model);
    if (!load.model)
        return no_memory(err);
    load.model->kernels = kernels;
    load.model->info.kernels = kernels->name;
    load.model->info.precision = kernels->precision == ESP_PRECISION_BF16 ? "bf16" : "fp32";
    status = load_model(&load, directory);
    esp_tree_spec_release(&load.spec);
    if (status != ESP_OK)
        esp_model_destroy(&load.model);
    *model = load.model;
    return status;
}

void esp_model_destroy(esp_model **model)
{
    struct esp_model *m = *model;

    *model = NULL;
    if (!m)
        return;
    for (size_t i = 0; i < m->info.nodes; i++) {
        esp_program_release(&m->nodes[i].program);
        esp_free((char *)m->nodes[i].info.path);
        esp_free((char *)m->nodes[i].info.name);
        esp_free((char *)m->nodes[i].info.label);
        esp_free((char *)m->nodes[i].info.id);
    }
    esp_free(m->nodes);
    esp_free(m->category_nodes);
    esp_free(m->by_path);
    esp_free(m->by_name);
    esp_free(m->output_offset);
    esp_free(m->patches_offset);
    esp_free(m->weights);
    esp_free(m->name);
    esp_free(m->version);
    esp_free(m);
}

const struct esp_model_info *esp_model_info(const esp_model *model)
{
    return &model->info;
}

const struct esp_node_info *esp_model_node(const esp_model *model, size_t node)
{
    return &model->nodes[node].info;
}

size_t esp_model_category_node(const esp_model *model, size_t category)
{
    return model->category_nodes[category];
}
