/* The layers of a segment as model.json states them, before any shape is known. */
#ifndef ESP_CORE_LAYER_H
#define ESP_CORE_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum esp_activation {
    ESP_ACTIVATION_NONE,
    ESP_ACTIVATION_RELU,
    ESP_ACTIVATION_RELU6,
    ESP_ACTIVATION_SILU,       /* x * sigmoid(x) */
    ESP_ACTIVATION_HARD_SWISH, /* x * relu6(x + 3) / 6 */
    ESP_ACTIVATION_SIGMOID,    /* the gates of squeeze-and-excitation only */
    ESP_ACTIVATION_HARD_SIGMOID
};

enum esp_layer_op {
    ESP_LAYER_CONV,
    ESP_LAYER_LINEAR,
    ESP_LAYER_RESIDUAL,
    ESP_LAYER_MAX_POOL,
    ESP_LAYER_AVG_POOL,
    ESP_LAYER_GLOBAL_AVG_POOL,
    ESP_LAYER_SQUEEZE_EXCITATION,
    ESP_LAYER_ACTIVATION
};

/* How a kernel moves over a picture. */
struct esp_window {
    uint32_t kernel_h, kernel_w, stride_h, stride_w, padding_h, padding_w, dilation_h, dilation_w;
};

struct esp_layers {
    struct esp_layer *items;
    size_t count;
};

struct esp_layer {
    enum esp_layer_op op;
    char *name; /* prefix of its tensors; "" where it has none */
    enum esp_activation activation, gate;
    struct esp_window window;
    uint32_t out, groups, hidden;
    bool bias, count_padding;
    struct esp_layers body, shortcut; /* of a residual block; no shortcut layers = the input itself */
};

/* Frees what the layers own. */
void esp_layers_release(struct esp_layers *layers);

#endif
