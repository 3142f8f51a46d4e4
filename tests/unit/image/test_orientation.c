/* The orientation in a JPEG's EXIF: pictures come out upright, and EXIF that makes no sense does no harm. */
#include "core/image/geometry.h"
#include "core/image/jpeg_header.h"
#include "tests/support/decoding.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

static float other[VALUES_MAX];

/* What lies at (x, y) of the upright picture, for a stored picture of w x h, straight from the EXIF standard's words on
 * where the stored first row and first column are. */
static const uint8_t *upright_pixel(const uint8_t *stored, unsigned orientation, uint32_t w, uint32_t h, uint32_t x,
                                    uint32_t y)
{
    uint32_t sx = x, sy = y;

    switch (orientation) {
    case 2: sx = w - 1 - x; break;                 /* row top, column right */
    case 3: sx = w - 1 - x, sy = h - 1 - y; break; /* bottom, right */
    case 4: sy = h - 1 - y; break;                 /* bottom, left */
    case 5: sx = y, sy = x; break;                 /* left, top */
    case 6: sx = y, sy = h - 1 - x; break;         /* right, top */
    case 7: sx = w - 1 - y, sy = h - 1 - x; break; /* right, bottom */
    case 8: sx = w - 1 - y, sy = x; break;         /* left, bottom */
    default: break;
    }
    return stored + ((size_t)sy * w + sx) * 3;
}

static uint8_t *turned(const uint8_t *stored, unsigned orientation, uint32_t w, uint32_t h)
{
    uint32_t width = orientation >= 5 ? h : w, height = orientation >= 5 ? w : h;
    uint8_t *pixels = malloc((size_t)w * h * 3);

    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            memcpy(pixels + ((size_t)y * width + x) * 3, upright_pixel(stored, orientation, w, h, x, y), 3);
    return pixels;
}

/* At quality 100 without chroma subsampling a turned JPEG decodes to the turned pixels but for rounding: within 3 of
 * 255 levels after resizing. */
static void check_orientation(uint32_t w, uint32_t h, unsigned orientation, struct esp_input_info input)
{
    uint8_t *stored = make_pattern(w, h, 3), *upright = turned(stored, orientation, w, h);
    struct jpeg plain = write_jpeg(stored, w, h, FINE);
    bool swapped = orientation >= 5;

    decode_well(write_jpeg(upright, swapped ? h : w, swapped ? w : h, FINE), input);
    memcpy(other, decoded.values, sizeof decoded.values);
    for (int little = 0; little < 2; little++) {
        memset(decoded.values, 0, sizeof decoded.values);
        decode_well(with_exif(plain, good_exif(orientation, little)), input);
        ck_assert_uint_eq(decoded.report.orientation, orientation);
        ck_assert_uint_eq(decoded.report.width, w);
        ck_assert_double_lt(
            largest_difference(decoded.values, other, 3 * (size_t)input.shape.height * input.shape.width), 3.0);
    }
    free(plain.bytes);
    free(stored);
    free(upright);
}

START_TEST(orientations)
{
    for (unsigned orientation = 1; orientation <= 8; orientation++) {
        check_orientation(96, 71, orientation, raw_input(32, 32));
        check_orientation(97, 70, orientation, raw_input(24, 40));
        check_orientation(61, 101, orientation, raw_input(48, 20));
        check_orientation(20, 9, orientation, raw_input(64, 64));
        check_orientation(640, 384, orientation, raw_input(32, 32));
    }
}
END_TEST

/* The crop is that of the upright picture, also where its offset is rounded and so is not the same from both ends. */
START_TEST(crop_is_mapped_back)
{
    const uint32_t w = 75, h = 50, width = 30, height = 21;

    for (unsigned orientation = 1; orientation <= 8; orientation++) {
        struct esp_fit fit, plain;
        esp_fit_picture(&fit, w, h, orientation, width, height);
        esp_fit_picture(&plain, orientation >= 5 ? h : w, orientation >= 5 ? w : h, 1, width, height);
        const struct esp_fit_axis *x = fit.swapped ? &fit.y : &fit.x, *y = fit.swapped ? &fit.x : &fit.y;
        bool back_x = fit.swapped ? fit.mirrored_y : fit.mirrored_x;
        bool back_y = fit.swapped ? fit.mirrored_x : fit.mirrored_y;
        ck_assert_uint_eq(x->resized, plain.x.resized);
        ck_assert_uint_eq(y->resized, plain.y.resized);
        ck_assert_uint_eq(back_x ? x->resized - x->offset - width : x->offset, plain.x.offset);
        ck_assert_uint_eq(back_y ? y->resized - y->offset - height : y->offset, plain.y.offset);
    }
}
END_TEST

static unsigned orientation_of(const uint8_t *body, size_t size)
{
    struct jpeg plain = make_jpeg(8, 8, USUAL), jpeg = with_segment(plain, 0xe1, body, size);
    struct esp_jpeg_header header;

    ck_assert_int_eq(esp_jpeg_header_read(&header, jpeg.bytes, jpeg.size, NULL), ESP_OK);
    free(plain.bytes);
    free(jpeg.bytes);
    return header.orientation;
}

static unsigned built_orientation(struct exif exif)
{
    uint8_t body[EXIF_SIZE];

    write_exif(body, exif);
    return orientation_of(body, sizeof body);
}

START_TEST(malformed_exif)
{
    for (int little = 0; little < 2; little++) {
        struct exif exif = good_exif(6, little);
        ck_assert_uint_eq(built_orientation(exif), 6);
        const uint32_t offsets[] = {0, 1, 7, 9, 30, 36, 37, 38, 39, 1000, 0x7fffffff, 0xfffffffe, 0xffffffff};
        for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
            struct exif odd = exif;
            odd.offset = offsets[i];
            ck_assert_uint_eq(built_orientation(odd), 1);
        }
        const uint32_t values[] = {0, 9, 255, 65535};
        for (size_t i = 0; i < 4; i++) {
            struct exif odd = exif;
            odd.value = values[i];
            ck_assert_uint_eq(built_orientation(odd), 1);
        }
        struct exif odd = exif;
        odd.type = 4; /* LONG */
        ck_assert_uint_eq(built_orientation(odd), 1);
        odd = exif, odd.count = 2;
        ck_assert_uint_eq(built_orientation(odd), 1);
        odd = exif, odd.count = 0xffffffff;
        ck_assert_uint_eq(built_orientation(odd), 1);
        odd = exif, odd.tag = 0x0113;
        ck_assert_uint_eq(built_orientation(odd), 1);
        odd = exif, odd.tag = 0x0113, odd.entries = 65535; /* and none of them is it */
        ck_assert_uint_eq(built_orientation(odd), 1);
        odd = exif, odd.entries = 1; /* the orientation lies behind the directory */
        ck_assert_uint_eq(built_orientation(odd), 1);
        odd = exif, odd.entries = 0;
        ck_assert_uint_eq(built_orientation(odd), 1);
        odd = exif, odd.entries = 65535; /* more than there are; the one that counts is there */
        ck_assert_uint_eq(built_orientation(odd), 6);
        odd = exif, odd.next = 8; /* the chain of directories comes back to the first */
        ck_assert_uint_eq(built_orientation(odd), 6);
        odd = exif, odd.next = 8, odd.tag = 0x0113;
        ck_assert_uint_eq(built_orientation(odd), 1);
    }
}
END_TEST

START_TEST(truncated_exif)
{
    uint8_t body[EXIF_SIZE];

    for (int little = 0; little < 2; little++) {
        write_exif(body, good_exif(8, little));
        for (size_t size = 0; size <= sizeof body; size++)
            ck_assert_uint_eq(orientation_of(body, size), size < EXIF_COMPLETE ? 1 : 8);
        body[6] = 'I', body[7] = 'M';
        ck_assert_uint_eq(orientation_of(body, sizeof body), 1);
        write_exif(body, good_exif(8, little));
        body[3] = 'g';
        ck_assert_uint_eq(orientation_of(body, sizeof body), 1);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("orientation");
    TCase *all = tcase_create("all");

    tcase_add_checked_fixture(all, start_decoder, stop_decoder);
    tcase_set_timeout(all, 120); /* sanitizers are slow */
    tcase_add_test(all, orientations);
    tcase_add_test(all, crop_is_mapped_back);
    tcase_add_test(all, malformed_exif);
    tcase_add_test(all, truncated_exif);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
