#include "core/model.h"

#include "core/memory.h"
#include "core/names.h"
#include "core/safetensors.h"
#include "core/tree_spec.h"
#include "espalier/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What loading needs beside the model itself. */
struct loading {
    struct esp_model *model;
    struct esp_tree_spec spec;
    struct esp_safetensors file;
    float *floats; /* room for the largest tensor */
    size_t filled; /* bytes of packed weights so far */
    struct esp_error *err;
};

/* A tensor that model.json asks for. */
struct wanted {
    const char *path, *layer, *kind;
    uint64_t shape[4];
    unsigned rank;
};

static enum esp_status no_memory(struct esp_error *err)
{
    return esp_fail(err, ESP_ERROR_MEMORY, "no memory for the model");
}

static size_t aligned(size_t bytes)
{
    return (bytes + ESP_ALIGNMENT - 1) / ESP_ALIGNMENT * ESP_ALIGNMENT;
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
    spec->path = spec->name = spec->label = NULL; /* the model's from now on */
    info->parent = spec->parent;
    info->subtree_end = spec->subtree_end;
    info->depth = spec->depth;
    info->head = spec->head;
    info->category = spec->leaf ? model->info.categories++ : SIZE_MAX;
    enum esp_status status = esp_program_build(&node->program, &spec->layers, input, info->path, load->err);
    if (status != ESP_OK)
        return status;
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
    model->workspace = larger(model->workspace, workspace);
    model->weight_bytes += aligned(model->kernels->conv_weight_bytes(&step->conv));
    model->weight_bytes += aligned(step->conv.out.channels * sizeof(float));
    return true;
}

/* Sizes of weights and workspace; the largest output of each depth, left in output_offset. */
static enum esp_status measure(struct loading *load)
{
    struct esp_model *model = load->model;

    for (size_t i = 0; i < model->info.nodes; i++) {
        const struct esp_node *node = &model->nodes[i];
        size_t *room = &model->output_offset[node->info.depth];
        for (size_t s = 0; s < node->program.count; s++) {
            const struct esp_step *step = &node->program.steps[s];
            if (step->op == ESP_STEP_CONV && !conv_sizes(model, step))
                return esp_fail(load->err, ESP_ERROR_MODEL, "%s: layer %s needs more working memory than the limit",
                                node->info.path, step->tensor);
        }
        if (node->info.head)
            model->weight_bytes += aligned(node->info.output.channels * sizeof(float));
        *room = larger(*room, esp_shape_room(node->info.output));
        model->scratch_offset = larger(model->scratch_offset, node->program.scratch);
    }
    return ESP_OK;
}

static enum esp_status plan_memory(struct loading *load)
{
    struct esp_model *model = load->model;
    size_t offset = esp_shape_room(model->info.input.shape), scratch;

    for (size_t i = 0; i < model->info.nodes; i++)
        model->depths = larger(model->depths, model->nodes[i].info.depth + 1);
    model->output_offset = esp_alloc(model->depths, sizeof *model->output_offset);
    if (!model->output_offset)
        return no_memory(load->err);
    enum esp_status status = measure(load);
    if (status != ESP_OK)
        return status;
    for (size_t depth = 0; depth < model->depths; depth++) {
        size_t room = model->output_offset[depth];
        model->output_offset[depth] = offset;
        offset += room;
    }
    scratch = model->scratch_offset;
    model->scratch_offset = offset;
    model->arena = offset + scratch;
    if (model->arena > ESP_ARENA_MAX)
        return esp_fail(load->err, ESP_ERROR_MODEL,
                        "the network's activations take %zu bytes for each image; the limit is %zu",
                        model->arena * sizeof(float), ESP_ARENA_MAX * sizeof(float));
    return ESP_OK;
}

/* --- weights -------------------------------------------------------------------------------------------------- */

static enum esp_status wrong_shape(struct loading *load, const char *name, const uint64_t *shape, unsigned rank)
{
    char wanted[128] = "";
    size_t used = 0;

    for (unsigned i = 0; i < rank; i++)
        used += (size_t)snprintf(wanted + used, sizeof wanted - used, "%s%" PRIu64, i ? ", " : "", shape[i]);
    return esp_fail(load->err, ESP_ERROR_MODEL, "tensor %s does not have the shape [%s] that model.json asks for", name,
                    wanted);
}

/* Finds a tensor and checks its type and shape. */
static enum esp_status find_tensor(struct loading *load, const struct wanted *wanted, struct esp_tensor **found)
{
    char name[2 * ESP_PATH_MAX + 512];

    snprintf(name, sizeof name, "%s:%s.%s", wanted->path, wanted->layer, wanted->kind);
    struct esp_tensor *tensor = *found = esp_safetensors_find(&load->file, name);
    if (!tensor)
        return esp_fail(load->err, ESP_ERROR_MODEL, "model.safetensors has no tensor %s, which model.json asks for",
                        name);
    if (tensor->dtype == ESP_U8)
        return esp_fail(load->err, ESP_ERROR_MODEL, "tensor %s: weights have to be F32, F16 or BF16", name);
    bool same = tensor->rank == wanted->rank;
    for (unsigned i = 0; same && i < wanted->rank; i++)
        same = tensor->shape[i] == wanted->shape[i];
    return same ? ESP_OK : wrong_shape(load, name, wanted->shape, wanted->rank);
}

/* Checks a tensor before any memory is taken for weights, so that model.json cannot ask for more than the file has. */
static enum esp_status claim(struct loading *load, const struct wanted *wanted)
{
    struct esp_tensor *tensor;
    enum esp_status status = find_tensor(load, wanted, &tensor);

    if (status == ESP_OK && tensor->used)
        return esp_fail(load->err, ESP_ERROR_MODEL, "tensor %s is used by two layers of that name", tensor->name);
    if (status == ESP_OK)
        tensor->used = true;
    return status;
}

/* Reads a tensor as FP32 into load->floats. */
static enum esp_status fetch(struct loading *load, const struct wanted *wanted)
{
    struct esp_tensor *tensor;
    enum esp_status status = find_tensor(load, wanted, &tensor);

    if (status == ESP_OK && !esp_tensor_floats(&load->file, tensor, load->floats))
        return esp_fail(load->err, ESP_ERROR_MODEL, "tensor %s holds a value that is not a finite number",
                        tensor->name);
    return status;
}

static struct wanted conv_weight(const char *path, const struct esp_step *step)
{
    const struct esp_conv *conv = &step->conv;
    struct wanted wanted = {path, step->tensor, "weight", {conv->out.channels}, 4};

    if (step->linear) {
        wanted.shape[1] = esp_conv_weights(conv) / conv->out.channels;
        wanted.rank = 2;
    } else {
        wanted.shape[1] = conv->in.channels / conv->groups;
        wanted.shape[2] = conv->window.kernel_h;
        wanted.shape[3] = conv->window.kernel_w;
    }
    return wanted;
}

static struct wanted conv_bias(const char *path, const struct esp_step *step)
{
    return (struct wanted){path, step->tensor, "bias", {step->conv.out.channels}, 1};
}

static struct wanted head_weight(const struct esp_node *node)
{
    return (struct wanted){node->info.path, "head", "weight", {node->info.output.channels}, 1};
}

static struct wanted head_bias(const struct esp_node *node)
{
    return (struct wanted){node->info.path, "head", "bias", {1}, 1};
}

static enum esp_status claim_conv(struct loading *load, const char *path, const struct esp_step *step)
{
    struct wanted weight = conv_weight(path, step), bias = conv_bias(path, step);
    enum esp_status status = claim(load, &weight);

    return status == ESP_OK && step->bias ? claim(load, &bias) : status;
}

static enum esp_status claim_node(struct loading *load, const struct esp_node *node)
{
    struct wanted weight = head_weight(node), bias = head_bias(node);
    enum esp_status status = ESP_OK;

    for (size_t s = 0; status == ESP_OK && s < node->program.count; s++)
        if (node->program.steps[s].op == ESP_STEP_CONV)
            status = claim_conv(load, node->info.path, &node->program.steps[s]);
    if (status == ESP_OK && node->info.head)
        status = claim(load, &weight);
    return status == ESP_OK && node->info.head ? claim(load, &bias) : status;
}

/* The next piece of the packed weights. */
static void *take(struct loading *load, size_t bytes)
{
    void *piece = load->model->weights + load->filled;
    load->filled += aligned(bytes);
    return piece;
}

static enum esp_status load_conv(struct loading *load, const char *path, struct esp_step *step)
{
    struct esp_conv *conv = &step->conv;
    const struct esp_kernels *kernels = load->model->kernels;
    struct wanted weight = conv_weight(path, step), wanted_bias = conv_bias(path, step);
    void *packed = take(load, kernels->conv_weight_bytes(conv));
    float *bias = take(load, conv->out.channels * sizeof *bias);
    enum esp_status status = fetch(load, &weight);

    if (status != ESP_OK)
        return status;
    kernels->conv_pack(conv, load->floats, packed);
    conv->weights = packed;
    conv->bias = bias; /* zeros until filled */
    if (!step->bias)
        return ESP_OK;
    status = fetch(load, &wanted_bias);
    if (status == ESP_OK)
        memcpy(bias, load->floats, conv->out.channels * sizeof *bias);
    return status;
}

static enum esp_status load_head(struct loading *load, struct esp_node *node)
{
    struct wanted weight = head_weight(node), bias = head_bias(node);
    size_t bytes = node->info.output.channels * sizeof(float);
    float *values = take(load, bytes);
    enum esp_status status = fetch(load, &weight);

    if (status != ESP_OK)
        return status;
    memcpy(values, load->floats, bytes);
    node->head_weight = values;
    status = fetch(load, &bias);
    node->head_bias = load->floats[0];
    return status;
}

/* Law 3 holds for a leaf whose features cannot be negative and whose head has no negative weight. */
static bool is_monotone(const struct esp_node *node)
{
    enum esp_activation last = node->program.steps[node->program.count - 1].conv.activation;

    if (last != ESP_ACTIVATION_RELU && last != ESP_ACTIVATION_RELU6)
        return false;
    for (size_t c = 0; c < node->info.output.channels; c++)
        if (node->head_weight[c] < 0)
            return false;
    return true;
}

static enum esp_status load_node(struct loading *load, struct esp_node *node)
{
    enum esp_status status = ESP_OK;

    node->weights_begin = load->filled;
    for (size_t s = 0; status == ESP_OK && s < node->program.count; s++)
        if (node->program.steps[s].op == ESP_STEP_CONV)
            status = load_conv(load, node->info.path, &node->program.steps[s]);
    if (status == ESP_OK && node->info.head)
        status = load_head(load, node);
    node->weights_end = load->filled;
    if (status == ESP_OK && node->info.category != SIZE_MAX)
        node->info.monotone = is_monotone(node);
    return status;
}

/* Every tensor that model.json asks for is there, once and of its shape, and there are no others. */
static enum esp_status check_tensors(struct loading *load)
{
    for (size_t i = 0; i < load->model->info.nodes; i++) {
        enum esp_status status = claim_node(load, &load->model->nodes[i]);
        if (status != ESP_OK)
            return status;
    }
    for (size_t i = 0; i < load->file.count; i++)
        if (!load->file.tensors[i].used)
            return esp_fail(load->err, ESP_ERROR_MODEL,
                            "model.safetensors: tensor %s belongs to no layer of model.json",
                            load->file.tensors[i].name);
    return ESP_OK;
}

static enum esp_status load_weights(struct loading *load)
{
    struct esp_model *model = load->model;
    size_t largest = 1;

    for (size_t i = 0; i < load->file.count; i++)
        largest = larger(largest, load->file.tensors[i].elements);
    load->floats = esp_alloc(largest, sizeof *load->floats);
    model->weights = esp_alloc(model->weight_bytes, 1);
    if (!load->floats || !model->weights)
        return no_memory(load->err);
    model->info.monotone = true;
    for (size_t i = 0; i < model->info.nodes; i++) {
        enum esp_status status = load_node(load, &model->nodes[i]);
        if (status != ESP_OK)
            return status;
        if (model->nodes[i].info.category != SIZE_MAX)
            model->info.monotone = model->info.monotone && model->nodes[i].info.monotone;
    }
    return ESP_OK;
}

static void finish_info(struct esp_model *model)
{
    model->info.kernels = model->kernels->name;
    model->info.precision = model->kernels->precision;
    model->info.weight_bytes = model->weight_bytes;
    model->info.activation_bytes = model->arena * sizeof(float);
    model->info.workspace_bytes = model->workspace;
}

/* --- the public functions ------------------------------------------------------------------------------------- */

static enum esp_status load_model(struct loading *load, const char *directory)
{
    enum esp_status status;

    if ((status = esp_tree_spec_read(&load->spec, directory, load->err)) == ESP_OK &&
        (status = build_tree(load)) == ESP_OK && (status = plan_memory(load)) == ESP_OK &&
        (status = esp_safetensors_read(&load->file, directory, "model.safetensors", load->err)) == ESP_OK &&
        (status = check_tensors(load)) == ESP_OK && (status = load_weights(load)) == ESP_OK)
        finish_info(load->model);
    return status;
}

void esp_model_options_default(struct esp_model_options *options)
{
    *options = (struct esp_model_options){.kernels = "auto"};
}

enum esp_status esp_model_load(esp_model **model, const char *directory, const struct esp_model_options *options,
                               struct esp_error *err)
{
    struct loading load = {.err = err};
    const struct esp_kernels *kernels;
    enum esp_status status = esp_kernels_find(&kernels, options && options->kernels ? options->kernels : "auto", err);

    *model = NULL;
    if (status != ESP_OK)
        return status;
    load.model = esp_alloc(1, sizeof *load.model);
    if (!load.model)
        return no_memory(err);
    load.model->kernels = kernels;
    status = load_model(&load, directory);
    esp_safetensors_release(&load.file);
    esp_tree_spec_release(&load.spec);
    esp_free(load.floats);
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
    }
    esp_free(m->nodes);
    esp_free(m->category_nodes);
    esp_free(m->by_path);
    esp_free(m->by_name);
    esp_free(m->output_offset);
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
