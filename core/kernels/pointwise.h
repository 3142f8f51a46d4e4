/* What is not a convolution: activations, sums, pooling, gates, means. One portable C version serves all kernel sets;
 * the compiler vectorises it. Tensors as in core/kernels/kernels.h. */
#ifndef ESP_CORE_POINTWISE_H
#define ESP_CORE_POINTWISE_H

#include "core/layer.h"
#include "espalier/model.h"

/* values[i] = activation(values[i]) */
void esp_activate(enum esp_activation activation, float *values, size_t count);

/* out[i] = activation(in[i] + addend[i]); addend may be NULL, out may be in. */
void esp_add(enum esp_activation activation, const float *in, const float *addend, float *out, size_t count);

/* values[i] *= factor: an attention weight. */
void esp_scale(float factor, float *values, size_t count);

/* The mean of `count` values, added up in 16 lanes: a fixed order, so monotone in every value. */
float esp_mean(const float *values, size_t count);

/* out[c] = mean of channel c */
void esp_global_average(struct esp_shape in, const float *values, float *out);

/* out = in with each channel times activation(gates[c]) */
void esp_gate(enum esp_activation activation, struct esp_shape shape, const float *in, const float *gates, float *out);

/* Pooling as PyTorch's; `count_padding`: padded zeros count in the mean. */
void esp_max_pool(struct esp_shape in, struct esp_shape out, const struct esp_window *window, const float *values,
                  float *result);
void esp_average_pool(struct esp_shape in, struct esp_shape out, const struct esp_window *window, bool count_padding,
                      const float *values, float *result);

#endif
