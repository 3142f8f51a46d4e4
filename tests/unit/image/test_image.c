/* The image pipeline: what is refused and how, what comes out of good pictures, and that broken ones do no harm. */
#include "core/image/jpeg_header.h"
#include "core/image/resample.h"
#include "core/memory.h"
#include "espalier/image.h"
#include "tests/support/jpegs.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <turbojpeg.h>

enum { SIDE_MAX = 128, VALUES_MAX = 3 * SIDE_MAX * SIDE_MAX };

static esp_decoder *decoder;
static float out[VALUES_MAX], other[VALUES_MAX];
static struct esp_image_report report;
static struct esp_error error;

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

/* ---- decoding ---- */

static struct esp_input_info input_of(uint32_t height, uint32_t width)
{
    return (struct esp_input_info){{3, height, width}, {0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}};
}

/* Values 0 to 255. */
static struct esp_input_info raw_input(uint32_t height, uint32_t width)
{
    return (struct esp_input_info){{3, height, width}, {0, 0, 0}, {1 / 255.0f, 1 / 255.0f, 1 / 255.0f}};
}

static enum esp_status decode(const uint8_t *bytes, size_t size, struct esp_input_info input)
{
    error = (struct esp_error){0};
    return esp_decoder_decode(decoder, bytes, size, &input, out, &report, &error);
}

/* Also frees it. */
static void decode_well(struct jpeg jpeg, struct esp_input_info input)
{
    enum esp_status status = decode(jpeg.bytes, jpeg.size, input);

    ck_assert_msg(status == ESP_OK, "%s", error.text);
    free(jpeg.bytes);
}

static void assert_fails(struct jpeg jpeg, enum esp_status status, const char *text)
{
    ck_assert_int_eq(decode(jpeg.bytes, jpeg.size, input_of(64, 64)), status);
    ck_assert_int_eq(error.status, status);
    ck_assert_msg(strstr(error.text, text) != NULL, "'%s' lacks '%s'", error.text, text);
    ck_assert(strchr(error.text, '\n') == NULL);
}

static double largest_difference(const float *a, const float *b, size_t values)
{
    double largest = 0;

    for (size_t i = 0; i < values; i++)
        largest = fmax(largest, fabs((double)a[i] - (double)b[i]));
    return largest;
}

/* One assertion for all of them: the framework writes down each. */
static void assert_pixels(size_t values)
{
    bool good = true;

    for (size_t i = 0; i < values; i++)
        good = good && out[i] >= -1e-3f && out[i] <= 255.001f;
    ck_assert(good);
}

static void setup(void)
{
    ck_assert_int_eq(esp_decoder_create(&decoder, NULL, NULL), ESP_OK);
}

static void teardown(void)
{
    esp_decoder_destroy(&decoder);
    ck_assert_ptr_null(decoder);
    esp_decoder_destroy(&decoder);
}

/* ---- sizes and kinds ---- */

static void check_size(uint32_t width, uint32_t height, uint32_t decoded_width, uint32_t decoded_height)
{
    decode_well(make_jpeg(width, height, USUAL), raw_input(64, 64));
    ck_assert_uint_eq(report.width, width);
    ck_assert_uint_eq(report.height, height);
    ck_assert_uint_eq(report.decoded_width, decoded_width);
    ck_assert_uint_eq(report.decoded_height, decoded_height);
    ck_assert_uint_eq(report.orientation, 1);
    ck_assert(report.decode_seconds > 0 && report.preprocess_seconds > 0);
    assert_pixels(3 * 64 * 64);
}

START_TEST(sizes)
{
    check_size(1, 1, 1, 1);
    check_size(1, 500, 1, 500);
    check_size(500, 1, 500, 1);
    check_size(64, 64, 64, 64);
    check_size(65, 64, 65, 64);
    check_size(128, 128, 128, 128);
    check_size(640, 480, 320, 240);
    check_size(1001, 1030, 251, 258);
    check_size(1500, 1024, 188, 128);
    check_size(1500, 1016, 375, 254); /* an eighth would be 127 high: just too small */
    check_size(4000, 3000, 500, 375);
    check_size(3000, 4001, 375, 501);
}
END_TEST

/* A scaled decode sees the same picture as the full one: the crop lies at the same place. */
START_TEST(scaled_decode_is_in_place)
{
    const uint32_t pictures[][2] = {{640, 480}, {4000, 3000}, {1001, 1003}, {515, 2049}};

    for (size_t i = 0; i < 4; i++) {
        uint32_t width = pictures[i][0], height = pictures[i][1];
        uint8_t *pixels = make_pattern(width, height, 3);
        struct esp_pixels whole = {pixels, width, height, width, height};
        struct esp_planes planes = {other, 1, 64, 64 * 64};
        struct esp_resampler resampler = {0};
        struct esp_fit fit;
        decode_well(write_jpeg(pixels, width, height, FINE), raw_input(64, 64));
        esp_fit_picture(&fit, width, height, 1, 64, 64);
        ck_assert(esp_resample(&resampler, &whole, &fit, &planes));
        ck_assert_double_lt(largest_difference(out, other, 3 * 64 * 64), 4.0);
        esp_resampler_trim(&resampler, 0);
        free(pixels);
    }
}
END_TEST

START_TEST(input_size_passes_unchanged)
{
    struct jpeg jpeg = make_jpeg(64, 64, USUAL);
    struct esp_input_info input = input_of(64, 64);
    uint8_t pixels[64 * 64 * 3];
    tjhandle library = tjInitDecompress();

    ck_assert_int_eq(tjDecompress2(library, jpeg.bytes, jpeg.size, pixels, 64, 0, 64, TJPF_RGB, TJFLAG_ACCURATEDCT), 0);
    tjDestroy(library);
    decode_well(jpeg, input);
    for (size_t i = 0; i < 64 * 64 * 3; i++) {
        size_t channel = i % 3;
        other[channel * 64 * 64 + i / 3] = ((float)pixels[i] / 255.0f - input.mean[channel]) / input.std[channel];
    }
    ck_assert_mem_eq(out, other, sizeof(float) * 3 * 64 * 64);
    for (size_t i = 0; i < 64 * 64 * 3; i++)
        other[i] = 99;
    esp_image_from_pixels(pixels, &input, other);
    ck_assert_mem_eq(out, other, sizeof(float) * 3 * 64 * 64); /* without the JPEG the same bits */
}
END_TEST

START_TEST(grey)
{
    decode_well(make_jpeg(90, 70, (struct jpeg_kind){.channels = 1, .quality = 90}), raw_input(64, 64));
    ck_assert_mem_eq(out, out + 64 * 64, 64 * 64 * sizeof *out);
    ck_assert_mem_eq(out, out + 2 * 64 * 64, 64 * 64 * sizeof *out);
    ck_assert(out[0] > 50 && out[0] != out[63]);
}
END_TEST

/* The same coefficients in another order. */
START_TEST(progressive_and_separate_scans)
{
    const struct jpeg_kind kinds[] = {PROGRESSIVE, SEPARATE_SCANS};

    decode_well(make_jpeg(200, 150, USUAL), raw_input(64, 64));
    memcpy(other, out, sizeof out);
    for (size_t i = 0; i < 2; i++) {
        struct jpeg jpeg = make_jpeg(200, 150, kinds[i]);
        struct esp_jpeg_header header;
        ck_assert_int_eq(esp_jpeg_header_read(&header, jpeg.bytes, jpeg.size, NULL), ESP_OK);
        ck_assert_int_eq(header.progressive, kinds[i].progressive);
        ck_assert_int_eq(header.multi_scan, kinds[i].separate_scans);
        decode_well(jpeg, raw_input(64, 64));
        ck_assert_mem_eq(out, other, 3 * 64 * 64 * sizeof *out);
    }
}
END_TEST

static void check_cmyk(const uint8_t *stored, bool ycck, const int *wanted)
{
    uint8_t pixels[64 * 64 * 4];

    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = stored[i % 4];
    decode_well(write_jpeg(pixels, 64, 64, (struct jpeg_kind){.channels = 4, .quality = 100, .ycck = ycck}),
                raw_input(64, 64));
    for (size_t i = 0; i < 3 * 64 * 64; i++)
        other[i] = (float)wanted[i / (64 * 64)];
    ck_assert_double_le(largest_difference(out, other, 3 * 64 * 64), ycck ? 2.001 : 1.001);
}

/* libjpeg writes the Adobe marker for both. Stored values count light: 255 is no ink. */
START_TEST(cmyk)
{
    const uint8_t bright[] = {200, 100, 50, 255}, dark[] = {200, 100, 50, 128}, black[] = {200, 100, 50, 0};

    for (int ycck = 0; ycck < 2; ycck++) {
        check_cmyk(bright, ycck, (const int[]){200, 100, 50});
        check_cmyk(dark, ycck, (const int[]){100, 50, 25});
        check_cmyk(black, ycck, (const int[]){0, 0, 0});
    }
}
END_TEST

/* ---- orientation ---- */

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
    memcpy(other, out, sizeof out);
    for (int little = 0; little < 2; little++) {
        memset(out, 0, sizeof out);
        decode_well(with_exif(plain, good_exif(orientation, little)), input);
        ck_assert_uint_eq(report.orientation, orientation);
        ck_assert_uint_eq(report.width, w);
        ck_assert_double_lt(largest_difference(out, other, 3 * (size_t)input.shape.height * input.shape.width), 3.0);
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

/* ---- geometry and filter ---- */

static void check_fit(uint32_t w, uint32_t h, uint32_t width, uint32_t height, const uint32_t *wanted)
{
    struct esp_fit fit;

    esp_fit_picture(&fit, w, h, 1, width, height);
    ck_assert_uint_eq(fit.x.resized, wanted[0]);
    ck_assert_uint_eq(fit.y.resized, wanted[1]);
    ck_assert_uint_eq(fit.x.offset, wanted[2]);
    ck_assert_uint_eq(fit.y.offset, wanted[3]);
    ck_assert_uint_eq(fit.x.count, width);
    ck_assert_uint_eq(fit.y.count, height);
    ck_assert(fit.x.offset + width <= fit.x.resized && fit.y.offset + height <= fit.y.resized);
}

START_TEST(geometry)
{
    check_fit(64, 64, 64, 64, (const uint32_t[]){64, 64, 0, 0});
    check_fit(65, 64, 64, 64, (const uint32_t[]){65, 64, 0, 0});    /* 0.5 to the even 0 */
    check_fit(67, 64, 64, 64, (const uint32_t[]){67, 64, 2, 0});    /* 1.5 to the even 2 */
    check_fit(64, 69, 64, 64, (const uint32_t[]){64, 69, 0, 2});    /* 2.5 to the even 2 */
    check_fit(640, 480, 64, 64, (const uint32_t[]){85, 64, 10, 0}); /* floor(85.3), 10.5 to the even 10 */
    check_fit(480, 640, 64, 64, (const uint32_t[]){64, 85, 0, 10});
    check_fit(640, 480, 320, 240, (const uint32_t[]){320, 240, 0, 0});
    check_fit(640, 480, 64, 128, (const uint32_t[]){170, 128, 53, 0});
    check_fit(640, 480, 128, 32, (const uint32_t[]){128, 96, 0, 32});
    check_fit(1, 65535, 4096, 4096, (const uint32_t[]){4096, 268431360, 0, 134213632});
    check_fit(65535, 1, 4096, 1, (const uint32_t[]){65535, 1, 30720, 0});
}
END_TEST

static double reference_weight(double middle, double support, uint32_t pixel)
{
    return fmax(0.0, 1.0 - fabs(pixel + 0.5 - middle) / support);
}

/* Every input pixel by its weight, over the whole picture, in double. */
static double reference(const struct esp_pixels *pixels, const struct esp_fit *fit, uint32_t x, uint32_t y, int channel)
{
    double scale_x = pixels->extent_x / fit->x.resized, scale_y = pixels->extent_y / fit->y.resized;
    double middle_x = (fit->x.offset + x + 0.5) * scale_x, middle_y = (fit->y.offset + y + 0.5) * scale_y;
    double sum = 0, weights = 0;

    for (uint32_t row = 0; row < pixels->height; row++) {
        double weight_y = reference_weight(middle_y, fmax(1, scale_y), row);
        for (uint32_t column = 0; weight_y > 0 && column < pixels->width; column++) {
            double weight = weight_y * reference_weight(middle_x, fmax(1, scale_x), column);
            sum += weight * pixels->rgb[((size_t)row * pixels->width + column) * 3 + (size_t)channel];
            weights += weight;
        }
    }
    return sum / weights;
}

static uint64_t random_state = 1;

static void check_resampler(uint32_t w, uint32_t h, uint32_t width, uint32_t height, double less)
{
    struct esp_pixels pixels = {malloc((size_t)w * h * 3), w, h, w - less, h - less / 2};
    struct esp_planes planes = {out, 1, (ptrdiff_t)width, (ptrdiff_t)(width * height)};
    struct esp_resampler resampler = {0};
    struct esp_fit fit;
    double largest = 0;

    for (size_t i = 0; i < (size_t)w * h * 3; i++)
        ((uint8_t *)(uintptr_t)pixels.rgb)[i] = (uint8_t)random_below(&random_state, 256); /* noise is the hardest */
    esp_fit_picture(&fit, w, h, 1, width, height);
    ck_assert(esp_resample(&resampler, &pixels, &fit, &planes));
    for (uint32_t i = 0; i < 3 * width * height; i++) {
        uint32_t place = i % (width * height);
        double wanted = reference(&pixels, &fit, place % width, place / width, (int)(i / (width * height)));
        largest = fmax(largest, fabs((double)out[i] - wanted));
    }
    ck_assert_double_lt(largest / 255 / 0.225, 1e-5); /* in units of the normalised input */
    esp_resampler_trim(&resampler, 0);
    free((uint8_t *)(uintptr_t)pixels.rgb);
}

START_TEST(resampler_is_like_reference)
{
    check_resampler(64, 64, 64, 64, 0);
    check_resampler(100, 80, 32, 32, 0);
    check_resampler(151, 203, 32, 32, 0.75);
    check_resampler(20, 11, 64, 48, 0);
    check_resampler(1, 1, 8, 8, 0);
    check_resampler(1, 50, 8, 8, 0);
    check_resampler(400, 30, 10, 16, 0.5);
    check_resampler(2, 3, 1, 1, 0);
    check_resampler(90, 60, 40, 10, 0);
}
END_TEST

START_TEST(other_shapes)
{
    decode_well(make_jpeg(300, 200, USUAL), raw_input(32, 96));
    decode_well(make_jpeg(300, 200, USUAL), raw_input(96, 32));
    decode_well(make_jpeg(1, 1, USUAL), raw_input(1, 7));
    decode_well(make_jpeg(96, 32, USUAL), raw_input(32, 96));
    ck_assert_uint_eq(report.decoded_width, 96);
}
END_TEST

/* ---- what is refused ---- */

START_TEST(other_formats)
{
    const struct {
        const char *bytes;
        size_t size;
        const char *name;
    } formats[] = {{"\x89PNG\r\n\x1a\n....", 12, "PNG"},
                   {"GIF89a......", 12, "GIF"},
                   {"RIFF\1\2\3\4WEBP", 12, "WebP"},
                   {"BM..........", 12, "BMP"},
                   {"II*\0........", 12, "TIFF"},
                   {"MM\0*........", 12, "TIFF"},
                   {"\0\0\0\x18"
                    "ftypheic",
                    12, "HEIF"},
                   {"\0\0\0\x18"
                    "ftypavif",
                    12, "AVIF"}};

    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        struct jpeg bytes = {(uint8_t *)(uintptr_t)formats[i].bytes, formats[i].size};
        ck_assert(!esp_image_is_jpeg(bytes.bytes, bytes.size));
        ck_assert_str_eq(esp_image_format(bytes.bytes, bytes.size), formats[i].name);
        assert_fails(bytes, ESP_ERROR_NOT_JPEG, formats[i].name);
        ck_assert_ptr_null(esp_image_format(bytes.bytes, 1));
    }
    assert_fails((struct jpeg){(uint8_t *)(uintptr_t) "", 0}, ESP_ERROR_NOT_JPEG, "empty");
    assert_fails((struct jpeg){NULL, 0}, ESP_ERROR_NOT_JPEG, "empty");
    assert_fails((struct jpeg){(uint8_t *)(uintptr_t) "hello", 5}, ESP_ERROR_NOT_JPEG, "not a JPEG");
    assert_fails((struct jpeg){(uint8_t *)(uintptr_t) "\xff\xd8", 2}, ESP_ERROR_NOT_JPEG, "not a JPEG");
    assert_fails((struct jpeg){(uint8_t *)(uintptr_t) "\xff\xd8\xff", 3}, ESP_ERROR_UNDECODABLE, "cut off");
}
END_TEST

START_TEST(too_many_pixels)
{
    struct jpeg jpeg = make_jpeg(32, 32, USUAL);
    struct jpeg_kind costly[] = {PROGRESSIVE, SEPARATE_SCANS};

    state_size(jpeg, 20000, 10000);
    uint64_t allocations = esp_allocations();
    assert_fails(jpeg, ESP_ERROR_TOO_LARGE, "20000x10000, that is 200.0 million pixels; the limit is 100 million");
    ck_assert_uint_eq(report.width, 20000);
    state_size(jpeg, 65535, 65535);
    assert_fails(jpeg, ESP_ERROR_TOO_LARGE, "65535x65535");
    ck_assert_uint_eq(esp_allocations(), allocations);
    state_size(jpeg, 6000, 5000); /* allowed, but the data isn't there */
    assert_fails(jpeg, ESP_ERROR_UNDECODABLE, "6000x5000");
    free(jpeg.bytes);
    for (size_t i = 0; i < 2; i++) {
        jpeg = make_jpeg(32, 32, costly[i]);
        state_size(jpeg, 6000, 5000);
        allocations = esp_allocations();
        assert_fails(jpeg, ESP_ERROR_TOO_LARGE, "limit is 25 million for progressive and multi-scan");
        ck_assert_uint_eq(esp_allocations(), allocations);
        free(jpeg.bytes);
    }
}
END_TEST

START_TEST(limits_are_kept)
{
    struct jpeg jpeg = make_jpeg(100, 50, USUAL);
    struct esp_image_limits limits = {jpeg.size, 5000};
    struct esp_input_info input = raw_input(64, 64);
    esp_decoder *strict;

    ck_assert_int_eq(esp_decoder_create(&strict, &limits, NULL), ESP_OK);
    ck_assert_int_eq(esp_decoder_decode(strict, jpeg.bytes, jpeg.size, &input, out, NULL, NULL), ESP_OK);
    esp_decoder_destroy(&strict);
    limits.pixels--;
    ck_assert_int_eq(esp_decoder_create(&strict, &limits, NULL), ESP_OK);
    ck_assert_int_eq(esp_decoder_decode(strict, jpeg.bytes, jpeg.size, &input, out, NULL, NULL), ESP_ERROR_TOO_LARGE);
    ck_assert_int_eq(esp_decoder_decode(strict, jpeg.bytes, jpeg.size + 1, &input, out, NULL, NULL),
                     ESP_ERROR_TOO_LARGE); /* never looks at the bytes */
    esp_decoder_destroy(&strict);
    free(jpeg.bytes);
}
END_TEST

START_TEST(unsupported_frames)
{
    const struct {
        uint8_t marker;
        const char *text;
    } frames[] = {{0xc3, "lossless"}, {0xcb, "lossless"}, {0xc5, "hierarchical"}, {0xf7, "JPEG-LS"}};
    struct jpeg jpeg = make_jpeg(32, 32, USUAL);
    uint8_t *frame = find_marker(jpeg, 0xc0, 0xc0);

    for (size_t i = 0; i < sizeof frames / sizeof frames[0]; i++) {
        frame[1] = frames[i].marker;
        assert_fails(jpeg, ESP_ERROR_UNDECODABLE, frames[i].text);
    }
    frame[1] = 0xc1;
    frame[4] = 12;
    assert_fails(jpeg, ESP_ERROR_UNDECODABLE, "12 bits");
    frame[4] = 8;
    state_size(jpeg, 32, 0);
    assert_fails(jpeg, ESP_ERROR_UNDECODABLE, "width or height of 0");
    state_size(jpeg, 32, 32);
    frame[9] = 2;
    assert_fails(jpeg, ESP_ERROR_UNDECODABLE, "impossible length");
    free(jpeg.bytes);
}
END_TEST

START_TEST(bad_inputs)
{
    struct jpeg jpeg = make_jpeg(8, 8, USUAL);
    const struct esp_shape shapes[] = {{1, 8, 8}, {3, 0, 8}, {3, 8, 0}, {3, 4097, 8}};

    for (size_t i = 0; i < 4; i++) {
        struct esp_input_info input = raw_input(8, 8);
        input.shape = shapes[i];
        ck_assert_int_eq(decode(jpeg.bytes, jpeg.size, input), ESP_ERROR_ARGUMENT);
    }
    free(jpeg.bytes);
}
END_TEST

/* ---- broken files, one after the other in the same decoder ---- */

/* From memory of just that size, so that reading beyond is seen. */
static enum esp_status decode_first(struct jpeg jpeg, size_t size)
{
    uint8_t *bytes = malloc(size ? size : 1);
    enum esp_status status;

    memcpy(bytes, jpeg.bytes, size);
    status = decode(bytes, size, raw_input(32, 32));
    free(bytes);
    return status;
}

START_TEST(truncation)
{
    const struct jpeg_kind kinds[] = {USUAL, PROGRESSIVE, YCCK};

    for (size_t i = 0; i < 3; i++) {
        struct jpeg plain = make_jpeg(60, 50, kinds[i]), jpeg = with_exif(plain, good_exif(6, true));
        for (size_t size = 0; size < jpeg.size; size++) {
            enum esp_status status = decode_first(jpeg, size);
            ck_assert_int_eq(status, size < 3 ? ESP_ERROR_NOT_JPEG : ESP_ERROR_UNDECODABLE);
            ck_assert(error.text[0] != 0);
        }
        ck_assert_int_eq(decode_first(jpeg, jpeg.size), ESP_OK);
        free(plain.bytes);
        free(jpeg.bytes);
    }
}
END_TEST

static void mutate(struct jpeg jpeg, uint64_t *random)
{
    /* Half of them among the headers, where most can go wrong. */
    for (size_t count = 1 + random_below(random, 6); count > 0; count--) {
        size_t range = random_below(random, 2) ? jpeg.size : jpeg.size < 700 ? jpeg.size : 700;
        jpeg.bytes[random_below(random, range)] = random_below(random, 4) ? (uint8_t)random_below(random, 256) : 0xff;
    }
}

static void fuzz(struct jpeg jpeg, int rounds, uint64_t *random)
{
    struct jpeg copy = {malloc(jpeg.size), jpeg.size};
    int good = 0;

    for (int i = 0; i < rounds; i++) {
        memcpy(copy.bytes, jpeg.bytes, jpeg.size);
        mutate(copy, random);
        enum esp_status status =
            decode_first(copy, copy.size - (random_below(random, 4) ? 0 : random_below(random, 300)));
        ck_assert(status == ESP_OK || status == ESP_ERROR_NOT_JPEG || status == ESP_ERROR_UNDECODABLE ||
                  status == ESP_ERROR_TOO_LARGE);
        ck_assert(status == ESP_OK || (error.status == status && error.text[0] != 0));
        if (status == ESP_OK)
            assert_pixels(3 * 32 * 32);
        good += status == ESP_OK;
    }
    ck_assert_int_gt(good, 0);
    ck_assert_int_lt(good, rounds);
    free(copy.bytes);
}

START_TEST(mutation)
{
    const struct jpeg_kind kinds[] = {USUAL, PROGRESSIVE, YCCK, SEPARATE_SCANS, GREY};
    struct esp_image_limits limits = {1 << 20, 200000};
    uint64_t random = 20240229;

    esp_decoder_destroy(&decoder);
    ck_assert_int_eq(esp_decoder_create(&decoder, &limits, NULL), ESP_OK);
    for (size_t i = 0; i < 5; i++) {
        struct jpeg plain = make_jpeg(60, 50, kinds[i]), jpeg = with_exif(plain, good_exif(6, i % 2));
        fuzz(jpeg, 1500, &random);
        free(plain.bytes);
        free(jpeg.bytes);
    }
}
END_TEST

/* Like the bytes of a motion JPEG: without tables of its own, a file must not be decoded with another's. */
START_TEST(tables_of_an_earlier_picture)
{
    struct jpeg jpeg = make_jpeg(64, 64, (struct jpeg_kind){.channels = 3, .quality = 85, .no_tables = true});

    assert_fails(jpeg, ESP_ERROR_UNDECODABLE, "uantization table");
    decode_well(make_jpeg(64, 64, USUAL), raw_input(64, 64));
    assert_fails(jpeg, ESP_ERROR_UNDECODABLE, "uantization table");
    free(jpeg.bytes);
}
END_TEST

START_TEST(a_failure_leaves_no_trace)
{
    struct jpeg broken = make_jpeg(200, 100, USUAL);

    decode_well(make_jpeg(300, 200, USUAL), raw_input(64, 64));
    memcpy(other, out, sizeof out);
    ck_assert_int_eq(decode(broken.bytes, broken.size / 2, raw_input(64, 64)), ESP_ERROR_UNDECODABLE);
    decode_well(make_jpeg(300, 200, USUAL), raw_input(64, 64));
    ck_assert_mem_eq(out, other, 3 * 64 * 64 * sizeof *out);
    free(broken.bytes);
}
END_TEST

/* ---- memory ---- */

START_TEST(warm_decoding_allocates_nothing)
{
    struct jpeg jpeg = make_jpeg(640, 480, USUAL), small = make_jpeg(64, 64, USUAL);
    uint64_t allocations;

    ck_assert_int_eq(decode(jpeg.bytes, jpeg.size, input_of(64, 64)), ESP_OK);
    allocations = esp_allocations();
    ck_assert_int_eq(decode(jpeg.bytes, jpeg.size, input_of(64, 64)), ESP_OK);
    ck_assert_int_eq(decode(small.bytes, small.size, input_of(64, 64)), ESP_OK);
    ck_assert_int_eq(decode(jpeg.bytes, jpeg.size, input_of(64, 64)), ESP_OK);
    ck_assert_uint_eq(esp_allocations(), allocations);
    free(jpeg.bytes);
    free(small.bytes);
}
END_TEST

START_TEST(large_buffers_go_back)
{
    const uint32_t height = 4, width = 3000; /* its scale is 1/1, and 3100 x 600 x 3 bytes are over 4 MiB */
    float *wide = malloc(3 * sizeof(float) * width * height);
    struct jpeg jpeg = make_jpeg(3100, 600, USUAL);
    struct esp_input_info input = raw_input(height, width);
    uint64_t allocations;

    ck_assert_int_eq(esp_decoder_decode(decoder, jpeg.bytes, jpeg.size, &input, wide, &report, NULL), ESP_OK);
    ck_assert_uint_eq(report.decoded_width, 3100);
    allocations = esp_allocations();
    ck_assert_int_eq(esp_decoder_decode(decoder, jpeg.bytes, jpeg.size, &input, wide, &report, NULL), ESP_OK);
    ck_assert_uint_eq(esp_allocations(), allocations + 1); /* the pixels; all else is small and was kept */
    free(jpeg.bytes);
    free(wide);
}
END_TEST

START_TEST(memory_runs_out)
{
    struct jpeg jpeg = make_jpeg(100, 80, USUAL);
    uint64_t nth = 0;
    enum esp_status status;

    do {
        esp_decoder_destroy(&decoder);
        error = (struct esp_error){0};
        esp_fail_allocation(++nth);
        status = esp_decoder_create(&decoder, NULL, &error);
        if (status == ESP_OK)
            status = decode(jpeg.bytes, jpeg.size, raw_input(64, 64));
        esp_fail_allocation(0);
        ck_assert(status == ESP_OK || (status == ESP_ERROR_MEMORY && error.status == status));
        if (decoder) /* it still works afterwards */
            ck_assert_int_eq(decode(jpeg.bytes, jpeg.size, raw_input(64, 64)), ESP_OK);
    } while (status != ESP_OK);
    ck_assert_uint_eq(nth, 8); /* the decoder, the pixels, two filters of two, the row; the eighth is none */
    free(jpeg.bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("image");
    TCase *all = tcase_create("all");

    tcase_add_checked_fixture(all, setup, teardown);
    tcase_set_timeout(all, 120); /* sanitizers are slow */
    tcase_add_test(all, sizes);
    tcase_add_test(all, scaled_decode_is_in_place);
    tcase_add_test(all, input_size_passes_unchanged);
    tcase_add_test(all, grey);
    tcase_add_test(all, progressive_and_separate_scans);
    tcase_add_test(all, cmyk);
    tcase_add_test(all, orientations);
    tcase_add_test(all, crop_is_mapped_back);
    tcase_add_test(all, malformed_exif);
    tcase_add_test(all, truncated_exif);
    tcase_add_test(all, geometry);
    tcase_add_test(all, resampler_is_like_reference);
    tcase_add_test(all, other_shapes);
    tcase_add_test(all, other_formats);
    tcase_add_test(all, too_many_pixels);
    tcase_add_test(all, limits_are_kept);
    tcase_add_test(all, unsupported_frames);
    tcase_add_test(all, bad_inputs);
    tcase_add_test(all, truncation);
    tcase_add_test(all, mutation);
    tcase_add_test(all, tables_of_an_earlier_picture);
    tcase_add_test(all, a_failure_leaves_no_trace);
    tcase_add_test(all, warm_decoding_allocates_nothing);
    tcase_add_test(all, large_buffers_go_back);
    tcase_add_test(all, memory_runs_out);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
