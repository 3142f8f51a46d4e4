/* The GEMM in vector registers.
 *
 * Weights are packed as [tiles][rows][channels of the tile], so that a kernel reads them from front to back, one word to
 * be multiplied with a block's vectors. Each sum is added up in the order of the rows by one register: its bits depend
 * on nothing else (law 1).
 *
 * Included by the files of one instruction set each, which define before, beside what patches.h and epilogue.h need:
 *   TILE_ROWS                             sums of TILE_ROWS x BLOCK stay in registers
 *   multiply_add(sum, weight, patches)    sum + weight * patches of vectors
 *   broadcast_word(pointer)               a vector of one word
 *   pack_word(carry, first, second)       the word of one or two weights; `carry` begins with 0 for each channel
 * BLOCK is VECTORS * VECTOR_WORDS. */
#include "core/kernels/packed/epilogue.h"
#include "core/kernels/packed/patches.h"
#include "core/kernels/packed/tiles.h"

/* Weights come from far away, each only once for an image, and the CPU's own prefetching stops at pages: they are fetched
 * this far ahead, which runs on into the next convolution's. */
enum { VECTORS = BLOCK / VECTOR_WORDS, PREFETCH_WORDS = 1536 };

/* Channel `row` of a tile of `tile_rows`. */
static void pack_channel(const struct esp_conv *conv, const struct patches *p, const float *weights, size_t tile_rows,
                         size_t row, uint32_t *tile)
{
    uint32_t *out = tile + row;
    size_t channels = conv->in.channels / conv->groups;
    float carry = 0;

    for (size_t c = 0; c < channels; c += CHANNELS_PER_WORD)
        for (size_t tap = 0; tap < p->taps; tap++, out += tile_rows) {
            const float *first = weights + c * p->taps + tap;
            *out = pack_word(&carry, first[0], c + 1 < channels ? first[p->taps] : 0);
        }
}

/* The sums of `rows` channels and `vectors` vectors of pixels, [rows][pixels]. Both are constants wherever this is
 * inlined. */
static inline __attribute__((always_inline)) void multiply_tile(const size_t rows, const size_t vectors, size_t inner,
                                                                const uint32_t *restrict weights,
                                                                const uint32_t *restrict patches, float *restrict sums)
{
    vector sum[TILE_ROWS][VECTORS];

#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++)
            sum[r][v] = (vector){0};
    for (size_t k = 0; k < inner; k++, weights += rows, patches += vectors * VECTOR_WORDS) {
        vector patch[VECTORS];
        __builtin_prefetch(weights + PREFETCH_WORDS);
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++)
            patch[v] = load((const float *)patches + v * VECTOR_WORDS);
#pragma GCC unroll 16
        for (size_t r = 0; r < rows; r++) {
            vector weight = broadcast_word(weights + r);
#pragma GCC unroll 4
            for (size_t v = 0; v < vectors; v++)
                sum[r][v] = multiply_add(sum[r][v], weight, patch[v]);
        }
    }
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++)
            store(sums + (r * vectors + v) * VECTOR_WORDS, sum[r][v]);
}

#define EACH_ROWS(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14)

static __attribute__((noinline)) void multiply_rows(size_t rows, size_t inner, const uint32_t *weights,
                                                    const uint32_t *patches, float *sums)
{
    switch (rows) {
#define ROWS(N)                                                                                                        \
    case N: multiply_tile(N <= TILE_ROWS ? N : TILE_ROWS, VECTORS, inner, weights, patches, sums); break;
        EACH_ROWS(ROWS)
#undef ROWS
    }
}

/* All channels of one group for `blocks` blocks of patches, which begin with block `first`. */
static void multiply_blocks(const struct esp_conv *conv, const struct patches *p, const struct epilogue *e, size_t group,
                            const uint32_t *patches, size_t first, size_t blocks)
{
    size_t channels = conv->out.channels / conv->groups;
    float sums[TILE_ROWS * BLOCK] __attribute__((aligned(ESP_ALIGNMENT)));

    for (size_t tile = 0; tile < tiles_of(channels); tile++) {
        size_t begin = group * channels + tile_begin(channels, tile);
        size_t rows = group * channels + tile_begin(channels, tile + 1) - begin;
        const uint32_t *weights = (const uint32_t *)conv->weights + begin * p->rows;
        for (size_t block = 0; block < blocks; block++) {
            size_t pixel = (first + block) * BLOCK;
            size_t count = p->pixels - pixel < BLOCK ? p->pixels - pixel : BLOCK;
            multiply_rows(rows, p->rows, weights, patches + block * p->rows * BLOCK, sums);
            for (size_t r = 0; r < rows; r++)
                finish_row(e, sums + r * BLOCK, count, conv->bias[begin + r], (begin + r) * p->pixels + pixel);
        }
    }
}

/* The innermost loop on data that fits the first cache: what it does per second is the machine's peak for this set. */
static uint64_t burst(void)
{
    enum { INNER = 64, ROUNDS = 2000 };
    static const uint32_t weights[INNER * TILE_ROWS], patches[INNER * BLOCK];
    float sums[TILE_ROWS * BLOCK] __attribute__((aligned(ESP_ALIGNMENT)));

    for (int i = 0; i < ROUNDS; i++) {
        multiply_rows(TILE_ROWS, INNER, weights, patches, sums);
        __asm__ volatile("" : : "r"(sums) : "memory"); /* or the compiler leaves out sums that nobody reads */
    }
    return (uint64_t)ROUNDS * INNER * TILE_ROWS * BLOCK * CHANNELS_PER_WORD;
}
