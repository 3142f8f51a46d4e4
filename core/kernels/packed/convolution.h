/* Which way an FP32 kernel set of packed weights takes for a convolution: the functions of its row of the table.
 *
 * Included by the FP32 kernel sets, last. */

enum way { GEMM, WINOGRAD, DIRECT };

static enum way way_of(const struct esp_conv *conv)
{
    return is_direct(conv) ? DIRECT : suits_winograd(conv) ? WINOGRAD : GEMM;
}

static size_t conv_weight_bytes(const struct esp_conv *conv)
{
    switch (way_of(conv)) {
    case DIRECT: return direct_weight_bytes(conv);
    case WINOGRAD: return winograd_weight_bytes(conv);
    case GEMM: break;
    }
    return weight_bytes(conv);
}

static size_t conv_workspace_bytes(const struct esp_conv *conv)
{
    switch (way_of(conv)) {
    case DIRECT: return direct_workspace_bytes(conv);
    case WINOGRAD: return winograd_workspace_bytes(conv);
    case GEMM: break;
    }
    return gemm_workspace_bytes(conv);
}

static void conv_pack(const struct esp_conv *conv, const float *weights, void *packed)
{
    switch (way_of(conv)) {
    case DIRECT: direct_pack(conv, weights, packed); break;
    case WINOGRAD: winograd_pack(conv, weights, packed); break;
    case GEMM: pack(conv, weights, packed); break;
    }
}

static size_t conv_patch_bytes(const struct esp_conv *conv)
{
    switch (way_of(conv)) {
    case DIRECT: return 0;
    case WINOGRAD: return winograd_patch_bytes(conv);
    case GEMM: break;
    }
    return gemm_patch_bytes(conv);
}

static void conv_patches(const struct esp_conv *conv, const float *in, void *patches, void *workspace)
{
    if (way_of(conv) == WINOGRAD)
        winograd_patches(conv, in, patches, workspace);
    else
        gemm_patches(conv, in, patches, workspace);
}

static void conv_images(const struct esp_conv *conv, const struct esp_images *images, void *workspace)
{
    switch (way_of(conv)) {
    case DIRECT: direct(conv, images, workspace); break;
    case WINOGRAD: winograd(conv, images, workspace); break;
    case GEMM: gemm(conv, images, workspace); break;
    }
}

static double conv_products(const struct esp_conv *conv)
{
    return way_of(conv) == WINOGRAD ? winograd_products(conv) : 1;
}

static size_t conv_parts(const struct esp_conv *conv)
{
    switch (way_of(conv)) {
    case DIRECT: return 1;
    case WINOGRAD: return winograd_parts(conv);
    case GEMM: break;
    }
    return gemm_parts(conv);
}
