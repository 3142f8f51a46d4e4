/* AVX-512 in FP32: 32 registers of 16 floats. */
#define VECTOR_WORDS      16
#define BLOCK             32
#define TILE_ROWS         14 /* 28 sums, 2 vectors of patches, a weight */
#define CHANNELS_PER_WORD 1
#define ROW_UNIT          1

#include "core/kernels/packed/fp32.h"

static bool supported(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
}

const struct esp_kernels esp_kernels_avx512 = {
    .name = "avx512",
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
