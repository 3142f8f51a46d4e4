/* Convolution as one OpenBLAS GEMM for each image and group, on patches laid out by im2col:
 * out [OC/g, OH*OW] = weights [OC/g, K] * patches [K, OH*OW], K = IC/g * KH * KW.
 *
 * One call for each image, never one for a batch: OpenBLAS chooses its path by the shape, so the last bits of a batched
 * call could differ from a single one's, against law 1. */
#include "core/kernels/kernels.h"
#include "core/kernels/pointwise.h"

#include <cblas.h>
#include <string.h>

static bool supported(void)
{
    return true;
}

/* The parallelism is over requests. */
static void start(void)
{
    openblas_set_num_threads(1);
}

static size_t patch_length(const struct esp_conv *conv)
{
    return (size_t)(conv->in.channels / conv->groups) * conv->window.kernel_h * conv->window.kernel_w;
}

/* Whether the input itself is the matrix of patches: 1 x 1 convolutions and linear layers. */
static bool patches_are_input(const struct esp_conv *conv)
{
    const struct esp_window *w = &conv->window;
    bool unpadded = w->padding_h == 0 && w->padding_w == 0;
    bool pixelwise = w->kernel_h == 1 && w->kernel_w == 1 && w->stride_h == 1 && w->stride_w == 1;
    bool whole =
        w->kernel_h == conv->in.height && w->kernel_w == conv->in.width && w->dilation_h == 1 && w->dilation_w == 1;
    return unpadded && (pixelwise || whole);
}

static size_t workspace_bytes(const struct esp_conv *conv)
{
    size_t bytes;
    if (patches_are_input(conv))
        return 0;
    if (__builtin_mul_overflow(patch_length(conv), (size_t)conv->out.height * conv->out.width * sizeof(float), &bytes))
        return SIZE_MAX;
    return bytes;
}

/* Columns [first, last) of the output read inside the picture at horizontal kernel offset kx. */
static void inner_columns(const struct esp_conv *conv, uint32_t kx, size_t *first, size_t *last)
{
    const struct esp_window *w = &conv->window;
    size_t shift = (size_t)kx * w->dilation_w, end = (size_t)conv->in.width + w->padding_w;

    *first = shift >= w->padding_w ? 0 : (w->padding_w - shift + w->stride_w - 1) / w->stride_w;
    *last = end > shift ? (end - shift + w->stride_w - 1) / w->stride_w : 0;
    if (*last > conv->out.width)
        *last = conv->out.width;
    if (*first > *last)
        *first = *last;
}

static void patch_row(const struct esp_conv *conv, const float *in, uint32_t kx, size_t first, size_t last, float *out)
{
    size_t stride = conv->window.stride_w;

    memset(out, 0, first * sizeof *out);
    if (last > first) {
        const float *from = in + (first * stride + (size_t)kx * conv->window.dilation_w - conv->window.padding_w);
        if (stride == 1)
            memcpy(out + first, from, (last - first) * sizeof *out);
        else
            for (size_t x = 0; x < last - first; x++)
                out[first + x] = from[x * stride];
    }
    memset(out + last, 0, (conv->out.width - last) * sizeof *out);
}

/* One row of the patch matrix: one channel at one position of the kernel, for all output pixels. */
static void patch_plane(const struct esp_conv *conv, const float *in, uint32_t ky, uint32_t kx, float *out)
{
    const struct esp_window *w = &conv->window;
    size_t width = conv->out.width, first, last;

    inner_columns(conv, kx, &first, &last);
    for (size_t y = 0; y < conv->out.height; y++, out += width) {
        size_t row = y * w->stride_h + (size_t)ky * w->dilation_h - w->padding_h;
        if (row < conv->in.height) /* size_t wraps above the picture */
            patch_row(conv, in + row * conv->in.width, kx, first, last, out);
        else
            memset(out, 0, width * sizeof *out);
    }
}

/* Stride 1 and an output of the input's size, as most convolutions have. */
static bool keeps_shape(const struct esp_conv *conv)
{
    const struct esp_window *w = &conv->window;
    return w->stride_h == 1 && w->stride_w == 1 && conv->out.height == conv->in.height &&
           conv->out.width == conv->in.width;
}

/* patch_plane where keeps_shape: the plane moved as one piece, then zeros where columns came in from the row beside. */
static void shifted_plane(const struct esp_conv *conv, const float *in, uint32_t ky, uint32_t kx, float *out)
{
    const struct esp_window *w = &conv->window;
    ptrdiff_t width = conv->in.width, plane = width * conv->in.height;
    ptrdiff_t down = (ptrdiff_t)ky * w->dilation_h - w->padding_h, right = (ptrdiff_t)kx * w->dilation_w - w->padding_w;
    ptrdiff_t shift = down * width + right, from = shift > 0 ? shift : 0, to = shift < 0 ? -shift : 0;
    ptrdiff_t count = plane - from - to > 0 ? plane - from - to : 0;
    size_t first, last;

    if (to > plane)
        to = plane;
    if (from > plane)
        from = plane;
    memset(out, 0, (size_t)to * sizeof *out);
    memcpy(out + to, in + from, (size_t)count * sizeof *out);
    memset(out + to + count, 0, (size_t)(plane - to - count) * sizeof *out);
    inner_columns(conv, kx, &first, &last);
    for (ptrdiff_t y = 0; y < plane; y += width) {
        for (size_t x = 0; x < first; x++)
            out[y + (ptrdiff_t)x] = 0;
        for (size_t x = last; x < (size_t)width; x++)
            out[y + (ptrdiff_t)x] = 0;
    }
}

static void im2col(const struct esp_conv *conv, const float *in, float *patches)
{
    size_t in_plane = (size_t)conv->in.height * conv->in.width, out_plane = (size_t)conv->out.height * conv->out.width;
    bool shifted = keeps_shape(conv);

    for (size_t c = 0; c < conv->in.channels / conv->groups; c++, in += in_plane)
        for (uint32_t ky = 0; ky < conv->window.kernel_h; ky++)
            for (uint32_t kx = 0; kx < conv->window.kernel_w; kx++, patches += out_plane)
                (shifted ? shifted_plane : patch_plane)(conv, in, ky, kx, patches);
}

/* What siblings share: the patches of a convolution without groups. */
static size_t patch_bytes(const struct esp_conv *conv)
{
    return conv->groups == 1 ? workspace_bytes(conv) : 0;
}

static void lay_patches(const struct esp_conv *conv, const float *in, void *patches, void *workspace)
{
    (void)workspace;
    im2col(conv, in, patches);
}

/* `patches`: as laid out for this group, or NULL. */
static void multiply_group(const struct esp_conv *conv, size_t group, const float *in, const float *patches,
                           float *workspace, float *out)
{
    size_t rows = conv->out.channels / conv->groups, inner = patch_length(conv);
    size_t columns = (size_t)conv->out.height * conv->out.width;
    const float *input = in + group * (conv->in.channels / conv->groups) * conv->in.height * conv->in.width;

    if (patches_are_input(conv)) {
        patches = input;
    } else if (!patches) {
        im2col(conv, input, workspace);
        patches = workspace;
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, (int)columns, (int)inner, 1.0f,
                (const float *)conv->weights + group * rows * inner, (int)inner, patches, (int)columns, 0.0f,
                out + group * rows * columns, (int)columns);
}

static void finish(const struct esp_conv *conv, const float *addend, float *out)
{
    size_t plane = (size_t)conv->out.height * conv->out.width;

    for (size_t c = 0; c < conv->out.channels; c++) {
        float *values = out + c * plane, bias = conv->bias[c];
        for (size_t i = 0; i < plane; i++)
            values[i] += bias;
        esp_add(conv->activation, values, addend ? addend + c * plane : NULL, values, plane);
    }
}

static void conv_images(const struct esp_conv *conv, const struct esp_images *images, void *workspace)
{
    for (size_t i = 0; i < images->count; i++) {
        for (size_t group = 0; group < conv->groups; group++)
            multiply_group(conv, group, images->in[i], images->patches ? images->patches[i] : NULL, workspace,
                           images->out[i]);
        finish(conv, images->addend ? images->addend[i] : NULL, images->out[i]);
        if (images->scale)
            esp_scale(images->scale[i], images->out[i],
                      (size_t)conv->out.channels * conv->out.height * conv->out.width);
    }
}

static uint64_t burst(void)
{
    enum { SIZE = 64, ROUNDS = 200 };
    static const float a[SIZE * SIZE], b[SIZE * SIZE];
    float c[SIZE * SIZE];

    for (int i = 0; i < ROUNDS; i++)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIZE, SIZE, SIZE, 1.0f, a, SIZE, b, SIZE, 0.0f, c, SIZE);
    return (uint64_t)ROUNDS * SIZE * SIZE * SIZE;
}

const struct esp_kernels esp_kernels_openblas = {
    .name = "openblas",
    .precision = ESP_PRECISION_FP32,
    .supported = supported,
    .start = start,
    .conv_weight_bytes = esp_conv_plain_bytes,
    .conv_workspace_bytes = workspace_bytes,
    .conv_pack = esp_conv_plain_pack,
    .conv_patch_bytes = patch_bytes,
    .conv_patches = lay_patches,
    .conv = conv_images,
    .burst = burst,
};
