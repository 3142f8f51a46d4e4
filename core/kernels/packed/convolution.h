/* Which way an FP32 kernel set of packed weights takes for a convolution: the functions of its row of the table.
 *
 * Included by the FP32 kernel sets, last. */

static size_t conv_weight_bytes(const struct esp_conv *conv)
{
    return suits_winograd(conv) ? winograd_weight_bytes(conv) : weight_bytes(conv);
}

static size_t conv_workspace_bytes(const struct esp_conv *conv)
{
    return suits_winograd(conv) ? winograd_workspace_bytes(conv) : gemm_workspace_bytes(conv);
}

static void conv_pack(const struct esp_conv *conv, const float *weights, void *packed)
{
    if (suits_winograd(conv))
        winograd_pack(conv, weights, packed);
    else
        pack(conv, weights, packed);
}

static size_t conv_patch_bytes(const struct esp_conv *conv)
{
    return suits_winograd(conv) ? winograd_patch_bytes(conv) : gemm_patch_bytes(conv);
}

static void conv_patches(const struct esp_conv *conv, const float *in, void *patches, void *workspace)
{
    if (suits_winograd(conv))
        winograd_patches(conv, in, patches, workspace);
    else
        gemm_patches(conv, in, patches, workspace);
}

static void conv_images(const struct esp_conv *conv, const struct esp_images *images, void *workspace)
{
    if (suits_winograd(conv))
        winograd(conv, images, workspace);
    else
        gemm(conv, images, workspace);
}
