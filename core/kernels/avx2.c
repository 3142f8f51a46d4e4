/* AVX2 with FMA in FP32: 16 registers of 8 floats. */
#define VECTOR_WORDS      8
#define BLOCK             16
#define TILE_ROWS         6 /* 12 sums, 2 vectors of patches, a weight */
#define CHANNELS_PER_WORD 1
#define ROW_UNIT          1

#include "core/kernels/packed/fp32.h"

static bool supported(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

const struct esp_kernels esp_kernels_avx2 = {
    .name = "avx2",
    .precision = ESP_PRECISION_FP32,
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
