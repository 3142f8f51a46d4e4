/* The functions of a BF16 kernel set's row of the table: what it does not do itself, leaves(conv), is left to the FP32 set
 * of the same CPUs.
 *
 * Included by the BF16 kernel sets, last. They define before: leaves(conv), multiply_images(conv, images, workspace)
 * and PRODUCTS(conv), the BF16 products for one of its own. */

static size_t conv_weight_bytes(const struct esp_conv *conv)
{
    return leaves(conv) ? esp_kernels_avx512.conv_weight_bytes(conv) : weight_bytes(conv);
}

static size_t conv_workspace_bytes(const struct esp_conv *conv)
{
    return leaves(conv) ? esp_kernels_avx512.conv_workspace_bytes(conv) : gemm_workspace_bytes(conv);
}

static void conv_pack(const struct esp_conv *conv, const float *weights, void *packed)
{
    (leaves(conv) ? esp_kernels_avx512.conv_pack : pack)(conv, weights, packed);
}

static size_t conv_patch_bytes(const struct esp_conv *conv)
{
    return leaves(conv) ? esp_kernels_avx512.conv_patch_bytes(conv) : gemm_patch_bytes(conv);
}

static void conv_patches(const struct esp_conv *conv, const float *in, void *patches, void *workspace)
{
    (leaves(conv) ? esp_kernels_avx512.conv_patches : gemm_patches)(conv, in, patches, workspace);
}

static void conv_images(const struct esp_conv *conv, const struct esp_images *images, void *workspace)
{
    (leaves(conv) ? esp_kernels_avx512.conv : multiply_images)(conv, images, workspace);
}

/* An FP32 product counts as two: it takes a lane that makes two of BF16. */
static double conv_products(const struct esp_conv *conv)
{
    return leaves(conv) ? 2 * esp_kernels_avx512.conv_products(conv) : PRODUCTS(conv);
}

static size_t conv_parts(const struct esp_conv *conv)
{
    return leaves(conv) ? esp_kernels_avx512.conv_parts(conv) : gemm_parts(conv);
}
