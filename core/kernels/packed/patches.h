/* The patches of a convolution, laid out as the right-hand matrix of a GEMM: an implicit im2col.
 *
 * A word is 32 bits: one FP32 value, or two BF16 values of neighbouring channels. The matrix has a row for each word of
 * a patch, rows = words of channels x KH x KW in that order (padded with zero rows to a multiple of ROW_UNIT), and a
 * column for each output pixel. Where a convolution has to be more exact than BF16 is, the rows are there twice: those of
 * the values rounded to BF16, then those of what rounding took away (HALVES 2). The matrix is cut into blocks of BLOCK pixels, [blocks][rows][BLOCK], so that a kernel reads one
 * block from front to back. The last block is filled up with zeros.
 *
 * Each channel is first copied with its padding, its columns sorted by their remainder under division by the stride, so that
 * the outputs of one row, for one position of the kernel, are neighbours: what follows are copies.
 *
 * Included by the files of one instruction set each, which define before:
 *   BLOCK              pixels of a block
 *   CHANNELS_PER_WORD  1 for FP32, 2 for BF16
 *   ROW_UNIT           rows are a multiple of it
 *   HALVES(conv)       1 or 2
 *   make_words(half, first, second, stride, words, count)
 *                      makes `count` words of every stride-th of the FP32 values from `first`, and of the next
 *                      channel's from `second` or NULL
 * Everything is static: the same function compiled for two instruction sets must never be merged into one. */
#include "core/kernels/kernels.h"
#include "core/memory.h"

#include <string.h>

enum { CHUNK_BYTES = 256 << 10, COPY_WORDS = 8 };

/* The shape of the matrix for one group of a convolution. */
struct patches {
    size_t taps, word_channels;
    size_t inner, rows; /* of one half, of all halves */
    size_t pixels, blocks, chunk; /* chunk: blocks that are laid out and multiplied at a time where nothing is shared */
    size_t phase, padded_row;     /* words of one remainder's columns, of a row of all of them */
    size_t padded_height;
};

/* A run of neighbouring pixels: in the padded channel, before a position of the kernel is added, and in the chunk. */
struct run_of_pixels {
    uint32_t from, to, count;
};

static struct patches patches_of(const struct esp_conv *conv)
{
    const struct esp_window *w = &conv->window;
    struct patches p = {.taps = (size_t)w->kernel_h * w->kernel_w, .pixels = (size_t)conv->out.height * conv->out.width};
    size_t channels = conv->in.channels / conv->groups;
    size_t width = (size_t)(conv->out.width - 1) * w->stride_w + (size_t)(w->kernel_w - 1) * w->dilation_w + 1;

    p.word_channels = (channels + CHANNELS_PER_WORD - 1) / CHANNELS_PER_WORD;
    p.inner = (p.word_channels * p.taps + ROW_UNIT - 1) / ROW_UNIT * ROW_UNIT;
    p.rows = p.inner * HALVES(conv);
    p.blocks = (p.pixels + BLOCK - 1) / BLOCK;
    p.chunk = CHUNK_BYTES / (p.rows * BLOCK * sizeof(uint32_t));
    p.chunk = p.chunk < 1 ? 1 : p.chunk > p.blocks ? p.blocks : p.chunk;
    p.phase = (width + w->stride_w - 1) / w->stride_w;
    p.padded_row = p.phase * w->stride_w;
    p.padded_height = (size_t)(conv->out.height - 1) * w->stride_h + (size_t)(w->kernel_h - 1) * w->dilation_h + 1;
    return p;
}

static size_t blocks_words(const struct patches *p, size_t blocks)
{
    return p->rows * BLOCK * blocks;
}

/* The padded channel, with room for reading a vector too far, and the runs of the pixels of `blocks` blocks. */
static size_t laying_words(const struct patches *p, size_t blocks)
{
    size_t pixels = blocks * BLOCK;
    return p->padded_row * p->padded_height + 4 * COPY_WORDS + pixels * sizeof(struct run_of_pixels) / sizeof(uint32_t);
}

static inline void copy_words(uint32_t *to, const uint32_t *from, size_t count)
{
    for (; count >= COPY_WORDS; count -= COPY_WORDS, to += COPY_WORDS, from += COPY_WORDS)
        __builtin_memcpy(to, from, COPY_WORDS * sizeof *to);
    if (count & 4) {
        __builtin_memcpy(to, from, 4 * sizeof *to);
        to += 4, from += 4;
    }
    for (count &= 3; count > 0; count--)
        *to++ = *from++;
}

static inline void clear_words(uint32_t *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = 0;
}

/* One row of a channel, with zeros before and behind, its columns sorted by their remainder. */
static void pad_row(const struct esp_conv *conv, const struct patches *p, size_t half, const float *one,
                    const float *two, uint32_t *row)
{
    size_t stride = conv->window.stride_w, padding = conv->window.padding_w;

    for (size_t remainder = 0; remainder < stride; remainder++, row += p->phase) {
        size_t begin = remainder < padding ? (padding - remainder + stride - 1) / stride : 0;
        size_t x = remainder + begin * stride - padding; /* of the first column inside the picture */
        size_t count = x < conv->in.width ? (conv->in.width - x + stride - 1) / stride : 0;
        if (begin > p->phase)
            begin = p->phase;
        if (count > p->phase - begin)
            count = p->phase - begin;
        clear_words(row, begin);
        make_words(half, one + x, two ? two + x : NULL, stride, row + begin, count);
        clear_words(row + begin + count, p->phase - begin - count);
    }
}

/* Rows [first, last) of a channel with their padding. */
static void pad_channel(const struct esp_conv *conv, const struct patches *p, size_t half, const float *one,
                        const float *two, size_t first, size_t last, uint32_t *padded)
{
    for (size_t y = first; y < last; y++) {
        size_t inside = y - conv->window.padding_h, from = inside * conv->in.width; /* wraps above the picture */
        if (inside < conv->in.height)
            pad_row(conv, p, half, one + from, two ? two + from : NULL, padded + y * p->padded_row);
        else
            clear_words(padded + y * p->padded_row, p->padded_row);
    }
}

/* The runs of the pixels of blocks [first, first + blocks); a run ends with its row or its block. */
static size_t find_runs(const struct esp_conv *conv, const struct patches *p, size_t first, size_t blocks,
                        struct run_of_pixels *runs)
{
    size_t begin = first * BLOCK, end = begin + blocks * BLOCK, count = 0;

    if (end > p->pixels)
        end = p->pixels;
    for (size_t pixel = begin; pixel < end;) {
        size_t y = pixel / conv->out.width, x = pixel % conv->out.width, lane = (pixel - begin) % BLOCK;
        size_t length = conv->out.width - x < BLOCK - lane ? conv->out.width - x : BLOCK - lane;
        if (length > end - pixel)
            length = end - pixel;
        runs[count++] = (struct run_of_pixels){
            .from = (uint32_t)(y * conv->window.stride_h * p->padded_row + x),
            .to = (uint32_t)((pixel - begin) / BLOCK * p->rows * BLOCK + lane),
            .count = (uint32_t)length};
        pixel += length;
    }
    return count;
}

/* One position of the kernel, for all runs; `uniform` is the length of all of them where it is not 0. A constant wherever
 * this is inlined. */
static inline __attribute__((always_inline)) void lay_tap(const size_t uniform, const struct run_of_pixels *runs,
                                                          size_t count, const uint32_t *restrict from,
                                                          uint32_t *restrict to)
{
    for (size_t i = 0; i < count; i++)
        copy_words(to + runs[i].to, from + runs[i].from, uniform ? uniform : runs[i].count);
}

/* All positions of the kernel for one channel. */
static void lay_channel(const struct esp_conv *conv, const struct patches *p, const uint32_t *padded,
                        const struct run_of_pixels *runs, size_t count, uint32_t *out)
{
    const struct esp_window *w = &conv->window;
    /* All runs are as long as the first where rows are multiples or whole parts of blocks. */
    bool divides = BLOCK % conv->out.width == 0 || conv->out.width % BLOCK == 0;
    size_t uniform = divides && p->pixels % BLOCK == 0 ? runs[0].count : 0;

    for (size_t ky = 0; ky < w->kernel_h; ky++)
        for (size_t kx = 0; kx < w->kernel_w; kx++, out += BLOCK) {
            size_t column = kx * w->dilation_w;
            const uint32_t *from = padded + ky * w->dilation_h * p->padded_row + column % w->stride_w * p->phase +
                                   column / w->stride_w;
            switch (uniform) {
            case 8: lay_tap(8, runs, count, from, out); break;
            case 16: lay_tap(16, runs, count, from, out); break;
            case 32: lay_tap(32, runs, count, from, out); break;
            default: lay_tap(0, runs, count, from, out); break;
            }
        }
}

/* What no run writes: the lanes behind the last pixel, and the rows that fill up to ROW_UNIT. */
static void clear_rest(const struct patches *p, size_t first, size_t blocks, uint32_t *out)
{
    size_t used = p->word_channels * p->taps;

    if ((first + blocks) * BLOCK > p->pixels) {
        uint32_t *last = out + (p->blocks - 1 - first) * p->rows * BLOCK;
        memset(last, 0, p->rows * BLOCK * sizeof *last);
    }
    if (used < p->inner)
        for (size_t begin = used; begin < blocks * p->rows; begin += p->inner)
            memset(out + begin * BLOCK, 0, (p->inner - used) * BLOCK * sizeof *out);
}

/* One half of the rows of `count` runs of pixels, which need rows [top, bottom) of the padded channels. */
static void lay_half(const struct esp_conv *conv, const struct patches *p, size_t half, const float *in,
                     const struct run_of_pixels *runs, size_t count, size_t top, size_t bottom, uint32_t *padded,
                     uint32_t *out)
{
    size_t plane = (size_t)conv->in.height * conv->in.width, channels = conv->in.channels / conv->groups;

    out += half * p->inner * BLOCK;
    for (size_t c = 0; c < channels; c += CHANNELS_PER_WORD, out += p->taps * BLOCK) {
        const float *one = in + c * plane, *two = CHANNELS_PER_WORD == 2 && c + 1 < channels ? one + plane : NULL;
        pad_channel(conv, p, half, one, two, top, bottom, padded);
        lay_channel(conv, p, padded, runs, count, out);
    }
}

/* Lays out blocks [first, first + blocks) of one group; `in` is the group's first channel. */
static void lay_blocks(const struct esp_conv *conv, const struct patches *p, const float *in, size_t first, size_t blocks,
                       uint32_t *out, void *workspace)
{
    const struct esp_window *w = &conv->window;
    uint32_t *padded = workspace;
    struct run_of_pixels *runs = (void *)(padded + p->padded_row * p->padded_height + 4 * COPY_WORDS);
    size_t count = find_runs(conv, p, first, blocks, runs);
    size_t last_pixel = (first + blocks) * BLOCK < p->pixels ? (first + blocks) * BLOCK - 1 : p->pixels - 1;
    size_t top = first * BLOCK / conv->out.width * w->stride_h;
    size_t bottom = last_pixel / conv->out.width * w->stride_h + (size_t)(w->kernel_h - 1) * w->dilation_h + 1;

    clear_rest(p, first, blocks, out);
    for (size_t half = 0; half < HALVES(conv); half++)
        lay_half(conv, p, half, in, runs, count, top, bottom, padded, out);
}
