#include "core/layer_spec.h"

#include "core/memory.h"
#include "core/strict_json.h"
#include "espalier/limits.h"

#include <stdio.h>
#include <string.h>

/* Where in the file we are, for messages, and how much of the bounds is used up. */
struct place {
    const char *path;
    size_t layers; /* of the segment so far */
    unsigned residuals;
};

static enum esp_status read_layers(struct esp_layers *layers, const json_t *list, struct place *place,
                                   struct esp_error *err);

static bool read_activation(const json_t *object, const char *member, enum esp_activation otherwise, bool gate,
                            enum esp_activation *activation, const char *where, struct esp_error *err)
{
    static const char *const names[] = {"none", "relu", "relu6", "silu", "hard_swish", "sigmoid", "hard_sigmoid"};
    const json_t *value = json_object_get(object, member);
    size_t first = gate ? ESP_ACTIVATION_SIGMOID : 0,
           last = gate ? ESP_ACTIVATION_HARD_SIGMOID : ESP_ACTIVATION_HARD_SWISH;

    *activation = otherwise;
    for (size_t i = first; json_is_string(value) && i <= last; i++)
        if (strcmp(json_string_value(value), names[i]) == 0) {
            *activation = (enum esp_activation)i;
            return true;
        }
    if (!value)
        return true;
    esp_fail(err, ESP_ERROR_MODEL, "%s: %s has to be one of %s", where, member,
             gate ? "sigmoid, hard_sigmoid" : "none, relu, relu6, silu, hard_swish");
    return false;
}

static bool read_window(struct esp_window *w, const json_t *object, bool dilation, const char *where,
                        struct esp_error *err)
{
    w->dilation_h = w->dilation_w = 1;
    return esp_json_pair(object, "kernel", 1, ESP_EXTENT_MAX, 0, &w->kernel_h, &w->kernel_w, where, err) &&
           esp_json_pair(object, "padding", 0, ESP_EXTENT_MAX, 0, &w->padding_h, &w->padding_w, where, err) &&
           (!dilation ||
            esp_json_pair(object, "dilation", 1, ESP_EXTENT_MAX, 1, &w->dilation_h, &w->dilation_w, where, err));
}

static enum esp_status read_conv(struct esp_layer *layer, const json_t *object, const char *where,
                                 struct esp_error *err)
{
    static const char *const members[] = {"op",       "name",   "out",  "kernel",     "stride", "padding",
                                          "dilation", "groups", "bias", "activation", NULL};
    struct esp_window *w = &layer->window;

    if (esp_json_members(object, members, where, err) &&
        esp_json_extent(object, "out", 1, ESP_CHANNELS_MAX, 0, &layer->out, where, err) &&
        esp_json_extent(object, "groups", 1, ESP_CHANNELS_MAX, 1, &layer->groups, where, err) &&
        read_window(w, object, true, where, err) &&
        esp_json_pair(object, "stride", 1, ESP_EXTENT_MAX, 1, &w->stride_h, &w->stride_w, where, err) &&
        esp_json_flag(object, "bias", true, &layer->bias, where, err) &&
        read_activation(object, "activation", ESP_ACTIVATION_NONE, false, &layer->activation, where, err))
        return ESP_OK;
    return ESP_ERROR_MODEL;
}

static enum esp_status read_linear(struct esp_layer *layer, const json_t *object, const char *where,
                                   struct esp_error *err)
{
    static const char *const members[] = {"op", "name", "out", "bias", "activation", NULL};

    if (esp_json_members(object, members, where, err) &&
        esp_json_extent(object, "out", 1, ESP_CHANNELS_MAX, 0, &layer->out, where, err) &&
        esp_json_flag(object, "bias", true, &layer->bias, where, err) &&
        read_activation(object, "activation", ESP_ACTIVATION_NONE, false, &layer->activation, where, err))
        return ESP_OK;
    return ESP_ERROR_MODEL;
}

/* The stride is the kernel unless said otherwise, and the padding at most half of the kernel, so that no window is
 * empty. */
static enum esp_status read_pool(struct esp_layer *layer, const json_t *object, const char *where,
                                 struct esp_error *err)
{
    static const char *const max_members[] = {"op", "kernel", "stride", "padding", NULL};
    static const char *const average_members[] = {"op", "kernel", "stride", "padding", "count_padding", NULL};
    struct esp_window *w = &layer->window;
    bool average = layer->op == ESP_LAYER_AVG_POOL;

    if (!esp_json_members(object, average ? average_members : max_members, where, err) ||
        !read_window(w, object, false, where, err) ||
        !esp_json_flag(object, "count_padding", true, &layer->count_padding, where, err))
        return ESP_ERROR_MODEL;
    w->stride_h = w->kernel_h;
    w->stride_w = w->kernel_w;
    if (json_object_get(object, "stride") &&
        !esp_json_pair(object, "stride", 1, ESP_EXTENT_MAX, 0, &w->stride_h, &w->stride_w, where, err))
        return ESP_ERROR_MODEL;
    if (w->padding_h > w->kernel_h / 2 || w->padding_w > w->kernel_w / 2)
        return esp_fail(err, ESP_ERROR_MODEL, "%s: padding may be at most half of the kernel", where);
    return ESP_OK;
}

static enum esp_status read_squeeze_excitation(struct esp_layer *layer, const json_t *object, const char *where,
                                               struct esp_error *err)
{
    static const char *const members[] = {"op", "name", "hidden", "activation", "gate", NULL};

    if (esp_json_members(object, members, where, err) &&
        esp_json_extent(object, "hidden", 1, ESP_CHANNELS_MAX, 0, &layer->hidden, where, err) &&
        read_activation(object, "activation", ESP_ACTIVATION_RELU, false, &layer->activation, where, err) &&
        read_activation(object, "gate", ESP_ACTIVATION_SIGMOID, true, &layer->gate, where, err))
        return ESP_OK;
    return ESP_ERROR_MODEL;
}

static enum esp_status read_residual(struct esp_layer *layer, const json_t *object, struct place *place,
                                     const char *where, struct esp_error *err)
{
    static const char *const members[] = {"op", "name", "body", "shortcut", "activation", NULL};

    if (!esp_json_members(object, members, where, err) ||
        !read_activation(object, "activation", ESP_ACTIVATION_NONE, false, &layer->activation, where, err))
        return ESP_ERROR_MODEL;
    if (place->residuals == ESP_RESIDUAL_DEPTH_MAX)
        return esp_fail(err, ESP_ERROR_MODEL, "%s: more than %d residual blocks inside each other", where,
                        ESP_RESIDUAL_DEPTH_MAX);
    if (json_array_size(json_object_get(object, "body")) == 0)
        return esp_fail(err, ESP_ERROR_MODEL, "%s: body has to be a list of layers that is not empty", where);
    place->residuals++;
    enum esp_status status = read_layers(&layer->body, json_object_get(object, "body"), place, err);
    if (status == ESP_OK && json_object_get(object, "shortcut"))
        status = read_layers(&layer->shortcut, json_object_get(object, "shortcut"), place, err);
    place->residuals--;
    return status;
}

static enum esp_status read_simple(struct esp_layer *layer, const json_t *object, const char *where,
                                   struct esp_error *err)
{
    static const char *const average_members[] = {"op", NULL};
    static const char *const activation_members[] = {"op", "activation", NULL};
    bool average = layer->op == ESP_LAYER_GLOBAL_AVG_POOL;

    if (esp_json_members(object, average ? average_members : activation_members, where, err) &&
        read_activation(object, "activation", ESP_ACTIVATION_NONE, false, &layer->activation, where, err))
        return ESP_OK;
    return ESP_ERROR_MODEL;
}

static bool read_op(const json_t *object, enum esp_layer_op *op)
{
    static const char *const names[] = {[ESP_LAYER_CONV] = "conv",
                                        [ESP_LAYER_LINEAR] = "linear",
                                        [ESP_LAYER_RESIDUAL] = "residual",
                                        [ESP_LAYER_MAX_POOL] = "max_pool",
                                        [ESP_LAYER_AVG_POOL] = "avg_pool",
                                        [ESP_LAYER_GLOBAL_AVG_POOL] = "global_avg_pool",
                                        [ESP_LAYER_ACTIVATION] = "activation",
                                        [ESP_LAYER_SQUEEZE_EXCITATION] = "squeeze_excitation"};
    const char *text = json_string_value(json_object_get(object, "op"));

    for (size_t i = 0; text && i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0) {
            *op = (enum esp_layer_op)i;
            return true;
        }
    return false;
}

static bool has_tensors(enum esp_layer_op op)
{
    return op == ESP_LAYER_CONV || op == ESP_LAYER_LINEAR || op == ESP_LAYER_RESIDUAL ||
           op == ESP_LAYER_SQUEEZE_EXCITATION;
}

/* Layers with tensors need a name; it is unique in its list, and "head" belongs to the node's head. */
static enum esp_status read_name(struct esp_layers *layers, size_t index, const json_t *object, const char *path,
                                 struct esp_error *err)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    struct esp_layer *layer = &layers->items[index];

    if (has_tensors(layer->op)) {
        if (!name || !*name || strlen(name) > ESP_NAME_MAX || strcmp(name, "head") == 0 ||
            strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name))
            return esp_fail(err, ESP_ERROR_MODEL, "%s: layer %zu has no proper name: [a-z0-9_]+, not \"head\"", path,
                            index + 1);
        for (size_t i = 0; i < index; i++)
            if (strcmp(layers->items[i].name, name) == 0)
                return esp_fail(err, ESP_ERROR_MODEL, "%s: two layers are called %s", path, name);
    }
    layer->name = esp_strdup(has_tensors(layer->op) ? name : "");
    return layer->name ? ESP_OK : esp_fail(err, ESP_ERROR_MEMORY, "no memory for the layers of %s", path);
}

static enum esp_status read_layer(struct esp_layer *layer, const json_t *object, struct place *place, size_t index,
                                  struct esp_error *err)
{
    char where[ESP_PATH_MAX + ESP_NAME_MAX + 32];

    if (*layer->name)
        snprintf(where, sizeof where, "%s: layer %s", place->path, layer->name);
    else
        snprintf(where, sizeof where, "%s: layer %zu", place->path, index + 1);
    switch (layer->op) {
    case ESP_LAYER_CONV: return read_conv(layer, object, where, err);
    case ESP_LAYER_LINEAR: return read_linear(layer, object, where, err);
    case ESP_LAYER_RESIDUAL: return read_residual(layer, object, place, where, err);
    case ESP_LAYER_MAX_POOL:
    case ESP_LAYER_AVG_POOL: return read_pool(layer, object, where, err);
    case ESP_LAYER_SQUEEZE_EXCITATION: return read_squeeze_excitation(layer, object, where, err);
    case ESP_LAYER_GLOBAL_AVG_POOL:
    case ESP_LAYER_ACTIVATION: return read_simple(layer, object, where, err);
    }
    return ESP_ERROR_MODEL;
}

static enum esp_status read_layers(struct esp_layers *layers, const json_t *list, struct place *place,
                                   struct esp_error *err)
{
    if (!json_is_array(list))
        return esp_fail(err, ESP_ERROR_MODEL, "%s: layers has to be a list", place->path);
    place->layers += json_array_size(list);
    if (place->layers > ESP_LAYERS_MAX)
        return esp_fail(err, ESP_ERROR_MODEL, "%s has more than %d layers", place->path, ESP_LAYERS_MAX);
    layers->items = esp_alloc(json_array_size(list), sizeof *layers->items);
    if (!layers->items)
        return esp_fail(err, ESP_ERROR_MEMORY, "no memory for the layers of %s", place->path);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *object = json_array_get(list, i);
        if (!read_op(object, &layers->items[i].op))
            return esp_fail(err, ESP_ERROR_MODEL, "%s: layer %zu has no op that this version knows", place->path,
                            i + 1);
        layers->count = i + 1;
        enum esp_status status = read_name(layers, i, object, place->path, err);
        if (status == ESP_OK)
            status = read_layer(&layers->items[i], object, place, i, err);
        if (status != ESP_OK)
            return status;
    }
    return ESP_OK;
}

enum esp_status esp_layers_read(struct esp_layers *layers, const json_t *list, const char *path, struct esp_error *err)
{
    struct place place = {.path = path};
    return read_layers(layers, list, &place, err);
}
