/* Pictures that the tests of the image pipeline make: JPEGs of a pattern, of the kinds that libjpeg writes, with
 * segments, sizes and EXIF as wrong as a test wants them. Sides are 1 to 65535 pixels. What comes back is the caller's
 * to free, pixels and a picture's bytes with free(); what goes in stays the caller's. What libjpeg cannot write ends
 * the test. */
#ifndef ESP_TESTS_JPEGS_H
#define ESP_TESTS_JPEGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jpeg {
    uint8_t *bytes;
    unsigned long size;
};

struct jpeg_kind {
    int channels; /* 1, 3, 4 */
    int quality;  /* at 100, colours are not subsampled */
    bool progressive, separate_scans, ycck, no_tables;
};

static const struct jpeg_kind FINE = {.channels = 3, .quality = 100};
static const struct jpeg_kind USUAL = {.channels = 3, .quality = 85};
static const struct jpeg_kind GREY = {.channels = 1, .quality = 85};
static const struct jpeg_kind YCCK = {.channels = 4, .quality = 85, .ycck = true};
static const struct jpeg_kind PROGRESSIVE = {.channels = 3, .quality = 85, .progressive = true};
static const struct jpeg_kind SEPARATE_SCANS = {.channels = 3, .quality = 85, .separate_scans = true};

/* [height][width][channels]: smooth, different in every direction and channel, and with an edge. */
uint8_t *make_pattern(uint32_t width, uint32_t height, int channels);

/* A JPEG of pixels in that order, and one of the pattern. */
struct jpeg write_jpeg(uint8_t *pixels, uint32_t width, uint32_t height, struct jpeg_kind kind);
struct jpeg make_jpeg(uint32_t width, uint32_t height, struct jpeg_kind kind);

/* A copy with a segment right after the start marker; its body is at most 65533 bytes. */
struct jpeg with_segment(struct jpeg jpeg, unsigned marker, const uint8_t *body, size_t size);

/* The first segment whose marker is one of these, within the picture's bytes; fails the test where there is none. */
uint8_t *find_marker(struct jpeg jpeg, unsigned first, unsigned last);

/* Makes the header state another size, 0 to 65535 a side. */
void state_size(struct jpeg jpeg, uint32_t width, uint32_t height);

/* A directory of two entries; the second is the orientation, and ends at EXIF_COMPLETE. */
struct exif {
    bool little;     /* byte order */
    uint32_t offset; /* of the directory */
    unsigned entries, tag, type;
    uint32_t count, value;
    uint32_t next; /* directory */
};

enum { EXIF_SIZE = 6 + 8 + 2 + 2 * 12 + 4, EXIF_COMPLETE = 6 + 8 + 2 + 2 * 12 };

struct exif good_exif(unsigned orientation, bool little);

/* The body of the segment. */
void write_exif(uint8_t to[EXIF_SIZE], struct exif exif);

/* A copy with the EXIF segment. */
struct jpeg with_exif(struct jpeg jpeg, struct exif exif);

#endif
