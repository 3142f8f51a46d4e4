/* The patches of a convolution, laid out as the right-hand matrix of a GEMM: an implicit im2col.
 *
 * A word is 32 bits: one FP32 value, or two BF16 values of neighbouring channels. The matrix has a row for each word of
 * a patch, rows = words of channels x KH x KW in that order (padded with zero rows to a multiple of ROW_UNIT), and a
 * column for each output pixel. Where a convolution has to be more exact than BF16 is, the rows are there twice: those of
 * the values rounded to BF16, then those of what rounding took away (HALVES 2). The matrix is cut into blocks of pixels, [blocks][rows][block], so that a kernel reads one
 * block from front to back. The last block is filled up with zeros.
 *
 * Each channel is first copied with its padding, its columns sorted by their remainder under division by the stride, so that
 * the outputs of one row, for one position of the kernel, are neighbours: what follows are copies.
 *
 * Included by the files of one instruction set each, which define before:
 *   CHANNELS_PER_WORD  1 for FP32, 2 for BF16
 *   ROW_UNIT           rows are a multiple of it
 *   HALVES(conv)       1 or 2
 *   row_words(half, first, second, count, room)
 *                      the words of a row of `count` FP32 values and of the next channel's (`second` or NULL), made in
 *                      `room` or found where they are
 * Everything is static: the same function compiled for two instruction sets must never be merged into one. */
#include "core/kernels/kernels.h"
#include "core/memory.h"

#include <string.h>

enum { CHUNK_BYTES = 256 << 10, COPY_WORDS = 8 };

/* The shape of the matrix for one group of a convolution. */
struct patches {
    size_t taps, word_channels;
    size_t inner, rows; /* of one half, of all halves */
    size_t block;                 /* pixels */
    size_t pixels, blocks, chunk; /* chunk: blocks that are laid out and multiplied at a time where nothing is shared */
    size_t phase, padded_row;     /* words of one remainder's columns, of a row of all of them */
    size_t padded_height;
    bool uniform; /* all runs of pixels are equally long */
};

/* A run of neighbouring pixels: in the padded channel, before a position of the kernel is added, and in the chunk. */
struct run_of_pixels {
    uint32_t from, to, count;
};

/* How many blocks of `words` are taken at a time. */
static size_t chunk_of(size_t words, size_t blocks)
{
    size_t chunk = CHUNK_BYTES / (words * sizeof(uint32_t));
    return chunk < 1 ? 1 : chunk > blocks ? blocks : chunk;
}

static struct patches patches_of(const struct esp_conv *conv, size_t block)
{
    const struct esp_window *w = &conv->window;
    struct patches p = {.block = block,
                        .taps = (size_t)w->kernel_h * w->kernel_w,
                        .pixels = (size_t)conv->out.height * conv->out.width};
    size_t channels = conv->in.channels / conv->groups;
    size_t width = (size_t)(conv->out.width - 1) * w->stride_w + (size_t)(w->kernel_w - 1) * w->dilation_w + 1;

    p.word_channels = (channels + CHANNELS_PER_WORD - 1) / CHANNELS_PER_WORD;
    p.inner = (p.word_channels * p.taps + ROW_UNIT - 1) / ROW_UNIT * ROW_UNIT;
    p.rows = p.inner * HALVES(conv);
    p.blocks = (p.pixels + block - 1) / block;
    p.chunk = chunk_of(p.rows * block, p.blocks);
    /* Rows are whole parts of a block, or made of whole blocks. */
    p.uniform = p.pixels % block == 0 && (block % conv->out.width == 0 || conv->out.width % block == 0);
    p.phase = (width + w->stride_w - 1) / w->stride_w;
    p.padded_row = p.phase * w->stride_w;
    p.padded_height = (size_t)(conv->out.height - 1) * w->stride_h + (size_t)(w->kernel_h - 1) * w->dilation_h + 1;
    return p;
}

static size_t blocks_words(const struct patches *p, size_t blocks)
{
    return p->rows * p->block * blocks;
}

/* The padded channel with room for a row behind it. */
static size_t padded_words(const struct esp_conv *conv, const struct patches *p)
{
    return p->padded_row * p->padded_height + conv->in.width + p->padded_row + COPY_WORDS;
}

/* What laying out takes: the padded channel, and the runs of the pixels of `blocks` blocks. */
static size_t laying_words(const struct esp_conv *conv, const struct patches *p, size_t blocks)
{
    return padded_words(conv, p) + blocks * p->block * sizeof(struct run_of_pixels) / sizeof(uint32_t);
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

/* Words of one remainder's columns: every stride-th word from the first that falls on it. */
static void pick_columns(const uint32_t *words, size_t count, size_t stride, uint32_t *out)
{
    for (size_t i = 0; i < count; i++)
        out[i] = words[i * stride];
}

/* Words 0, 2, 4... and words 1, 3, 5... */
static inline void part_columns(const uint32_t *words, size_t count, uint32_t *even, uint32_t *odd)
{
    typedef uint32_t four __attribute__((vector_size(16), aligned(4), may_alias));
    size_t i = 0;

    for (; i + 8 <= count; i += 8) {
        four low = *(const four *)(words + i), high = *(const four *)(words + i + 4);
        *(four *)(even + i / 2) = __builtin_shuffle(low, high, (four){0, 2, 4, 6});
        *(four *)(odd + i / 2) = __builtin_shuffle(low, high, (four){1, 3, 5, 7});
    }
    for (; i + 1 < count; i += 2) {
        even[i / 2] = words[i];
        odd[i / 2] = words[i + 1];
    }
    if (i < count)
        even[i / 2] = words[i];
}

/* One row of a channel of which `count` words are needed, its columns sorted by their remainder. What lies around it in
 * `row` is zero and stays so. */
static void pad_row(const struct esp_conv *conv, const struct patches *p, const uint32_t *words, uint32_t *row)
{
    size_t stride = conv->window.stride_w, padding = conv->window.padding_w;
    size_t room = p->padded_row > padding ? p->padded_row - padding : 0;
    size_t count = conv->in.width < room ? conv->in.width : room;

    if (stride == 1) {
        copy_words(row + padding, words, count);
    } else if (stride == 2) {
        uint32_t *first = row + padding % 2 * p->phase + padding / 2;
        part_columns(words, count, first, padding % 2 ? row + padding / 2 + 1 : first + p->phase);
    } else {
        for (size_t x = 0; x < stride && x < count; x++)
            pick_columns(words + x, (count - x + stride - 1) / stride, stride,
                         row + (x + padding) % stride * p->phase + (x + padding) / stride);
    }
}

/* Rows [first, last) of a channel with their padding, into `padded`, where all but the picture is zero already. */
static void pad_channel(const struct esp_conv *conv, const struct patches *p, size_t half, const float *one,
                        const float *two, size_t first, size_t last, uint32_t *padded)
{
    uint32_t *room = padded + p->padded_row * p->padded_height;

    for (size_t y = first; y < last; y++) {
        size_t inside = y - conv->window.padding_h, from = inside * conv->in.width; /* wraps above the picture */
        if (inside < conv->in.height)
            pad_row(conv, p, row_words(half, one + from, two ? two + from : NULL, conv->in.width, room),
                    padded + y * p->padded_row);
    }
}

/* The runs of the pixels of blocks [first, first + blocks); a run ends with its row or its block. */
static size_t find_runs(const struct esp_conv *conv, const struct patches *p, size_t first, size_t blocks,
                        struct run_of_pixels *runs)
{
    size_t begin = first * p->block, end = begin + blocks * p->block, count = 0;

    if (end > p->pixels)
        end = p->pixels;
    for (size_t pixel = begin; pixel < end;) {
        size_t y = pixel / conv->out.width, x = pixel % conv->out.width, lane = (pixel - begin) % p->block;
        size_t length = conv->out.width - x < p->block - lane ? conv->out.width - x : p->block - lane;
        if (length > end - pixel)
            length = end - pixel;
        runs[count++] = (struct run_of_pixels){
            .from = (uint32_t)(y * conv->window.stride_h * p->padded_row + x),
            .to = (uint32_t)((pixel - begin) / p->block * p->rows * p->block + lane),
            .count = (uint32_t)length};
        pixel += length;
    }
    return count;
}

/* Where a column of the padded channel lies in its row. */
static inline size_t column_at(const struct esp_window *w, const struct patches *p, size_t column)
{
    if (w->stride_w == 1)
        return column;
    if (w->stride_w == 2) /* no division where it matters */
        return (column & 1) * p->phase + column / 2;
    return column % w->stride_w * p->phase + column / w->stride_w;
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
    size_t uniform = p->uniform ? runs[0].count : 0;

    for (size_t ky = 0; ky < w->kernel_h; ky++)
        for (size_t kx = 0; kx < w->kernel_w; kx++, out += p->block) {
            const uint32_t *from = padded + ky * w->dilation_h * p->padded_row + column_at(w, p, kx * w->dilation_w);
            switch (uniform) {
            case 4: lay_tap(4, runs, count, from, out); break;
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

    if ((first + blocks) * p->block > p->pixels) {
        uint32_t *last = out + (p->blocks - 1 - first) * p->rows * p->block;
        memset(last, 0, p->rows * p->block * sizeof *last);
    }
    if (used < p->inner)
        for (size_t begin = used; begin < blocks * p->rows; begin += p->inner)
            memset(out + begin * p->block, 0, (p->inner - used) * p->block * sizeof *out);
}

/* One half of the rows of `count` runs of pixels, which need rows [top, bottom) of the padded channels. */
static void lay_half(const struct esp_conv *conv, const struct patches *p, size_t half, const float *in,
                     const struct run_of_pixels *runs, size_t count, size_t top, size_t bottom, uint32_t *padded,
                     uint32_t *out)
{
    size_t plane = (size_t)conv->in.height * conv->in.width, channels = conv->in.channels / conv->groups;

    out += half * p->inner * p->block;
    for (size_t c = 0; c < channels; c += CHANNELS_PER_WORD, out += p->taps * p->block) {
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
    struct run_of_pixels *runs = (void *)(padded + padded_words(conv, p));
    size_t count = find_runs(conv, p, first, blocks, runs);
    size_t last_pixel = (first + blocks) * p->block < p->pixels ? (first + blocks) * p->block - 1 : p->pixels - 1;
    size_t top = first * p->block / conv->out.width * w->stride_h;
    size_t bottom = last_pixel / conv->out.width * w->stride_h + (size_t)(w->kernel_h - 1) * w->dilation_h + 1;

    clear_rest(p, first, blocks, out);
    memset(padded, 0, padded_words(conv, p) * sizeof *padded);
    for (size_t half = 0; half < HALVES(conv); half++)
        lay_half(conv, p, half, in, runs, count, top, bottom, padded, out);
}
