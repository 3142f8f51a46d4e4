/* A segment as a flat program: its layers lowered to steps, with every shape checked and every buffer placed.
 *
 * Lowering: a linear layer is a convolution that its input just fits; squeeze-and-excitation is a mean, two
 * convolutions and a gate; a residual sum is fused into the convolution that ends the body. The same steps serve every
 * kernel set.
 *
 * Planning: a tensor lives from the step that writes it to the last one that reads it; tensors that live at the same
 * time get different places, the largest first at the lowest free offset. Scratch is needed only while the segment
 * itself runs, so all segments share one scratch area; a segment's output has a place of its own (see core/model.h). */
#ifndef ESP_CORE_PROGRAM_H
#define ESP_CORE_PROGRAM_H

#include "core/kernels/kernels.h"
#include "core/layer.h"
#include "espalier/error.h"

enum esp_step_op {
    ESP_STEP_CONV,
    ESP_STEP_MAX_POOL,
    ESP_STEP_AVG_POOL,
    ESP_STEP_GLOBAL_AVG_POOL,
    ESP_STEP_ADD,  /* activation(source + addend) */
    ESP_STEP_GATE, /* source, each channel times activation(addend) */
    ESP_STEP_ACTIVATION
};

/* Where a tensor lies. */
enum esp_area { ESP_AREA_INPUT, ESP_AREA_OUTPUT, ESP_AREA_SCRATCH, ESP_AREA_NONE };

struct esp_place {
    enum esp_area area;
    size_t offset; /* floats, into the scratch area */
};

struct esp_step {
    enum esp_step_op op;
    struct esp_conv conv; /* shapes, window and activation of every op; groups and weights of convolutions */
    bool bias, linear, count_padding;                /* linear: its weights are stored as [out, C*H*W] */
    bool shared_patches;                             /* reads its patches from where its node's parent laid them */
    char *tensor;                                    /* "res1.conv2": the prefix of its tensors; NULL without */
    size_t source_value, addend_value, target_value; /* while lowering; SIZE_MAX for no addend */
    struct esp_place source, addend, target;
    uint64_t macs, parameters;
};

struct esp_program {
    struct esp_step *steps;
    size_t count;
    struct esp_shape output;
    size_t scratch; /* floats */
    uint64_t macs, parameters;
};

/* Lowers and plans the layers of the node `path`, whose input is `input`. Messages name node and layer. Whatever it
 * returns, esp_program_release frees what `program` holds. */
enum esp_status esp_program_build(struct esp_program *program, const struct esp_layers *layers, struct esp_shape input,
                                  const char *path, struct esp_error *err);
void esp_program_release(struct esp_program *program);

/* Elements of a tensor, and the floats that its place takes (a multiple of the alignment). */
size_t esp_shape_elements(struct esp_shape shape);
size_t esp_shape_room(struct esp_shape shape);

#endif
