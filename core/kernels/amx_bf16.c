/* AMX tiles with BF16 products and FP32 sums; AVX-512 for all around them.
 *
 * A tile has up to 16 rows of 64 bytes. Weights are packed as [tiles][steps][channels of the tile][16 words], one step
 * being 32 channels and taps of a patch: a tile of weights is 1 KB in one piece. A block of patches gives the two tiles
 * that stand beside each other. Two tiles of channels and one block of pixels are in hand at a time, four sums, so that
 * the multiplier need not wait for a sum to be ready; where one tile of channels is left, two blocks.
 *
 * An exact convolution takes three products for one, of weights and patches cut into halves: high * high, low * high,
 * high * low; what is left out is a 65,536th. Its weights are packed as [tiles][halves][steps]...
 *
 * Each sum is added up in the order of the steps by one tile: its bits depend on nothing else (law 1). */
#define VECTOR_WORDS      16
#define BLOCK             32
#define TILE_ROWS         16
#define CHANNELS_PER_WORD 2
#define ROW_UNIT          16
#define HALVES(conv)      ((conv)->exact ? 2 : 1)

#include "core/kernels/packed/amx_instructions.h"
#include "core/kernels/packed/bf16_words.h"
#include "core/kernels/packed/epilogue.h"
#include "core/kernels/packed/patches.h"
#include "core/kernels/packed/tiles.h"

enum { STEP_WORDS = 16, TILE_WORDS = 16 * 16, ROW_BYTES = 64, BLOCK_BYTES = BLOCK * 4, PREFETCH_TILES = 6 };

/* One half of a channel into its row of each step's tile. */
static void pack_half(const struct esp_conv *conv, const struct patches *p, size_t half, const float *weights,
                      size_t tile_rows, uint32_t *out)
{
    size_t channels = conv->in.channels / conv->groups, word = 0;
    float carry = 0;

    for (size_t c = 0; c < channels; c += CHANNELS_PER_WORD)
        for (size_t tap = 0; tap < p->taps; tap++, word++) {
            const float *at = weights + c * p->taps + tap;
            float first = at[0], second = c + 1 < channels ? at[p->taps] : 0;
            out[word / STEP_WORDS * STEP_WORDS * tile_rows + word % STEP_WORDS] =
                conv->exact ? pack_exact(half, first, second) : pack_word(&carry, first, second);
        }
}

/* Channel `row` of a tile of `tile_rows`. */
static void pack_channel(const struct esp_conv *conv, const struct patches *p, const float *weights, size_t tile_rows,
                         size_t row, uint32_t *tile)
{
    for (size_t half = 0; half < HALVES(conv); half++)
        pack_half(conv, p, half, weights, tile_rows, tile + half * p->inner * tile_rows + row * STEP_WORDS);
}

/* Tiles 0 to 3 are sums, 4 (and 5) weights, the others patches. */
static void configure(size_t upper_rows, size_t lower_rows)
{
    struct tile_config config __attribute__((aligned(64))) = {.palette = 1};

    for (int tile = 0; tile < 8; tile++) {
        config.row_bytes[tile] = ROW_BYTES;
        config.rows[tile] = 16;
    }
    config.rows[0] = config.rows[1] = config.rows[4] = (uint8_t)upper_rows;
    config.rows[2] = config.rows[3] = (uint8_t)lower_rows;
    config.rows[5] = (uint8_t)lower_rows;
    tile_configure(&config);
}

/* A part of a convolution: `count` channels from `channel` on. */
struct rows_of_tile {
    size_t channel, count;
    const uint32_t *weights;
};

/* Weights are read once for an image, from far away: they are fetched some steps ahead. */
static inline void prefetch_tile(const uint32_t *weights, size_t rows)
{
    for (size_t r = 0; r < rows; r++)
        __builtin_prefetch(weights + (PREFETCH_TILES * 16 + r) * STEP_WORDS);
}

/* Two tiles of channels, one block: sums 0 and 1 are the upper channels', 2 and 3 the lower ones'. */
static void add_pair(size_t steps, const uint32_t *upper, size_t upper_rows, const uint32_t *lower, size_t lower_rows,
                     const uint32_t *patches)
{
    for (size_t step = 0; step < steps; step++) {
        tile_load(4, upper, ROW_BYTES);
        tile_load(6, patches, BLOCK_BYTES);
        tile_load(7, patches + 16, BLOCK_BYTES);
        tile_multiply(0, 4, 6);
        tile_multiply(1, 4, 7);
        tile_load(5, lower, ROW_BYTES);
        tile_multiply(2, 5, 6);
        tile_multiply(3, 5, 7);
        upper += upper_rows * STEP_WORDS;
        lower += lower_rows * STEP_WORDS;
        patches += STEP_WORDS * BLOCK;
    }
}

/* One tile of channels, two blocks: sums 0 and 1 are the first block's, 2 and 3 the second one's. */
static void add_single(size_t steps, const uint32_t *weights, size_t rows, const uint32_t *first,
                       const uint32_t *second)
{
    for (size_t step = 0; step < steps; step++) {
        tile_load(4, weights, ROW_BYTES);
        prefetch_tile(weights, rows);
        tile_load(6, first, BLOCK_BYTES);
        tile_load(7, first + 16, BLOCK_BYTES);
        tile_multiply(0, 4, 6);
        tile_multiply(1, 4, 7);
        tile_load(6, second, BLOCK_BYTES);
        tile_load(7, second + 16, BLOCK_BYTES);
        tile_multiply(2, 4, 6);
        tile_multiply(3, 4, 7);
        weights += rows * STEP_WORDS;
        first += STEP_WORDS * BLOCK;
        second += STEP_WORDS * BLOCK;
    }
}

static void clear_sums(void)
{
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
}

/* The halves of weights and patches of each product; the first alone where the convolution need not be exact. */
static const struct {
    uint8_t weights, patches;
} products[] = {{0, 0}, {1, 0}, {0, 1}};

static size_t products_of(const struct esp_conv *conv)
{
    return conv->exact ? sizeof products / sizeof products[0] : 1;
}

static void multiply_pair(const struct esp_conv *conv, const struct patches *p, const struct rows_of_tile *upper,
                          const struct rows_of_tile *lower, const uint32_t *patches)
{
    clear_sums();
    for (size_t i = 0; i < products_of(conv); i++) {
        size_t half = products[i].weights * p->inner;
        add_pair(p->inner / STEP_WORDS, upper->weights + half * upper->count, upper->count,
                 lower->weights + half * lower->count, lower->count, patches + products[i].patches * p->inner * BLOCK);
    }
}

static void multiply_single(const struct esp_conv *conv, const struct patches *p, const struct rows_of_tile *rows,
                            const uint32_t *first, const uint32_t *second)
{
    clear_sums();
    for (size_t i = 0; i < products_of(conv); i++) {
        size_t half = products[i].patches * p->inner * BLOCK;
        add_single(p->inner / STEP_WORDS, rows->weights + products[i].weights * p->inner * rows->count, rows->count,
                   first + half, second + half);
    }
}

/* The four sums side by side: [2][16][BLOCK] floats. */
static void store_sums(float *sums)
{
    tile_store(0, sums, BLOCK_BYTES);
    tile_store(1, sums + 16, BLOCK_BYTES);
    tile_store(2, sums + 16 * BLOCK, BLOCK_BYTES);
    tile_store(3, sums + 16 * BLOCK + 16, BLOCK_BYTES);
}

static void finish_tile(const struct esp_conv *conv, const struct patches *p, const struct epilogue *e, size_t channel,
                        size_t rows, const float *sums, size_t block)
{
    size_t pixel = block * BLOCK, count = p->pixels - pixel < BLOCK ? p->pixels - pixel : BLOCK;

    for (size_t r = 0; r < rows; r++, channel++)
        finish_row(e, sums + r * BLOCK, count, conv->bias[channel], channel * p->pixels + pixel);
}

static struct rows_of_tile rows_of(const struct esp_conv *conv, const struct patches *p, size_t group, size_t tile)
{
    size_t channels = conv->out.channels / conv->groups, begin = tile_begin(channels, tile);
    return (struct rows_of_tile){.channel = group * channels + begin,
                                 .count = tile_begin(channels, tile + 1) - begin,
                                 .weights = (const uint32_t *)conv->weights + (group * channels + begin) * p->rows};
}

static void multiply_tiles(const struct esp_conv *conv, const struct patches *p, const struct epilogue *e,
                           const struct rows_of_tile *upper, const struct rows_of_tile *lower, const uint32_t *patches,
                           size_t first, size_t blocks)
{
    float sums[2 * 16 * BLOCK] __attribute__((aligned(64)));

    configure(upper->count, lower->count);
    for (size_t block = 0; block < blocks; block++) {
        multiply_pair(conv, p, upper, lower, patches + block * p->rows * BLOCK);
        store_sums(sums);
        finish_tile(conv, p, e, upper->channel, upper->count, sums, first + block);
        finish_tile(conv, p, e, lower->channel, lower->count, sums + 16 * BLOCK, first + block);
    }
}

static void multiply_last_tile(const struct esp_conv *conv, const struct patches *p, const struct epilogue *e,
                               const struct rows_of_tile *rows, const uint32_t *patches, size_t first, size_t blocks)
{
    float sums[2 * 16 * BLOCK] __attribute__((aligned(64)));

    configure(rows->count, rows->count);
    for (size_t block = 0; block < blocks; block += 2) {
        bool both = block + 1 < blocks; /* an odd last block is multiplied twice */
        const uint32_t *from = patches + block * p->rows * BLOCK;
        multiply_single(conv, p, rows, from, both ? from + p->rows * BLOCK : from);
        store_sums(sums);
        finish_tile(conv, p, e, rows->channel, rows->count, sums, first + block);
        if (both)
            finish_tile(conv, p, e, rows->channel, rows->count, sums + 16 * BLOCK, first + block + 1);
    }
}

static void multiply_blocks(const struct esp_conv *conv, const struct patches *p, const struct epilogue *e, size_t group,
                            const uint32_t *patches, size_t first, size_t blocks)
{
    size_t tiles = tiles_of(conv->out.channels / conv->groups), tile = 0;

    for (; tile + 1 < tiles; tile += 2) {
        struct rows_of_tile upper = rows_of(conv, p, group, tile), lower = rows_of(conv, p, group, tile + 1);
        multiply_tiles(conv, p, e, &upper, &lower, patches, first, blocks);
    }
    if (tile < tiles) {
        struct rows_of_tile rows = rows_of(conv, p, group, tile);
        multiply_last_tile(conv, p, e, &rows, patches, first, blocks);
    }
}

#include "core/kernels/packed/gemm.h"

/* The tiles go back at the end, so that the kernel need not save them when it switches threads. */
static void multiply_images(const struct esp_conv *conv, const struct esp_images *images, void *workspace)
{
    gemm(conv, images, workspace);
    tile_release();
}

/* Depthwise and grouped convolutions and those of few pixels would leave the tiles empty. */
static bool leaves(const struct esp_conv *conv)
{
    return esp_kernels_avx512.conv_patch_bytes(conv) == 0;
}

#define PRODUCTS(conv) (double)products_of(conv)
#include "core/kernels/packed/bf16_or_fp32.h"

static uint64_t burst(void)
{
    enum { STEPS = 8, ROUNDS = 2000 };
    static const uint32_t weights[2][STEPS * TILE_WORDS] __attribute__((aligned(64)));
    static const uint32_t patches[STEPS * STEP_WORDS * BLOCK] __attribute__((aligned(64)));

    configure(16, 16);
    for (int i = 0; i < ROUNDS; i++)
        add_pair(STEPS, weights[0], 16, weights[1], 16, patches);
    tile_release();
    return (uint64_t)ROUNDS * STEPS * STEP_WORDS * 2 * 32 * BLOCK;
}

static bool supported(void)
{
    return esp_kernels_avx512_bf16.supported() && tiles_permitted();
}

const struct esp_kernels esp_kernels_amx_bf16 = {
    .name = "amx-bf16",
    .precision = ESP_PRECISION_BF16,
    .fast_bf16 = true,
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
