/* Convolution as a GEMM of packed weights and patches: out [OC, pixels] = weights [OC, rows] * patches [rows, pixels],
 * a chunk of patches at a time, so that they are still in the cache when they are multiplied.
 *
 * Included by the files of one instruction set each, after what defines
 *   pack_channel(conv, patches_shape, weights, tile_rows, row, tile)
 * which packs one channel's weights into its row of a tile, and
 *   multiply_blocks(conv, patches_shape, epilogue, group, patches, first, blocks)
 * which does the work for one group and `blocks` blocks of patches, the first of which is block `first`. */
static size_t weight_bytes(const struct esp_conv *conv)
{
    return patches_of(conv, BLOCK).rows * conv->out.channels * sizeof(uint32_t);
}

static void pack(const struct esp_conv *conv, const float *weights, void *memory)
{
    struct patches p = patches_of(conv, BLOCK);
    size_t channels = conv->out.channels / conv->groups, filter = conv->in.channels / conv->groups * p.taps;
    uint32_t *packed = memory;

    memset(packed, 0, weight_bytes(conv));
    for (size_t group = 0; group < conv->groups; group++)
        for (size_t tile = 0; tile < tiles_of(channels); tile++) {
            size_t begin = group * channels + tile_begin(channels, tile);
            size_t rows = group * channels + tile_begin(channels, tile + 1) - begin;
            for (size_t r = 0; r < rows; r++)
                pack_channel(conv, &p, weights + (begin + r) * filter, rows, r, packed + begin * p.rows);
        }
}

/* Bytes of a chunk of patches and of what laying it out needs. */
static size_t gemm_workspace_bytes(const struct esp_conv *conv)
{
    struct patches p = patches_of(conv, BLOCK);
    return (blocks_words(&p, p.chunk) + laying_words(conv, &p, p.blocks)) * sizeof(uint32_t) + ESP_ALIGNMENT;
}

static size_t gemm_patch_bytes(const struct esp_conv *conv)
{
    struct patches p = patches_of(conv, BLOCK);
    return conv->groups == 1 ? blocks_words(&p, p.blocks) * sizeof(uint32_t) : 0;
}

static void gemm_patches(const struct esp_conv *conv, const float *in, void *patches, void *workspace)
{
    struct patches p = patches_of(conv, BLOCK);
    lay_blocks(conv, &p, in, 0, p.blocks, patches, workspace);
}

/* Blocks [begin, end) of one image. */
static void gemm_image(const struct esp_conv *conv, const struct patches *p, const struct epilogue *e, const float *in,
                       const uint32_t *patches, size_t begin, size_t end, uint32_t *workspace)
{
    size_t group_floats = (size_t)(conv->in.channels / conv->groups) * conv->in.height * conv->in.width;
    uint32_t *laying = workspace + blocks_words(p, p->chunk);

    if (patches) {
        multiply_blocks(conv, p, e, 0, patches + blocks_words(p, begin), begin, end - begin);
        return;
    }
    for (size_t group = 0; group < conv->groups; group++)
        for (size_t first = begin; first < end; first += p->chunk) {
            size_t blocks = end - first < p->chunk ? end - first : p->chunk;
            lay_blocks(conv, p, in + group * group_floats, first, blocks, workspace, laying);
            multiply_blocks(conv, p, e, group, workspace, first, blocks);
        }
}

static void gemm(const struct esp_conv *conv, const struct esp_images *images, void *workspace)
{
    struct patches p = patches_of(conv, BLOCK);
    size_t begin = esp_part_begin(images, images->part, p.blocks);
    size_t end = esp_part_begin(images, images->part + 1, p.blocks);

    for (size_t i = 0; i < images->count; i++) {
        struct epilogue e = epilogue_of(conv, images, i);
        gemm_image(conv, &p, &e, images->in[i], images->patches ? images->patches[i] : NULL, begin, end, workspace);
    }
}

static size_t gemm_parts(const struct esp_conv *conv)
{
    return patches_of(conv, BLOCK).blocks;
}
