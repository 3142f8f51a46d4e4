/* AVX-512 with BF16 products and FP32 sums: 32 registers of 16 pairs. Exact convolutions are left to the FP32 set: three
 * BF16 products for one would take longer. */
#define VECTOR_WORDS      16
#define BLOCK             32
#define TILE_ROWS         14 /* 28 sums, 2 vectors of patches, a weight */
#define CHANNELS_PER_WORD 2
#define ROW_UNIT          1
#define HALVES(conv)      1

#include "core/kernels/packed/bf16_words.h"

#define broadcast_word(word) (__m512)_mm512_set1_epi32((int)*(word))
#define multiply_add(sum, weight, patch)                                                                               \
    (vector) _mm512_dpbf16_ps((__m512)(sum), (__m512bh)(patch), (__m512bh)(weight))

#include "core/kernels/packed/register_gemm.h"

#include "core/kernels/packed/gemm.h"

/* Those that every score depends on, and those that BF16 would not make faster: depthwise and grouped ones, few pixels. */
static bool leaves(const struct esp_conv *conv)
{
    return conv->exact || esp_kernels_avx512.conv_patch_bytes(conv) == 0;
}

static void multiply_images(const struct esp_conv *conv, const struct esp_images *images, void *workspace)
{
    gemm(conv, images, workspace);
}

#define PRODUCTS(conv) 1
#include "core/kernels/packed/bf16_or_fp32.h"

static bool supported(void)
{
    return esp_kernels_avx512.supported() && __builtin_cpu_supports("avx512bf16");
}

const struct esp_kernels esp_kernels_avx512_bf16 = {
    .name = "avx512-bf16",
    .precision = ESP_PRECISION_BF16,
    .supported = supported,
    .conv_weight_bytes = conv_weight_bytes,
    .conv_workspace_bytes = conv_workspace_bytes,
    .conv_pack = conv_pack,
    .conv_patch_bytes = conv_patch_bytes,
    .conv_patches = conv_patches,
    .conv = conv_images,
    .conv_parts = conv_parts,
    .conv_products = conv_products,
    .burst = burst,
};
