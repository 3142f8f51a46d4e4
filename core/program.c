#include "core/program.h"

#include "core/memory.h"
#include "core/place.h"
#include "espalier/limits.h"

#include <stdio.h>
#include <string.h>

enum { PREFIX_MAX = (ESP_RESIDUAL_DEPTH_MAX + 2) * (ESP_NAME_MAX + 1) };

/* While lowering: a value is a tensor that one step writes; value 0 is the segment's input. */
struct lowering {
    struct esp_program *program;
    size_t room;
    const char *path;
    char prefix[PREFIX_MAX]; /* of the tensors of the residual block we are in: "res1." */
    struct esp_error *err;
};

struct value {
    size_t id;
    struct esp_shape shape;
};

size_t esp_shape_elements(struct esp_shape shape)
{
    return (size_t)shape.channels * shape.height * shape.width;
}

size_t esp_shape_room(struct esp_shape shape)
{
    size_t unit = ESP_ALIGNMENT / sizeof(float);
    return (esp_shape_elements(shape) + unit - 1) / unit * unit;
}

/* Channels are below 2^17, and an extent grows by at most 2 * ESP_EXTENT_MAX over one that passed here: the product
 * fits into 64 bits. */
static enum esp_status check_shape(const struct lowering *low, const char *layer, struct esp_shape shape)
{
    uint64_t elements = (uint64_t)shape.channels * shape.height * shape.width;
    if (elements <= ESP_TENSOR_MAX)
        return ESP_OK;
    return esp_fail(low->err, ESP_ERROR_MODEL, "%s: layer %s%s: its output of %u x %u x %u has more than %zu elements",
                    low->path, low->prefix, layer, shape.channels, shape.height, shape.width, ESP_TENSOR_MAX);
}

static enum esp_status grow(struct lowering *low)
{
    struct esp_program *program = low->program;
    size_t room = low->room ? 2 * low->room : 8;
    struct esp_step *steps = esp_alloc(room, sizeof *steps);

    if (!steps)
        return esp_fail(low->err, ESP_ERROR_MEMORY, "no memory for the plan of %s", low->path);
    if (program->count)
        memcpy(steps, program->steps, program->count * sizeof *steps);
    esp_free(program->steps);
    program->steps = steps;
    low->room = room;
    return ESP_OK;
}

/* Adds a step that reads `value` and makes it what the step writes. The step's conv.out is its output's shape. */
static enum esp_status emit(struct lowering *low, struct esp_step step, const char *layer, struct value *value)
{
    enum esp_status status = check_shape(low, layer, step.conv.out);

    if (status == ESP_OK && low->program->count == low->room)
        status = grow(low);
    if (status != ESP_OK)
        return status;
    step.conv.in = value->shape;
    step.source_value = value->id;
    step.target_value = low->program->count + 1;
    low->program->steps[low->program->count++] = step;
    *value = (struct value){.id = step.target_value, .shape = step.conv.out};
    return ESP_OK;
}

static enum esp_status name_tensor(struct lowering *low, struct esp_step *step, const char *layer, const char *part)
{
    char name[PREFIX_MAX + ESP_NAME_MAX + 8];

    snprintf(name, sizeof name, "%s%s%s", low->prefix, layer, part);
    step->tensor = esp_strdup(name);
    return step->tensor ? ESP_OK : esp_fail(low->err, ESP_ERROR_MEMORY, "no memory for the plan of %s", low->path);
}

/* The extent of a window's output, or 0 where the window does not fit. */
static uint32_t windowed(uint32_t extent, uint32_t kernel, uint32_t stride, uint32_t padding, uint32_t dilation)
{
    uint64_t reach = (uint64_t)dilation * (kernel - 1) + 1, room = (uint64_t)extent + 2 * (uint64_t)padding;
    return room < reach ? 0 : (uint32_t)((room - reach) / stride + 1);
}

static enum esp_status window_shape(const struct lowering *low, const char *layer, const struct esp_window *w,
                                    struct esp_shape in, struct esp_shape *out)
{
    out->height = windowed(in.height, w->kernel_h, w->stride_h, w->padding_h, w->dilation_h);
    out->width = windowed(in.width, w->kernel_w, w->stride_w, w->padding_w, w->dilation_w);
    if (out->height && out->width)
        return ESP_OK;
    return esp_fail(low->err, ESP_ERROR_MODEL,
                    "%s: layer %s%s: its kernel of %u x %u does not fit its input of %u x %u", low->path, low->prefix,
                    layer, w->kernel_h, w->kernel_w, in.height, in.width);
}

static enum esp_status check_weights(const struct lowering *low, const char *layer, const struct esp_conv *conv)
{
    uint64_t taps = (uint64_t)conv->window.kernel_h * conv->window.kernel_w;
    uint64_t filters = (uint64_t)conv->out.channels * (conv->in.channels / conv->groups), weights;

    if (!__builtin_mul_overflow(taps, filters, &weights) && weights <= ESP_TENSOR_MAX &&
        weights * ((uint64_t)conv->out.height * conv->out.width) <= ESP_MACS_MAX)
        return ESP_OK;
    return esp_fail(low->err, ESP_ERROR_MODEL, "%s: layer %s%s: more weights than %zu, or more work than the limit",
                    low->path, low->prefix, layer, ESP_TENSOR_MAX);
}

/* `step` holds window, groups, out channels, activation and bias. */
static enum esp_status emit_conv(struct lowering *low, struct esp_step step, const char *layer, const char *part,
                                 struct value *value)
{
    struct esp_conv *conv = &step.conv;
    enum esp_status status;

    step.op = ESP_STEP_CONV;
    step.addend_value = SIZE_MAX;
    conv->in = value->shape;
    if (conv->in.channels % conv->groups || conv->out.channels % conv->groups)
        return esp_fail(low->err, ESP_ERROR_MODEL,
                        "%s: layer %s%s: %u groups do not divide its %u input and %u output channels", low->path,
                        low->prefix, layer, conv->groups, conv->in.channels, conv->out.channels);
    if ((status = window_shape(low, layer, &conv->window, conv->in, &conv->out)) != ESP_OK ||
        (status = check_shape(low, layer, conv->out)) != ESP_OK ||
        (status = check_weights(low, layer, conv)) != ESP_OK ||
        (status = name_tensor(low, &step, layer, part)) != ESP_OK)
        return status;
    step.macs = esp_conv_macs(conv);
    step.parameters = esp_conv_weights(conv) + (step.bias ? conv->out.channels : 0);
    status = emit(low, step, layer, value);
    if (status != ESP_OK)
        esp_free(step.tensor);
    return status;
}

static enum esp_status emit_linear(struct lowering *low, uint32_t out, bool bias, enum esp_activation activation,
                                   const char *layer, const char *part, struct value *value)
{
    struct esp_step step = {.bias = bias, .linear = true};

    step.conv.window = (struct esp_window){value->shape.height, value->shape.width, 1, 1, 0, 0, 1, 1};
    step.conv.groups = 1;
    step.conv.out.channels = out;
    step.conv.activation = activation;
    return emit_conv(low, step, layer, part, value);
}

static enum esp_status lower_conv(struct lowering *low, const struct esp_layer *layer, struct value *value)
{
    struct esp_step step = {.bias = layer->bias};

    step.conv.window = layer->window;
    step.conv.groups = layer->groups;
    step.conv.out.channels = layer->out;
    step.conv.activation = layer->activation;
    return emit_conv(low, step, layer->name, "", value);
}

/* Values that a pooling layer reads. They count as no MACs, but must not go on for hours. */
static double pool_work(const struct esp_conv *conv)
{
    return (double)esp_shape_elements(conv->out) * conv->window.kernel_h * conv->window.kernel_w;
}

static enum esp_status lower_pool(struct lowering *low, const struct esp_layer *layer, struct value *value)
{
    struct esp_step step = {.addend_value = SIZE_MAX, .count_padding = layer->count_padding};

    step.op = layer->op == ESP_LAYER_MAX_POOL ? ESP_STEP_MAX_POOL : ESP_STEP_AVG_POOL;
    step.conv.window = layer->window;
    step.conv.out.channels = value->shape.channels;
    enum esp_status status = window_shape(low, "pool", &layer->window, value->shape, &step.conv.out);
    if (status == ESP_OK && pool_work(&step.conv) > ESP_POOL_WORK_MAX)
        return esp_fail(low->err, ESP_ERROR_MODEL,
                        "%s: a pooling layer's kernel of %u x %u is more work than the limit", low->path,
                        layer->window.kernel_h, layer->window.kernel_w);
    return status != ESP_OK ? status : emit(low, step, "pool", value);
}

static enum esp_status emit_average(struct lowering *low, struct value *value)
{
    struct esp_step step = {.op = ESP_STEP_GLOBAL_AVG_POOL, .addend_value = SIZE_MAX};

    step.conv.out = (struct esp_shape){value->shape.channels, 1, 1};
    return emit(low, step, "mean", value);
}

/* `op` is one whose output has the shape of its input. */
static enum esp_status emit_same(struct lowering *low, enum esp_step_op op, enum esp_activation activation,
                                 size_t addend, struct value *value)
{
    struct esp_step step = {.op = op, .addend_value = addend};

    step.conv.out = value->shape;
    step.conv.activation = activation;
    return emit(low, step, "", value);
}

static enum esp_status lower_squeeze_excitation(struct lowering *low, const struct esp_layer *layer,
                                                struct value *value)
{
    struct value gates = *value;
    enum esp_status status;

    if ((status = emit_average(low, &gates)) != ESP_OK ||
        (status = emit_linear(low, layer->hidden, true, layer->activation, layer->name, ".fc1", &gates)) != ESP_OK ||
        (status = emit_linear(low, value->shape.channels, true, ESP_ACTIVATION_NONE, layer->name, ".fc2", &gates)) !=
            ESP_OK)
        return status;
    return emit_same(low, ESP_STEP_GATE, layer->gate, gates.id, value);
}

static enum esp_status lower_layers(struct lowering *low, const struct esp_layers *layers, struct value *value);

static bool same_shape(struct esp_shape a, struct esp_shape b)
{
    return a.channels == b.channels && a.height == b.height && a.width == b.width;
}

/* Whether the step that wrote `body` can add the shortcut itself: a convolution of this body, still without activation.
 */
static bool can_fuse(const struct lowering *low, size_t first, const struct value *body)
{
    const struct esp_step *last = low->program->count > first ? &low->program->steps[low->program->count - 1] : NULL;
    return last && last->op == ESP_STEP_CONV && last->target_value == body->id && last->addend_value == SIZE_MAX &&
           last->conv.activation == ESP_ACTIVATION_NONE;
}

/* The shortcut comes first, so that it is there when the body's last convolution adds it. */
static enum esp_status lower_residual(struct lowering *low, const struct esp_layer *layer, struct value *value)
{
    struct value shortcut = *value, body = *value;
    size_t length = strlen(low->prefix);
    enum esp_status status;

    snprintf(low->prefix + length, sizeof low->prefix - length, "%s.", layer->name);
    if ((status = lower_layers(low, &layer->shortcut, &shortcut)) != ESP_OK)
        return status;
    size_t first = low->program->count;
    if ((status = lower_layers(low, &layer->body, &body)) != ESP_OK)
        return status;
    low->prefix[length] = 0;
    if (!same_shape(body.shape, shortcut.shape))
        return esp_fail(low->err, ESP_ERROR_MODEL,
                        "%s: layer %s%s: its body gives %u x %u x %u, its shortcut %u x %u x %u", low->path,
                        low->prefix, layer->name, body.shape.channels, body.shape.height, body.shape.width,
                        shortcut.shape.channels, shortcut.shape.height, shortcut.shape.width);
    *value = body;
    if (!can_fuse(low, first, &body))
        return emit_same(low, ESP_STEP_ADD, layer->activation, shortcut.id, value);
    low->program->steps[low->program->count - 1].addend_value = shortcut.id;
    low->program->steps[low->program->count - 1].conv.activation = layer->activation;
    return ESP_OK;
}

static enum esp_status lower_layer(struct lowering *low, const struct esp_layer *layer, struct value *value)
{
    switch (layer->op) {
    case ESP_LAYER_CONV: return lower_conv(low, layer, value);
    case ESP_LAYER_LINEAR: return emit_linear(low, layer->out, layer->bias, layer->activation, layer->name, "", value);
    case ESP_LAYER_RESIDUAL: return lower_residual(low, layer, value);
    case ESP_LAYER_MAX_POOL:
    case ESP_LAYER_AVG_POOL: return lower_pool(low, layer, value);
    case ESP_LAYER_GLOBAL_AVG_POOL: return emit_average(low, value);
    case ESP_LAYER_SQUEEZE_EXCITATION: return lower_squeeze_excitation(low, layer, value);
    case ESP_LAYER_ACTIVATION: return emit_same(low, ESP_STEP_ACTIVATION, layer->activation, SIZE_MAX, value);
    }
    return ESP_ERROR_MODEL;
}

static enum esp_status lower_layers(struct lowering *low, const struct esp_layers *layers, struct value *value)
{
    for (size_t i = 0; i < layers->count; i++) {
        enum esp_status status = lower_layer(low, &layers->items[i], value);
        if (status != ESP_OK)
            return status;
    }
    return ESP_OK;
}

/* The last step that reads a value; the step that writes it where none does. */
static size_t last_reader(const struct esp_program *program, size_t value)
{
    size_t last = value - 1; /* step i writes value i + 1 */
    for (size_t i = value; i < program->count; i++)
        if (program->steps[i].source_value == value || program->steps[i].addend_value == value)
            last = i;
    return last;
}

static struct esp_place place_of(const struct esp_program *program, const struct esp_interval *intervals, size_t value)
{
    if (value == SIZE_MAX)
        return (struct esp_place){.area = ESP_AREA_NONE};
    if (value == 0)
        return (struct esp_place){.area = ESP_AREA_INPUT};
    if (value == program->count)
        return (struct esp_place){.area = ESP_AREA_OUTPUT};
    return (struct esp_place){.area = ESP_AREA_SCRATCH, .offset = intervals[value - 1].offset};
}

/* Every value but the input and the last one, which is the output, gets a place in the scratch area. */
static enum esp_status plan(struct esp_program *program, const char *path, struct esp_error *err)
{
    size_t count = program->count - 1;
    struct esp_interval *intervals = esp_alloc(count, sizeof *intervals);

    if (!intervals)
        return esp_fail(err, ESP_ERROR_MEMORY, "no memory for the plan of %s", path);
    for (size_t i = 0; i < count; i++)
        intervals[i] = (struct esp_interval){
            .first = i, .last = last_reader(program, i + 1), .size = esp_shape_room(program->steps[i].conv.out)};
    bool planned = esp_place_intervals(intervals, count, &program->scratch);
    for (size_t i = 0; planned && i < program->count; i++) {
        struct esp_step *step = &program->steps[i];
        step->source = place_of(program, intervals, step->source_value);
        step->addend = place_of(program, intervals, step->addend_value);
        step->target = place_of(program, intervals, step->target_value);
    }
    esp_free(intervals);
    return planned ? ESP_OK : esp_fail(err, ESP_ERROR_MEMORY, "no memory for the plan of %s", path);
}

enum esp_status esp_program_build(struct esp_program *program, const struct esp_layers *layers, struct esp_shape input,
                                  const char *path, struct esp_error *err)
{
    struct lowering low = {.program = program, .path = path, .err = err};
    struct value value = {.id = 0, .shape = input};
    enum esp_status status;

    *program = (struct esp_program){0};
    if ((status = lower_layers(&low, layers, &value)) != ESP_OK)
        return status;
    /* A node without layers still has an output of its own, which its attention weight may change. */
    if (program->count == 0 &&
        (status = emit_same(&low, ESP_STEP_ACTIVATION, ESP_ACTIVATION_NONE, SIZE_MAX, &value)) != ESP_OK)
        return status;
    program->output = value.shape;
    for (size_t i = 0; i < program->count; i++) {
        program->macs += program->steps[i].macs;
        program->parameters += program->steps[i].parameters;
    }
    return plan(program, path, err);
}

void esp_program_release(struct esp_program *program)
{
    for (size_t i = 0; i < program->count; i++)
        esp_free(program->steps[i].tensor);
    esp_free(program->steps);
    *program = (struct esp_program){0};
}
