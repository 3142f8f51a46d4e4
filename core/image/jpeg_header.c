#include "core/image/jpeg_header.h"

#include <string.h>

enum {
    MARKER_TEM = 0x01,
    MARKER_SOF0 = 0xc0,
    MARKER_DHT = 0xc4,
    MARKER_JPG = 0xc8,
    MARKER_DAC = 0xcc,
    MARKER_SOF15 = 0xcf,
    MARKER_RST0 = 0xd0,
    MARKER_RST7 = 0xd7,
    MARKER_SOI = 0xd8,
    MARKER_EOI = 0xd9,
    MARKER_SOS = 0xda,
    MARKER_APP1 = 0xe1,
    MARKER_JPEG_LS = 0xf7,
};

enum {
    TIFF_HEADER = 8,
    TIFF_ENTRY = 12,
    TIFF_ORIENTATION = 0x0112,
    TIFF_SHORT = 3,
};

/* A range of bytes that is read from its front; borrowed. */
struct span {
    const uint8_t *bytes;
    size_t size;
};

struct segment {
    unsigned marker;
    struct span body; /* without marker and length */
};

static unsigned big16(const uint8_t *bytes)
{
    return (unsigned)bytes[0] << 8 | bytes[1];
}

static bool skip(struct span *span, size_t count)
{
    if (count > span->size)
        return false;
    span->bytes += count;
    span->size -= count;
    return true;
}

static enum esp_status broken(struct esp_error *err, const char *what)
{
    return esp_fail(err, ESP_ERROR_UNDECODABLE, "the JPEG is broken or cut off: %s", what);
}

/* --- EXIF: a TIFF file inside APP1. Nothing in it can fail the picture: what makes no sense is not there. --- */

static uint32_t tiff16(const uint8_t *bytes, bool little)
{
    return little ? (uint32_t)(bytes[1] << 8 | bytes[0]) : big16(bytes);
}

static uint32_t tiff32(const uint8_t *bytes, bool little)
{
    uint32_t first = tiff16(bytes, little), second = tiff16(bytes + 2, little);
    return little ? second << 16 | first : first << 16 | second;
}

static unsigned entry_orientation(const uint8_t *entry, bool little)
{
    uint32_t value = tiff16(entry + 8, little);

    if (tiff16(entry + 2, little) != TIFF_SHORT || tiff32(entry + 4, little) != 1 || value < 1 || value > 8)
        return 1;
    return value;
}

/* Only the first directory counts: the next one describes the thumbnail. So no chain is followed, and none can be
 * endless. */
static unsigned tiff_orientation(struct span tiff)
{
    if (tiff.size < TIFF_HEADER)
        return 1;
    bool little = memcmp(tiff.bytes, "II*\0", 4) == 0;
    if (!little && memcmp(tiff.bytes, "MM\0*", 4) != 0)
        return 1;
    struct span directory = tiff;
    if (!skip(&directory, tiff32(tiff.bytes + 4, little)) || directory.size < 2)
        return 1;
    uint32_t entries = tiff16(directory.bytes, little);
    skip(&directory, 2);
    for (; entries > 0 && directory.size >= TIFF_ENTRY; entries--, skip(&directory, TIFF_ENTRY))
        if (tiff16(directory.bytes, little) == TIFF_ORIENTATION)
            return entry_orientation(directory.bytes, little);
    return 1;
}

/* Whether an APP1 segment holds EXIF (others hold XMP); `tiff` is then what follows the name. */
static bool is_exif(struct span body, struct span *tiff)
{
    *tiff = body;
    return body.size >= 6 && memcmp(body.bytes, "Exif\0\0", 6) == 0 && skip(tiff, 6);
}

/* --- Frame and scan --- */

static bool is_frame(unsigned marker)
{
    return (marker >= MARKER_SOF0 && marker <= MARKER_SOF15 && marker != MARKER_DHT && marker != MARKER_JPG &&
            marker != MARKER_DAC) ||
           marker == MARKER_JPEG_LS;
}

/* What a frame's marker says it is. NULL for the kinds that can be decoded: baseline, extended and progressive, with
 * Huffman (0, 1, 2) or arithmetic coding (9, 10). */
static const char *unsupported_kind(unsigned marker)
{
    switch (marker) {
    case 0xc0:
    case 0xc1:
    case 0xc2:
    case 0xc9:
    case 0xca: return NULL;
    case 0xc3:
    case 0xcb: return "lossless JPEG";
    case MARKER_JPEG_LS: return "JPEG-LS";
    default: return "hierarchical JPEG";
    }
}

static enum esp_status check_frame(const struct esp_jpeg_header *header, unsigned bits, struct esp_error *err)
{
    if (bits != 8)
        return esp_fail(err, ESP_ERROR_UNDECODABLE, "the JPEG has %u bits for each sample; only 8 are supported", bits);
    if (header->width == 0 || header->height == 0)
        return broken(err, "its header states a width or height of 0");
    if (header->components != 1 && header->components != 3 && header->components != 4)
        return esp_fail(err, ESP_ERROR_UNDECODABLE,
                        "the JPEG has %u colour components; 1 (grey), 3 (colour) and 4 (CMYK) are supported",
                        header->components);
    return ESP_OK;
}

static enum esp_status read_frame(struct esp_jpeg_header *header, const struct segment *segment, struct esp_error *err)
{
    const uint8_t *body = segment->body.bytes;
    const char *kind = unsupported_kind(segment->marker);

    if (kind)
        return esp_fail(err, ESP_ERROR_UNDECODABLE, "the picture is %s, which is not supported", kind);
    if (header->components > 0)
        return broken(err, "it has two frame headers");
    if (segment->body.size < 6 || segment->body.size != 6 + 3 * (size_t)body[5])
        return broken(err, "its frame header has an impossible length");
    header->height = big16(body + 1);
    header->width = big16(body + 3);
    header->components = body[5];
    header->progressive = segment->marker == 0xc2 || segment->marker == 0xca;
    return check_frame(header, body[0], err);
}

static enum esp_status read_scan(struct esp_jpeg_header *header, struct span body, struct esp_error *err)
{
    if (header->components == 0)
        return broken(err, "a scan begins before the frame header");
    if (body.size < 1 || body.bytes[0] < 1 || body.bytes[0] > header->components)
        return broken(err, "its first scan has an impossible number of components");
    header->multi_scan = body.bytes[0] < header->components;
    return ESP_OK;
}

/* --- The walk over the segments --- */

/* Bytes that are no marker where one has to be are not skipped: the decoder library calls such a file corrupt, too, and
 * here it could be used to show the library other markers than this walk sees. */
static bool next_marker(struct span *rest, unsigned *marker)
{
    if (rest->size == 0 || rest->bytes[0] != 0xff)
        return false;
    while (rest->size > 0 && rest->bytes[0] == 0xff) /* any number of fill bytes */
        skip(rest, 1);
    if (rest->size == 0 || rest->bytes[0] == 0)
        return false;
    *marker = rest->bytes[0];
    return skip(rest, 1);
}

static bool stands_alone(unsigned marker)
{
    return marker == MARKER_TEM || (marker >= MARKER_RST0 && marker <= MARKER_RST7);
}

static bool next_segment(struct span *rest, struct segment *segment)
{
    do {
        if (!next_marker(rest, &segment->marker))
            return false;
    } while (stands_alone(segment->marker));
    if (segment->marker == MARKER_SOI || segment->marker == MARKER_EOI || rest->size < 2)
        return false;
    size_t length = big16(rest->bytes);
    segment->body = *rest;
    if (length < 2 || !skip(rest, length))
        return false;
    segment->body.size = length;
    return skip(&segment->body, 2);
}

enum esp_status esp_jpeg_header_read(struct esp_jpeg_header *header, const uint8_t *bytes, size_t size,
                                     struct esp_error *err)
{
    struct span rest = {bytes, size}, tiff;
    struct segment segment = {0};
    bool exif = false; /* the first one counts */

    *header = (struct esp_jpeg_header){.orientation = 1};
    if (size < 2 || big16(bytes) != (0xff00u | MARKER_SOI) || !skip(&rest, 2))
        return broken(err, "it does not begin with a start marker");
    while (next_segment(&rest, &segment)) {
        if (segment.marker == MARKER_SOS)
            return read_scan(header, segment.body, err);
        if (is_frame(segment.marker) && read_frame(header, &segment, err) != ESP_OK)
            return ESP_ERROR_UNDECODABLE;
        if (segment.marker == MARKER_APP1 && !exif && (exif = is_exif(segment.body, &tiff)))
            header->orientation = tiff_orientation(tiff);
    }
    return broken(err, "its headers end, or make no sense, before the first scan");
}
