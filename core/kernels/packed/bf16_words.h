/* BF16 pairs: how inputs and weights become the words of patches.h where CHANNELS_PER_WORD is 2. Needs AVX512_BF16. */
#include <immintrin.h>
#include <stdint.h>
#include <string.h>

/* Rounded to the nearest, ties to even; subnormal values become 0. */
static inline __m512i bf16_low(__m512 values)
{
    return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(values));
}

/* What rounding takes away from values. */
static inline __m512 bf16_rest(__m512 values)
{
    return _mm512_sub_ps(values, _mm512_castsi512_ps(_mm512_slli_epi32(bf16_low(values), 16)));
}

/* Half 0 are the values rounded to BF16, half 1 is what that took away. */
static inline __m512i half_of(size_t half, const float *from, __mmask16 lanes)
{
    __m512 values = _mm512_maskz_loadu_ps(lanes, from);
    return bf16_low(half ? bf16_rest(values) : values);
}

static inline const uint32_t *row_words(size_t half, const float *first, const float *second, size_t count,
                                        uint32_t *room)
{
    for (size_t i = 0; i < count; i += 16) {
        __mmask16 lanes = (__mmask16)(count - i >= 16 ? 0xffff : (1u << (count - i)) - 1);
        __m512i word = half_of(half, first + i, lanes);
        if (second)
            word = _mm512_or_si512(word, _mm512_slli_epi32(half_of(half, second + i, lanes), 16));
        _mm512_mask_storeu_epi32(room + i, lanes, word);
    }
    return room;
}

static inline uint32_t bf16_bits(float value)
{
    return (uint32_t)_mm_cvtsi128_si32((__m128i)_mm_cvtneps_pbh(_mm_set_ss(value))) & 0xffff;
}

static inline float bf16_value(uint32_t bits)
{
    uint32_t wide = bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

/* What rounding takes away from one weight is given to the next, so that the sum of a channel's weights stays what it
 * was: features behind a ReLU are all positive, and a sum that is off would shift them all. */
static inline uint32_t carry_round(float *carry, float weight)
{
    float wanted = weight + *carry;
    uint32_t bits = bf16_bits(wanted);
    *carry = wanted - bf16_value(bits);
    return bits;
}

static inline uint32_t pack_word(float *carry, float first, float second)
{
    uint32_t low = carry_round(carry, first);
    return low | carry_round(carry, second) << 16;
}

static inline uint32_t half_bits(size_t half, float weight)
{
    uint32_t high = bf16_bits(weight);
    return half ? bf16_bits(weight - bf16_value(high)) : high;
}

/* A word of one half of the weights of an exact convolution. */
static inline uint32_t pack_exact(size_t half, float first, float second)
{
    return half_bits(half, first) | half_bits(half, second) << 16;
}
