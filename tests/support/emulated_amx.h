/* AMX tiles in plain C, in the place of core/kernels/packed/amx_instructions.h: for machines without them. Rows and
 * bytes of a row are those of the configuration, as the CPU takes them, and a mistake in them is fatal. */
#ifndef ESP_CORE_AMX_INSTRUCTIONS_H
#define ESP_CORE_AMX_INSTRUCTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

static struct tile_config emulated_config;
static uint32_t emulated_tiles[8][16][16];

static inline void tile_configure(const struct tile_config *config)
{
    for (int tile = 0; tile < 8; tile++)
        if (config->palette != 1 || config->rows[tile] > 16 || config->row_bytes[tile] > 64)
            abort();
    emulated_config = *config;
    memset(emulated_tiles, 0, sizeof emulated_tiles);
}

static inline void tile_release(void)
{
    memset(&emulated_config, 0, sizeof emulated_config);
}

static inline void tile_zero(int tile)
{
    memset(emulated_tiles[tile], 0, sizeof emulated_tiles[tile]);
}

static inline void tile_load(int tile, const void *from, ptrdiff_t step)
{
    tile_zero(tile);
    if (emulated_config.palette != 1)
        abort();
    for (int row = 0; row < emulated_config.rows[tile]; row++)
        memcpy(emulated_tiles[tile][row], (const char *)from + row * step, emulated_config.row_bytes[tile]);
}

static inline void tile_store(int tile, void *to, ptrdiff_t step)
{
    for (int row = 0; row < emulated_config.rows[tile]; row++)
        memcpy((char *)to + row * step, emulated_tiles[tile][row], emulated_config.row_bytes[tile]);
}

static inline float emulated_half(uint32_t word, int half)
{
    uint32_t bits = half ? word & 0xffff0000 : word << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* TDPBF16PS: sum[m][n] += a[m][k] * b[k][n] for pairs of BF16. The shapes have to fit each other. */
static inline void tile_multiply(int sum, int a, int b)
{
    int rows = emulated_config.rows[sum], inner = emulated_config.row_bytes[a] / 4;

    if (emulated_config.rows[a] != rows || emulated_config.rows[b] != inner)
        abort();
    for (int m = 0; m < rows; m++) {
        float values[16];
        memcpy(values, emulated_tiles[sum][m], sizeof values);
        for (int k = 0; k < inner; k++)
            for (int half = 0; half < 2; half++) {
                float factor = emulated_half(emulated_tiles[a][m][k], half);
                for (int n = 0; n < 16; n++)
                    values[n] += factor * emulated_half(emulated_tiles[b][k][n], half);
            }
        memcpy(emulated_tiles[sum][m], values, sizeof values);
    }
}

static inline bool tiles_permitted(void)
{
    return true;
}

#endif
