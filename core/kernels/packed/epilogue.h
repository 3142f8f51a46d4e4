/* What follows a convolution's sums, fused into the kernels: bias, residual sum, activation, attention weight.
 *
 * Included by the files of one instruction set each, which define before:
 *   VECTOR_WORDS  floats of a vector register */
#include "core/kernels/kernels.h"
#include "core/kernels/pointwise.h"

#include <string.h>

typedef float vector __attribute__((vector_size(VECTOR_WORDS * 4), may_alias));
typedef float loose_vector __attribute__((vector_size(VECTOR_WORDS * 4), aligned(4), may_alias));
typedef int32_t vector_mask __attribute__((vector_size(VECTOR_WORDS * 4), may_alias));

static inline vector load(const float *from)
{
    return *(const loose_vector *)from;
}

static inline void store(float *to, vector values)
{
    *(loose_vector *)to = values;
}

static inline vector broadcast(float value)
{
    return value - (vector){0};
}

static inline vector at_least_0(vector x)
{
    return (vector)((vector_mask)x & (x > 0));
}

static inline vector at_most_6(vector x)
{
    vector six = broadcast(6);
    vector_mask above = x > six;
    return (vector)(((vector_mask)six & above) | ((vector_mask)x & ~above));
}

/* The rows of an output, and what is done to its sums. */
struct epilogue {
    enum esp_activation activation;
    float scale;
    const float *addend; /* NULL for none */
    float *out;
};

static struct epilogue epilogue_of(const struct esp_conv *conv, const struct esp_images *images, size_t image)
{
    return (struct epilogue){.activation = conv->activation,
                             .scale = images->scale ? images->scale[image] : 1,
                             .addend = images->addend ? images->addend[image] : NULL,
                             .out = images->out[image]};
}

/* Vectors have no instruction for the exponential: its activations are applied to the row in memory. */
static inline bool is_simple(enum esp_activation activation)
{
    return activation == ESP_ACTIVATION_NONE || activation == ESP_ACTIVATION_RELU || activation == ESP_ACTIVATION_RELU6;
}

static inline vector finish_vector(const struct epilogue *e, vector sum, float bias, const float *addend)
{
    vector x = sum + broadcast(bias);
    if (addend)
        x += load(addend);
    if (e->activation == ESP_ACTIVATION_RELU || e->activation == ESP_ACTIVATION_RELU6)
        x = at_least_0(x);
    if (e->activation == ESP_ACTIVATION_RELU6)
        x = at_most_6(x);
    return x;
}

/* `count` sums of one channel from `sums`, any number, to out[at...]. */
static void finish_row(const struct epilogue *e, const float *sums, size_t count, float bias, size_t at)
{
    float *out = e->out + at;
    const float *addend = e->addend ? e->addend + at : NULL;
    float last[VECTOR_WORDS] = {0}, last_addend[VECTOR_WORDS] = {0};
    size_t i = 0;
    bool simple = is_simple(e->activation);
    vector scale = broadcast(simple ? e->scale : 1);

    for (; i + VECTOR_WORDS <= count; i += VECTOR_WORDS)
        store(out + i, finish_vector(e, load(sums + i), bias, addend ? addend + i : NULL) * scale);
    if (i < count) {
        memcpy(last, sums + i, (count - i) * sizeof *last);
        if (addend)
            memcpy(last_addend, addend + i, (count - i) * sizeof *last);
        store(last, finish_vector(e, load(last), bias, addend ? last_addend : NULL) * scale);
        memcpy(out + i, last, (count - i) * sizeof *last);
    }
    if (!simple) {
        esp_activate(e->activation, out, count);
        esp_scale(e->scale, out, count);
    }
}
