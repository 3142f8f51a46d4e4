/* How output channels are cut into tiles: as few as can be, as evenly filled as can be.
 *
 * Included by the files of one instruction set each, which define TILE_ROWS before: the most channels of a tile. */
#include <stddef.h>

static size_t tiles_of(size_t channels)
{
    return (channels + TILE_ROWS - 1) / TILE_ROWS;
}

/* The first output channel of a tile; tile_begin(channels, tiles) is their number. */
static size_t tile_begin(size_t channels, size_t tile)
{
    size_t tiles = tiles_of(channels), extra = channels % tiles;
    return tile * (channels / tiles) + (tile < extra ? tile : extra);
}
