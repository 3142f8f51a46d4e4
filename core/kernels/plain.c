/* Direct convolution in plain C: the reference that every other kernel set is tested against. */
#include "core/kernels/kernels.h"
#include "core/kernels/pointwise.h"

static bool supported(void)
{
    return true;
}

static size_t workspace_bytes(const struct esp_conv *conv)
{
    (void)conv;
    return 0;
}

/* Adds weight * in, moved by one position of the kernel, to one output plane. */
static void add_tap(const struct esp_conv *conv, const float *in, float weight, uint32_t ky, uint32_t kx, float *out)
{
    const struct esp_window *w = &conv->window;
    for (size_t y = 0; y < conv->out.height; y++) {
        size_t row = y * w->stride_h + (size_t)ky * w->dilation_h - w->padding_h;
        if (row >= conv->in.height) /* also where it is "negative": size_t wraps */
            continue;
        for (size_t x = 0; x < conv->out.width; x++) {
            size_t column = x * w->stride_w + (size_t)kx * w->dilation_w - w->padding_w;
            if (column < conv->in.width)
                out[y * conv->out.width + x] += weight * in[row * conv->in.width + column];
        }
    }
}

static void conv_plane(const struct esp_conv *conv, size_t channel, const float *in, float *out)
{
    const struct esp_window *w = &conv->window;
    size_t inputs = conv->in.channels / conv->groups, group = channel / (conv->out.channels / conv->groups);
    const float *weight = (const float *)conv->weights + channel * inputs * w->kernel_h * w->kernel_w;

    for (size_t i = 0; i < (size_t)conv->out.height * conv->out.width; i++)
        out[i] = conv->bias[channel];
    for (size_t c = 0; c < inputs; c++)
        for (uint32_t ky = 0; ky < w->kernel_h; ky++)
            for (uint32_t kx = 0; kx < w->kernel_w; kx++)
                add_tap(conv, in + (group * inputs + c) * conv->in.height * conv->in.width, *weight++, ky, kx, out);
}

static void conv_images(const struct esp_conv *conv, const struct esp_images *images, void *workspace)
{
    size_t plane = (size_t)conv->out.height * conv->out.width;

    (void)workspace;
    for (size_t i = 0; i < images->count; i++) {
        for (size_t c = 0; c < conv->out.channels; c++)
            conv_plane(conv, c, images->in[i], images->out[i] + c * plane);
        esp_add(conv->activation, images->out[i], images->addend ? images->addend[i] : NULL, images->out[i],
                conv->out.channels * plane);
        if (images->scale)
            esp_scale(images->scale[i], images->out[i], conv->out.channels * plane);
    }
}

static uint64_t burst(void)
{
    static const float in[8 * 256], weights[8 * 8];
    static const float bias[8];
    float out[8 * 256], *outs[] = {out};
    const float *ins[] = {in};
    struct esp_conv conv = {.in = {8, 16, 16},
                            .out = {8, 16, 16},
                            .window = {1, 1, 1, 1, 0, 0, 1, 1},
                            .groups = 1,
                            .weights = weights,
                            .bias = bias};
    struct esp_images images = {.count = 1, .in = ins, .out = outs};
    enum { ROUNDS = 500 };

    for (int i = 0; i < ROUNDS; i++)
        conv_images(&conv, &images, NULL);
    return ROUNDS * esp_conv_macs(&conv);
}

const struct esp_kernels esp_kernels_plain = {
    .name = "plain",
    .precision = ESP_PRECISION_FP32,
    .supported = supported,
    .conv_weight_bytes = esp_conv_plain_bytes,
    .conv_workspace_bytes = workspace_bytes,
    .conv_pack = esp_conv_plain_pack,
    .conv_patch_bytes = esp_conv_no_patches,
    .conv = conv_images,
    .burst = burst,
};
