#include "core/weights.h"

#include "core/memory.h"
#include "core/safetensors.h"
#include "espalier/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct loading {
    struct esp_model *model;
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
    load->filled += esp_aligned(bytes);
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
        if (load->file.tensors[i].elements > largest)
            largest = load->file.tensors[i].elements;
    load->floats = esp_alloc(largest, sizeof *load->floats);
    model->weights = esp_alloc(model->info.weight_bytes, 1);
    if (!load->floats || !model->weights)
        return esp_fail(load->err, ESP_ERROR_MEMORY, "no memory for the weights");
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

enum esp_status esp_weights_load(struct esp_model *model, const char *directory, struct esp_error *err)
{
    struct loading load = {.model = model, .err = err};
    enum esp_status status;

    if ((status = esp_safetensors_read(&load.file, directory, "model.safetensors", err)) == ESP_OK &&
        (status = check_tensors(&load)) == ESP_OK)
        status = load_weights(&load);
    esp_safetensors_release(&load.file);
    esp_free(load.floats);
    return status;
}
