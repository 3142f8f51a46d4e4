/* BF16 pairs: how inputs and weights become the words of patches.h where CHANNELS_PER_WORD is 2. Needs AVX512_BF16. */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

/* Rounded to the nearest, ties to even; subnormal values become 0. */
static inline __m512i bf16_low(__m512 values)
{
    return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(values));
}

static inline __m512 every(const float *from, size_t stride, __mmask16 lanes)
{
    const __m512i steps = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    if (stride == 1)
        return _mm512_maskz_loadu_ps(lanes, from);
    return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), lanes,
                                    _mm512_mullo_epi32(steps, _mm512_set1_epi32((int)stride)), from, 4);
}

static inline void make_words(const float *first, const float *second, size_t stride, uint32_t *words, size_t count)
{
    for (size_t i = 0; i < count; i += 16) {
        __mmask16 lanes = (__mmask16)(count - i >= 16 ? 0xffff : (1u << (count - i)) - 1);
        __m512i word = bf16_low(every(first + i * stride, stride, lanes));
        if (second)
            word = _mm512_or_si512(
                word, _mm512_slli_epi32(bf16_low(every(second + i * stride, stride, lanes)), 16));
        _mm512_mask_storeu_epi32(words + i, lanes, word);
    }
}

static inline uint32_t bf16_bits(float value)
{
    return (uint32_t)_mm_cvtsi128_si32((__m128i)_mm_cvtneps_pbh(_mm_set_ss(value))) & 0xffff;
}

/* What rounding takes away from one weight is given to the next, so that the sum of a channel's weights stays what it
 * was: features behind a ReLU are all positive, and a sum that is off would shift them all. */
static inline uint32_t carry_round(float *carry, float weight)
{
    float wanted = weight + *carry, rounded;
    uint32_t bits = bf16_bits(wanted), wide = bits << 16;
    memcpy(&rounded, &wide, sizeof rounded);
    *carry = wanted - rounded;
    return bits;
}

static inline uint32_t pack_word(float *carry, float first, float second)
{
    uint32_t low = carry_round(carry, first);
    return low | carry_round(carry, second) << 16;
}
