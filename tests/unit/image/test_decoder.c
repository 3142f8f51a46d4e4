/* What comes out of good pictures of every size and kind, and the memory that this takes. */
#include "core/image/jpeg_header.h"
#include "core/image/resample.h"
#include "core/memory.h"
#include "tests/support/decoding.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

#include <turbojpeg.h>

static float other[VALUES_MAX];

/* ---- sizes and kinds ---- */

static void check_size(uint32_t width, uint32_t height, uint32_t decoded_width, uint32_t decoded_height)
{
    decode_well(make_jpeg(width, height, USUAL), raw_input(64, 64));
    ck_assert_uint_eq(decoded.report.width, width);
    ck_assert_uint_eq(decoded.report.height, height);
    ck_assert_uint_eq(decoded.report.decoded_width, decoded_width);
    ck_assert_uint_eq(decoded.report.decoded_height, decoded_height);
    ck_assert_uint_eq(decoded.report.orientation, 1);
    ck_assert(decoded.report.decode_seconds > 0 && decoded.report.preprocess_seconds > 0);
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
        ck_assert_double_lt(largest_difference(decoded.values, other, 3 * 64 * 64), 4.0);
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
    ck_assert_mem_eq(decoded.values, other, sizeof(float) * 3 * 64 * 64);
    for (size_t i = 0; i < 64 * 64 * 3; i++)
        other[i] = 99;
    esp_image_from_pixels(pixels, &input, other);
    ck_assert_mem_eq(decoded.values, other, sizeof(float) * 3 * 64 * 64); /* without the JPEG the same bits */
}
END_TEST

START_TEST(grey)
{
    decode_well(make_jpeg(90, 70, (struct jpeg_kind){.channels = 1, .quality = 90}), raw_input(64, 64));
    ck_assert_mem_eq(decoded.values, decoded.values + 64 * 64, 64 * 64 * sizeof *decoded.values);
    ck_assert_mem_eq(decoded.values, decoded.values + 2 * 64 * 64, 64 * 64 * sizeof *decoded.values);
    ck_assert(decoded.values[0] > 50 && decoded.values[0] != decoded.values[63]);
}
END_TEST

/* The same coefficients in another order. */
START_TEST(progressive_and_separate_scans)
{
    const struct jpeg_kind kinds[] = {PROGRESSIVE, SEPARATE_SCANS};

    decode_well(make_jpeg(200, 150, USUAL), raw_input(64, 64));
    memcpy(other, decoded.values, sizeof decoded.values);
    for (size_t i = 0; i < 2; i++) {
        struct jpeg jpeg = make_jpeg(200, 150, kinds[i]);
        struct esp_jpeg_header header;
        ck_assert_int_eq(esp_jpeg_header_read(&header, jpeg.bytes, jpeg.size, NULL), ESP_OK);
        ck_assert_int_eq(header.progressive, kinds[i].progressive);
        ck_assert_int_eq(header.multi_scan, kinds[i].separate_scans);
        decode_well(jpeg, raw_input(64, 64));
        ck_assert_mem_eq(decoded.values, other, 3 * 64 * 64 * sizeof *decoded.values);
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
    ck_assert_double_le(largest_difference(decoded.values, other, 3 * 64 * 64), ycck ? 2.001 : 1.001);
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

START_TEST(other_shapes)
{
    decode_well(make_jpeg(300, 200, USUAL), raw_input(32, 96));
    decode_well(make_jpeg(300, 200, USUAL), raw_input(96, 32));
    decode_well(make_jpeg(1, 1, USUAL), raw_input(1, 7));
    decode_well(make_jpeg(96, 32, USUAL), raw_input(32, 96));
    ck_assert_uint_eq(decoded.report.decoded_width, 96);
}
END_TEST

/* ---- memory ---- */

START_TEST(warm_decoding_allocates_nothing)
{
    struct jpeg jpeg = make_jpeg(640, 480, USUAL), small = make_jpeg(64, 64, USUAL);

    ck_assert_int_eq(decode(jpeg.bytes, jpeg.size, input_of(64, 64)), ESP_OK);
    uint64_t allocations = esp_allocations();
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

    ck_assert_int_eq(esp_decoder_decode(decoder, jpeg.bytes, jpeg.size, &input, wide, &decoded.report, NULL), ESP_OK);
    ck_assert_uint_eq(decoded.report.decoded_width, 3100);
    uint64_t allocations = esp_allocations();
    ck_assert_int_eq(esp_decoder_decode(decoder, jpeg.bytes, jpeg.size, &input, wide, &decoded.report, NULL), ESP_OK);
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
        decoded.error = (struct esp_error){0};
        esp_fail_allocation(++nth);
        status = esp_decoder_create(&decoder, NULL, &decoded.error);
        if (status == ESP_OK)
            status = decode(jpeg.bytes, jpeg.size, raw_input(64, 64));
        esp_fail_allocation(0);
        ck_assert(status == ESP_OK || (status == ESP_ERROR_MEMORY && decoded.error.status == status));
        if (decoder) /* it still works afterwards */
            ck_assert_int_eq(decode(jpeg.bytes, jpeg.size, raw_input(64, 64)), ESP_OK);
    } while (status != ESP_OK);
    ck_assert_uint_eq(nth, 8); /* the decoder, the pixels, two filters of two, the row; the eighth is none */
    free(jpeg.bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("decoder");
    TCase *all = tcase_create("all");

    tcase_add_checked_fixture(all, start_decoder, stop_decoder);
    tcase_set_timeout(all, 120); /* sanitizers are slow */
    tcase_add_test(all, sizes);
    tcase_add_test(all, scaled_decode_is_in_place);
    tcase_add_test(all, input_size_passes_unchanged);
    tcase_add_test(all, grey);
    tcase_add_test(all, progressive_and_separate_scans);
    tcase_add_test(all, cmyk);
    tcase_add_test(all, other_shapes);
    tcase_add_test(all, warm_decoding_allocates_nothing);
    tcase_add_test(all, large_buffers_go_back);
    tcase_add_test(all, memory_runs_out);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
