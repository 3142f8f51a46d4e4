/* The FP32 kernel sets of packed weights: what differs between instruction sets is the width of a vector and the number
 * of registers. The compiler turns the vector types into instructions.
 *
 * Included by the files of one instruction set each, which define VECTOR_WORDS, BLOCK, TILE_ROWS, CHANNELS_PER_WORD 1 and
 * ROW_UNIT 1 (see gemm.h). */
#include <stdint.h>
#include <string.h>

#define HALVES(conv) 1

static inline const uint32_t *row_words(size_t half, const float *first, const float *second, size_t count,
                                        uint32_t *room)
{
    (void)half, (void)second, (void)count, (void)room;
    return (const uint32_t *)first;
}

static inline uint32_t pack_word(float *carry, float first, float second)
{
    uint32_t word;
    (void)carry, (void)second;
    memcpy(&word, &first, sizeof word);
    return word;
}

#define broadcast_word(word) broadcast(*(const float *)(word))
#define multiply_add(sum, weight, patch) ((sum) + (weight) * (patch)) /* contracted to one rounding */

#include "core/kernels/packed/register_gemm.h"

#include "core/kernels/packed/gemm.h"
#include "core/kernels/packed/direct.h"
#include "core/kernels/packed/winograd.h"

#include "core/kernels/packed/convolution.h"
