#include "tests/support/jpegs.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

static uint8_t pattern(uint32_t x, uint32_t y, int channel, uint32_t width, uint32_t height)
{
    double u = (x + 0.5) / width, v = (y + 0.5) / height;
    double value = 128 + 60 * sin(5 * u + channel) + 50 * cos(7 * v * (1 + u));

    return (uint8_t)(value + (u > 0.6 && v < 0.3 ? 15 : 0));
}

uint8_t *make_pattern(uint32_t width, uint32_t height, int channels)
{
    uint8_t *pixels = malloc((size_t)width * height * (size_t)channels), *next = pixels;

    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            for (int channel = 0; channel < channels; channel++)
                *next++ = pattern(x, y, channel, width, height);
    return pixels;
}

static const jpeg_scan_info SEPARATE[3] = {{1, {0}, 0, 63, 0, 0}, {1, {1}, 0, 63, 0, 0}, {1, {2}, 0, 63, 0, 0}};

static void set_kind(struct jpeg_compress_struct *writer, const struct jpeg_kind *kind)
{
    writer->input_components = kind->channels;
    writer->in_color_space = kind->channels == 1 ? JCS_GRAYSCALE : kind->channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(writer);
    if (kind->ycck)
        jpeg_set_colorspace(writer, JCS_YCCK);
    jpeg_set_quality(writer, kind->quality, TRUE);
    if (kind->quality == 100)
        writer->comp_info[0].h_samp_factor = writer->comp_info[0].v_samp_factor = 1;
    if (kind->ycck && kind->quality == 100)
        writer->comp_info[3].h_samp_factor = writer->comp_info[3].v_samp_factor = 1;
    if (kind->progressive)
        jpeg_simple_progression(writer);
    if (kind->separate_scans) {
        writer->scan_info = SEPARATE;
        writer->num_scans = 3;
    }
    jpeg_suppress_tables(writer, kind->no_tables);
}

struct jpeg write_jpeg(uint8_t *pixels, uint32_t width, uint32_t height, struct jpeg_kind kind)
{
    struct jpeg_compress_struct writer;
    struct jpeg_error_mgr errors;
    struct jpeg jpeg = {0};

    writer.err = jpeg_std_error(&errors);
    jpeg_create_compress(&writer);
    jpeg_mem_dest(&writer, &jpeg.bytes, &jpeg.size);
    writer.image_width = width;
    writer.image_height = height;
    set_kind(&writer, &kind);
    jpeg_start_compress(&writer, !kind.no_tables);
    while (writer.next_scanline < height) {
        JSAMPROW row = pixels + (size_t)writer.next_scanline * width * (size_t)kind.channels;
        jpeg_write_scanlines(&writer, &row, 1);
    }
    jpeg_finish_compress(&writer);
    jpeg_destroy_compress(&writer);
    return jpeg;
}

struct jpeg make_jpeg(uint32_t width, uint32_t height, struct jpeg_kind kind)
{
    uint8_t *pixels = make_pattern(width, height, kind.channels);
    struct jpeg jpeg = write_jpeg(pixels, width, height, kind);

    free(pixels);
    return jpeg;
}

struct jpeg with_segment(struct jpeg jpeg, unsigned marker, const uint8_t *body, size_t size)
{
    struct jpeg longer = {malloc(jpeg.size + size + 4), jpeg.size + size + 4};
    const uint8_t head[] = {0xff, 0xd8, 0xff, (uint8_t)marker, (uint8_t)((size + 2) >> 8), (uint8_t)(size + 2)};

    memcpy(longer.bytes, head, sizeof head);
    memcpy(longer.bytes + sizeof head, body, size);
    memcpy(longer.bytes + sizeof head + size, jpeg.bytes + 2, jpeg.size - 2);
    return longer;
}

static uint8_t *put(uint8_t *to, uint32_t value, int bytes, bool little)
{
    for (int i = 0; i < bytes; i++)
        to[little ? i : bytes - 1 - i] = (uint8_t)(value >> 8 * i);
    return to + bytes;
}

uint8_t *find_marker(struct jpeg jpeg, unsigned first, unsigned last)
{
    for (size_t i = 2; i + 9 < jpeg.size;) {
        if (jpeg.bytes[i + 1] >= first && jpeg.bytes[i + 1] <= last)
            return jpeg.bytes + i;
        i += 2 + ((size_t)jpeg.bytes[i + 2] << 8 | jpeg.bytes[i + 3]);
    }
    ck_abort_msg("no such marker");
    return NULL;
}

void state_size(struct jpeg jpeg, uint32_t width, uint32_t height)
{
    uint8_t *frame = find_marker(jpeg, 0xc0, 0xc2);

    put(frame + 5, height, 2, false);
    put(frame + 7, width, 2, false);
}

static uint8_t *put_entry(uint8_t *to, const struct exif *exif, unsigned tag, unsigned type, uint32_t count)
{
    to = put(to, tag, 2, exif->little);
    to = put(to, type, 2, exif->little);
    to = put(to, count, 4, exif->little);
    to = put(to, exif->value, type == 4 ? 4 : 2, exif->little);
    return type == 4 ? to : put(to, 0, 2, exif->little);
}

struct exif good_exif(unsigned orientation, bool little)
{
    return (struct exif){little, 8, 2, 0x0112, 3, 1, orientation, 0};
}

void write_exif(uint8_t to[EXIF_SIZE], struct exif exif)
{
    memcpy(to, "Exif\0\0", 6);
    memcpy(to + 6, exif.little ? "II*\0" : "MM\0*", 4);
    to = put(to + 10, exif.offset, 4, exif.little);
    to = put(to, exif.entries, 2, exif.little);
    to = put_entry(to, &exif, 0x0100, 4, 1);
    to = put_entry(to, &exif, exif.tag, exif.type, exif.count);
    put(to, exif.next, 4, exif.little);
}

struct jpeg with_exif(struct jpeg jpeg, struct exif exif)
{
    uint8_t body[EXIF_SIZE];

    write_exif(body, exif);
    return with_segment(jpeg, 0xe1, body, sizeof body);
}
