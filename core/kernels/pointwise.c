#include "core/kernels/pointwise.h"

#include <math.h>
#include <string.h>

static inline float relu(float x)
{
    return x > 0 ? x : 0;
}

static inline float relu6(float x)
{
    return x > 6 ? 6 : relu(x);
}

static inline float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

static inline float activate(enum esp_activation activation, float x)
{
    switch (activation) {
    case ESP_ACTIVATION_NONE: return x;
    case ESP_ACTIVATION_RELU: return relu(x);
    case ESP_ACTIVATION_RELU6: return relu6(x);
    case ESP_ACTIVATION_SILU: return x * sigmoid(x);
    case ESP_ACTIVATION_HARD_SWISH: return x * relu6(x + 3) / 6;
    case ESP_ACTIVATION_SIGMOID: return sigmoid(x);
    case ESP_ACTIVATION_HARD_SIGMOID: return relu6(x + 3) / 6;
    }
    return x;
}

/* One loop for each activation, so that each is vectorised with its own constant. */
#define FOR_EACH_ACTIVATION(LOOP)                                                                                      \
    switch (activation) {                                                                                              \
    case ESP_ACTIVATION_NONE: LOOP(ESP_ACTIVATION_NONE); break;                                                        \
    case ESP_ACTIVATION_RELU: LOOP(ESP_ACTIVATION_RELU); break;                                                        \
    case ESP_ACTIVATION_RELU6: LOOP(ESP_ACTIVATION_RELU6); break;                                                      \
    case ESP_ACTIVATION_SILU: LOOP(ESP_ACTIVATION_SILU); break;                                                        \
    case ESP_ACTIVATION_HARD_SWISH: LOOP(ESP_ACTIVATION_HARD_SWISH); break;                                            \
    case ESP_ACTIVATION_SIGMOID: LOOP(ESP_ACTIVATION_SIGMOID); break;                                                  \
    case ESP_ACTIVATION_HARD_SIGMOID: LOOP(ESP_ACTIVATION_HARD_SIGMOID); break;                                        \
    }

void esp_activate(enum esp_activation activation, float *values, size_t count)
{
    esp_add(activation, values, NULL, values, count);
}

static void add_nothing(enum esp_activation activation, const float *in, float *out, size_t count)
{
#define LOOP(A)                                                                                                        \
    for (size_t i = 0; i < count; i++)                                                                                 \
    out[i] = activate(A, in[i])
    FOR_EACH_ACTIVATION(LOOP)
#undef LOOP
}

void esp_add(enum esp_activation activation, const float *in, const float *addend, float *out, size_t count)
{
    if (!addend) {
        if (activation != ESP_ACTIVATION_NONE || in != out)
            add_nothing(activation, in, out, count);
        return;
    }
#define LOOP(A)                                                                                                        \
    for (size_t i = 0; i < count; i++)                                                                                 \
    out[i] = activate(A, in[i] + addend[i])
    FOR_EACH_ACTIVATION(LOOP)
#undef LOOP
}

void esp_scale(float factor, float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] *= factor;
}

float esp_mean(const float *values, size_t count)
{
    enum { LANES = 16 };
    float lanes[LANES] = {0}, sum = 0;
    size_t i = 0;

    for (; i + LANES <= count; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            lanes[lane] += values[i + lane];
    for (size_t lane = 0; i < count; i++, lane++)
        lanes[lane] += values[i];
    for (size_t lane = 0; lane < LANES; lane++)
        sum += lanes[lane];
    return sum / (float)count;
}

void esp_global_average(struct esp_shape in, const float *values, float *out)
{
    size_t plane = (size_t)in.height * in.width;
    for (size_t c = 0; c < in.channels; c++)
        out[c] = esp_mean(values + c * plane, plane);
}

void esp_gate(enum esp_activation activation, struct esp_shape shape, const float *in, const float *gates, float *out)
{
    size_t plane = (size_t)shape.height * shape.width;
    for (size_t c = 0; c < shape.channels; c++) {
        float gate = activate(activation, gates[c]);
        for (size_t i = 0; i < plane; i++)
            out[c * plane + i] = in[c * plane + i] * gate;
    }
}

/* The part of a window that lies inside the picture: rows [top, bottom), columns [left, right). */
struct clip {
    size_t top, bottom, left, right;
};

static struct clip clip_window(const struct esp_window *window, struct esp_shape in, size_t y, size_t x)
{
    size_t top = y * window->stride_h, left = x * window->stride_w;
    size_t bottom = top + window->kernel_h, right = left + window->kernel_w;
    struct clip clip = {
        .top = top > window->padding_h ? top - window->padding_h : 0,
        .left = left > window->padding_w ? left - window->padding_w : 0,
        .bottom = bottom - window->padding_h < in.height ? bottom - window->padding_h : in.height,
        .right = right - window->padding_w < in.width ? right - window->padding_w : in.width,
    };
    return clip;
}

static float clip_max(const float *plane, size_t width, struct clip clip)
{
    float best = -INFINITY;
    for (size_t y = clip.top; y < clip.bottom; y++)
        for (size_t x = clip.left; x < clip.right; x++)
            best = plane[y * width + x] > best ? plane[y * width + x] : best;
    return best;
}

static float clip_sum(const float *plane, size_t width, struct clip clip)
{
    float sum = 0;
    for (size_t y = clip.top; y < clip.bottom; y++)
        for (size_t x = clip.left; x < clip.right; x++)
            sum += plane[y * width + x];
    return sum;
}

void esp_max_pool(struct esp_shape in, struct esp_shape out, const struct esp_window *window, const float *values,
                  float *result)
{
    for (size_t c = 0; c < out.channels; c++)
        for (size_t y = 0; y < out.height; y++)
            for (size_t x = 0; x < out.width; x++)
                *result++ = clip_max(values + c * in.height * in.width, in.width, clip_window(window, in, y, x));
}

void esp_average_pool(struct esp_shape in, struct esp_shape out, const struct esp_window *window, bool count_padding,
                      const float *values, float *result)
{
    for (size_t c = 0; c < out.channels; c++)
        for (size_t y = 0; y < out.height; y++)
            for (size_t x = 0; x < out.width; x++) {
                struct clip clip = clip_window(window, in, y, x);
                size_t area = count_padding ? (size_t)window->kernel_h * window->kernel_w
                                            : (clip.bottom - clip.top) * (clip.right - clip.left);
                *result++ = clip_sum(values + c * in.height * in.width, in.width, clip) / (float)area;
            }
}
