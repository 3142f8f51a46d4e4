/* 3 x 3 convolutions of stride 1 by Winograd's minimal filtering F(2 x 2, 3 x 3): a tile of 2 x 2 outputs takes 16
 * products instead of 36 (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv 1509.09308).
 *
 *   out = A' [(G weights G') * (B' in B)] A        for each tile, summed over the input channels before A
 *
 * The 16 products of all tiles and channels are 16 GEMMs. The 4 x 4 inputs of the tiles are the patches of a 4 x 4 window
 * with stride 2, so that they are laid out as those are; B is applied to them in registers, with a tile in each lane.
 * What children share is the result, [blocks][16][channels + 1][TILES]: the odd channel keeps the 16 away from each other's
 * cache sets. A block holds whole rows of tiles, or a part of one where it is longer than a block.
 *
 * Included by the FP32 kernel sets after register_gemm.h. */

enum { POINTS = 16, TILES = 16, TILE_VECTORS = TILES / VECTOR_WORDS, WINOGRAD_CHANNELS_MIN = 16 };

static bool suits_winograd(const struct esp_conv *conv)
{
    const struct esp_window *w = &conv->window;
    return w->kernel_h == 3 && w->kernel_w == 3 && w->stride_h == 1 && w->stride_w == 1 && w->dilation_h == 1 &&
           w->dilation_w == 1 && conv->groups == 1 && conv->in.channels >= WINOGRAD_CHANNELS_MIN &&
           conv->out.height > 1 && conv->out.width > 1;
}

/* The convolution whose patches are the inputs of the tiles, and how the tiles are cut into blocks. */
struct tiling {
    struct esp_conv window;
    struct patches patches; /* of one channel */
    size_t columns, rows;   /* tiles of a block: side by side, and below each other */
    size_t across, down;    /* blocks */
    size_t chunk;           /* blocks that are transformed and multiplied at a time where nothing is shared */
    size_t block_words;     /* transformed inputs of a block */
};

static size_t rounded_up(size_t value, size_t unit)
{
    return (value + unit - 1) / unit;
}

static struct tiling tiling_of(const struct esp_conv *conv)
{
    struct tiling t = {.window = *conv};
    size_t high = rounded_up(conv->out.height, 2), wide = rounded_up(conv->out.width, 2);

    t.window.window.kernel_h = t.window.window.kernel_w = 4;
    t.window.window.stride_h = t.window.window.stride_w = 2;
    t.window.out.height = (uint32_t)high;
    t.window.out.width = (uint32_t)wide;
    t.across = rounded_up(wide, TILES);
    t.columns = rounded_up(wide, t.across);
    t.rows = t.across > 1 ? 1 : TILES / wide < high ? TILES / wide : high;
    t.down = rounded_up(high, t.rows);
    t.patches = patches_of(&t.window, TILES);
    t.patches.rows = t.patches.inner = POINTS; /* one channel after the other */
    t.patches.uniform = high % t.rows == 0 && wide % t.columns == 0;
    t.block_words = POINTS * (conv->in.channels + 1) * (size_t)TILES;
    t.chunk = chunk_of(t.block_words, t.across * t.down);
    return t;
}

static size_t blocks_of(const struct tiling *t)
{
    return t->across * t->down;
}

/* A block's tiles: rows [top, top + rows) and columns [left, left + columns). */
struct tile_block {
    size_t top, left, rows, columns;
};

static struct tile_block block_at(const struct tiling *t, size_t block)
{
    struct tile_block b = {.top = block / t->across * t->rows, .left = block % t->across * t->columns};
    size_t down = t->window.out.height - b.top, across = t->window.out.width - b.left;

    b.rows = down < t->rows ? down : t->rows;
    b.columns = across < t->columns ? across : t->columns;
    return b;
}

/* ---- weights ---- */

/* G w G' of one filter: G = [1 0 0; 1/2 1/2 1/2; 1/2 -1/2 1/2; 0 0 1] */
static void transform_filter(const float w[9], float out[POINTS])
{
    float rows[4][3];

    for (size_t x = 0; x < 3; x++) {
        rows[0][x] = w[x];
        rows[1][x] = (w[x] + w[3 + x] + w[6 + x]) / 2;
        rows[2][x] = (w[x] - w[3 + x] + w[6 + x]) / 2;
        rows[3][x] = w[6 + x];
    }
    for (size_t y = 0; y < 4; y++) {
        out[4 * y] = rows[y][0];
        out[4 * y + 1] = (rows[y][0] + rows[y][1] + rows[y][2]) / 2;
        out[4 * y + 2] = (rows[y][0] - rows[y][1] + rows[y][2]) / 2;
        out[4 * y + 3] = rows[y][2];
    }
}

static size_t winograd_weight_bytes(const struct esp_conv *conv)
{
    return POINTS * sizeof(float) * conv->in.channels * conv->out.channels;
}

/* [tiles of channels][16][input channels][channels of the tile] */
static void winograd_pack(const struct esp_conv *conv, const float *weights, float *packed)
{
    size_t inputs = conv->in.channels, outputs = conv->out.channels;
    float points[POINTS];

    for (size_t tile = 0; tile < tiles_of(outputs); tile++) {
        size_t begin = tile_begin(outputs, tile), rows = tile_begin(outputs, tile + 1) - begin;
        float *out = packed + begin * inputs * POINTS;
        for (size_t c = 0; c < inputs; c++)
            for (size_t r = 0; r < rows; r++) {
                transform_filter(weights + ((begin + r) * inputs + c) * 9, points);
                for (size_t i = 0; i < POINTS; i++)
                    out[(i * inputs + c) * rows + r] = points[i];
            }
    }
}

/* ---- inputs ---- */

/* B' d B of the tiles of one vector: B' = [1 0 -1 0; 0 1 1 0; 0 -1 1 0; 0 1 0 -1] */
static void transform_input(const float *in, float *out, size_t step)
{
    vector d[4][4], rows[4][4];

    for (size_t i = 0; i < POINTS; i++)
        d[i / 4][i % 4] = load(in + i * TILES);
    for (size_t x = 0; x < 4; x++) {
        rows[0][x] = d[0][x] - d[2][x];
        rows[1][x] = d[1][x] + d[2][x];
        rows[2][x] = d[2][x] - d[1][x];
        rows[3][x] = d[1][x] - d[3][x];
    }
    for (size_t y = 0; y < 4; y++, out += 4 * step) {
        store(out, rows[y][0] - rows[y][2]);
        store(out + step, rows[y][1] + rows[y][2]);
        store(out + 2 * step, rows[y][2] - rows[y][1]);
        store(out + 3 * step, rows[y][1] - rows[y][3]);
    }
}

/* The runs of tiles of blocks [first, first + blocks): as find_runs, with whole rows of tiles in a block. */
static size_t find_tile_runs(const struct tiling *t, size_t first, size_t blocks, struct run_of_pixels *runs)
{
    size_t count = 0;

    for (size_t i = 0; i < blocks; i++) {
        struct tile_block b = block_at(t, first + i);
        for (size_t y = 0; y < b.rows; y++)
            runs[count++] = (struct run_of_pixels){
                .from = (uint32_t)((b.top + y) * 2 * t->patches.padded_row + b.left),
                .to = (uint32_t)(i * POINTS * TILES + y * b.columns),
                .count = (uint32_t)b.columns};
    }
    return count;
}

/* Words of the padded channel, the runs, and one channel's inputs of `blocks` blocks. */
static size_t transforming_words(const struct tiling *t, size_t blocks)
{
    return laying_words(&t->window, &t->patches, blocks) + blocks * POINTS * TILES + TILES;
}

/* Transforms the inputs of blocks [first, first + blocks). */
static void transform_blocks(const struct esp_conv *conv, const struct tiling *t, const float *in, size_t first,
                             size_t blocks, float *out, uint32_t *workspace)
{
    size_t plane = (size_t)conv->in.height * conv->in.width, step = (size_t)(conv->in.channels + 1) * TILES;
    uint32_t *inputs = workspace, *padded = inputs + blocks * POINTS * TILES + TILES;
    struct run_of_pixels *runs = (void *)(padded + padded_words(&t->window, &t->patches));
    size_t count = find_tile_runs(t, first, blocks, runs);
    size_t top = block_at(t, first).top * 2;
    struct tile_block last = block_at(t, first + blocks - 1);
    size_t bottom = (last.top + last.rows) * 2 + 2;

    /* Padding, and lanes without a tile, stay 0. */
    memset(inputs, 0, (blocks * POINTS * TILES + TILES + padded_words(&t->window, &t->patches)) * sizeof *inputs);
    for (size_t c = 0; c < conv->in.channels; c++) {
        pad_channel(&t->window, &t->patches, 0, in + c * plane, NULL, top, bottom, padded);
        lay_channel(&t->window, &t->patches, padded, runs, count, inputs);
        for (size_t i = 0; i < blocks; i++)
            for (size_t v = 0; v < TILE_VECTORS; v++)
                transform_input((float *)inputs + i * POINTS * TILES + v * VECTOR_WORDS,
                                out + i * t->block_words + c * TILES + v * VECTOR_WORDS, step);
    }
}

/* ---- outputs ---- */

static inline void interleave(vector even, vector odd, float *out)
{
#if VECTOR_WORDS == 16
    store(out, __builtin_shuffle(even, odd, (vector_mask){0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23}));
    store(out + VECTOR_WORDS,
          __builtin_shuffle(even, odd, (vector_mask){8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31}));
#else
    store(out, __builtin_shuffle(even, odd, (vector_mask){0, 8, 1, 9, 2, 10, 3, 11}));
    store(out + VECTOR_WORDS, __builtin_shuffle(even, odd, (vector_mask){4, 12, 5, 13, 6, 14, 7, 15}));
#endif
}

/* A' m A of the tiles of one vector: A' = [1 1 1 0; 0 1 -1 -1]. `upper` and `lower` get the two rows of outputs of the
 * tiles, side by side. */
static void transform_output(const float *points, size_t step, float *upper, float *lower)
{
    vector m[4][4], rows[2][4];

    for (size_t i = 0; i < POINTS; i++)
        m[i / 4][i % 4] = load(points + i * step);
    for (size_t x = 0; x < 4; x++) {
        rows[0][x] = m[0][x] + m[1][x] + m[2][x];
        rows[1][x] = m[1][x] - m[2][x] - m[3][x];
    }
    interleave(rows[0][0] + rows[0][1] + rows[0][2], rows[0][1] - rows[0][2] - rows[0][3], upper);
    interleave(rows[1][0] + rows[1][1] + rows[1][2], rows[1][1] - rows[1][2] - rows[1][3], lower);
}

/* Outputs of a block of one channel, from the rows of transform_output to where they belong. */
static void finish_block(const struct esp_conv *conv, const struct tiling *t, const struct epilogue *e,
                         const struct tile_block *b, const float *upper, const float *lower, size_t channel)
{
    size_t width = conv->out.width, plane = (size_t)conv->out.height * width, at = channel * plane + b->top * 2 * width;
    float region[4 * TILES + 2 * COPY_WORDS];
    uint32_t *next = (uint32_t *)region;

    if (t->across > 1) {
        size_t left = b->left * 2, count = width - left < b->columns * 2 ? width - left : b->columns * 2;
        finish_row(e, upper, count, conv->bias[channel], at + left);
        if (b->top * 2 + 1 < conv->out.height)
            finish_row(e, lower, count, conv->bias[channel], at + width + left);
        return;
    }
    for (size_t y = 0; y < b->rows; y++) { /* an odd width: the next row overwrites what is too much */
        copy_words(next, (const uint32_t *)upper + y * b->columns * 2, b->columns * 2);
        copy_words(next + width, (const uint32_t *)lower + y * b->columns * 2, b->columns * 2);
        next += 2 * width;
    }
    size_t high = conv->out.height - b->top * 2 < b->rows * 2 ? conv->out.height - b->top * 2 : b->rows * 2;
    finish_row(e, region, high * width, conv->bias[channel], at);
}

/* ---- the products ---- */

static __attribute__((noinline)) void multiply_points(size_t rows, size_t inner, const uint32_t *weights,
                                                      const uint32_t *inputs, float *sums)
{
    for (size_t i = 0; i < POINTS; i++) {
        switch (rows) {
#define ROWS(N)                                                                                                        \
    case N: multiply_tile(N <= TILE_ROWS ? N : TILE_ROWS, TILE_VECTORS, inner, weights, inputs, sums); break;
            EACH_ROWS(ROWS)
#undef ROWS
        }
        weights += rows * inner;
        inputs += (inner + 1) * TILES;
        sums += rows * TILES;
    }
}

static void multiply_tile_blocks(const struct esp_conv *conv, const struct tiling *t, const struct epilogue *e,
                                 const float *inputs, size_t first, size_t blocks)
{
    float sums[POINTS * TILE_ROWS * TILES] __attribute__((aligned(ESP_ALIGNMENT)));
    float upper[2 * TILES + COPY_WORDS], lower[2 * TILES + COPY_WORDS];

    for (size_t tile = 0; tile < tiles_of(conv->out.channels); tile++) {
        size_t begin = tile_begin(conv->out.channels, tile), rows = tile_begin(conv->out.channels, tile + 1) - begin;
        const uint32_t *weights = (const uint32_t *)conv->weights + begin * conv->in.channels * POINTS;
        for (size_t i = 0; i < blocks; i++) {
            struct tile_block b = block_at(t, first + i);
            multiply_points(rows, conv->in.channels, weights, (const uint32_t *)inputs + i * t->block_words, sums);
            for (size_t r = 0; r < rows; r++) {
                for (size_t v = 0; v < TILE_VECTORS; v++)
                    transform_output(sums + r * TILES + v * VECTOR_WORDS, rows * TILES, upper + 2 * v * VECTOR_WORDS,
                                     lower + 2 * v * VECTOR_WORDS);
                finish_block(conv, t, e, &b, upper, lower, begin + r);
            }
        }
    }
}

/* 16 instead of 36, but for tiles that stand over the edge. */
static double winograd_products(const struct esp_conv *conv)
{
    struct tiling t = tiling_of(conv);
    return (double)POINTS * t.window.out.height * t.window.out.width / (9.0 * conv->out.height * conv->out.width);
}

static size_t winograd_workspace_bytes(const struct esp_conv *conv)
{
    struct tiling t = tiling_of(conv);
    return (t.chunk * t.block_words + transforming_words(&t, blocks_of(&t))) * sizeof(float);
}

static size_t winograd_patch_bytes(const struct esp_conv *conv)
{
    struct tiling t = tiling_of(conv);
    return blocks_of(&t) * t.block_words * sizeof(float);
}

static void winograd_patches(const struct esp_conv *conv, const float *in, void *patches, void *workspace)
{
    struct tiling t = tiling_of(conv);
    transform_blocks(conv, &t, in, 0, blocks_of(&t), patches, workspace);
}

static void winograd(const struct esp_conv *conv, const struct esp_images *images, void *workspace)
{
    struct tiling t = tiling_of(conv);
    float *transformed = workspace;
    size_t begin = esp_part_begin(images, images->part, blocks_of(&t));
    size_t end = esp_part_begin(images, images->part + 1, blocks_of(&t));

    for (size_t i = 0; i < images->count; i++) {
        struct epilogue e = epilogue_of(conv, images, i);
        if (images->patches) {
            multiply_tile_blocks(conv, &t, &e, (const float *)images->patches[i] + begin * t.block_words, begin,
                                 end - begin);
            continue;
        }
        for (size_t first = begin; first < end; first += t.chunk) {
            size_t blocks = end - first < t.chunk ? end - first : t.chunk;
            transform_blocks(conv, &t, images->in[i], first, blocks, transformed,
                             (uint32_t *)workspace + t.chunk * t.block_words);
            multiply_tile_blocks(conv, &t, &e, transformed, first, blocks);
        }
    }
}

static size_t winograd_parts(const struct esp_conv *conv)
{
    struct tiling t = tiling_of(conv);
    return blocks_of(&t);
}
