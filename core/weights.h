/* From model.safetensors to a model's packed weights. */
#ifndef ESP_CORE_WEIGHTS_H
#define ESP_CORE_WEIGHTS_H

#include "core/model.h"

/* Reads `<directory>/model.safetensors`, checks that it holds just the tensors that the model's programs and heads ask
 * for, and packs them by the model's kernels. Memory for weights is taken only after every tensor has been checked.
 * Messages name the tensor. Sets the weights, heads and monotone marks of the model, which owns what it holds even
 * after a failure. */
enum esp_status esp_weights_load(struct esp_model *model, const char *directory, struct esp_error *err);

#endif
