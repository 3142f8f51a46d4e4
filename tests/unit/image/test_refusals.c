/* What the decoder refuses and how, and that broken files do no harm. */
#include "core/memory.h"
#include "tests/support/decoding.h"
#include "tests/support/support.h"

#include <stdlib.h>
#include <string.h>

static float other[VALUES_MAX];

static void assert_fails(struct jpeg jpeg, enum esp_status status, const char *text)
{
    ck_assert_int_eq(decode(jpeg.bytes, jpeg.size, input_of(64, 64)), status);
    ck_assert_int_eq(decoded.error.status, status);
    ck_assert_msg(strstr(decoded.error.text, text) != NULL, "'%s' lacks '%s'", decoded.error.text, text);
    ck_assert(strchr(decoded.error.text, '\n') == NULL);
}

START_TEST(other_formats)
{
    const struct {
        const char *bytes;
        size_t size;
        const char *name;
    } formats[] = {{"\x89PNG\r\n\x1a\n....", 12, "PNG"}, {"GIF89a......", 12, "GIF"},
                   {"RIFF\1\2\3\4WEBP", 12, "WebP"},     {"BM..........", 12, "BMP"},
                   {"II*\0........", 12, "TIFF"},        {"MM\0*........", 12, "TIFF"},
                   {"\0\0\0\030ftypheic", 12, "HEIF"},   {"\0\0\0\030ftypavif", 12, "AVIF"}};

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
    ck_assert_uint_eq(decoded.report.width, 20000);
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
    ck_assert_int_eq(esp_decoder_decode(strict, jpeg.bytes, jpeg.size, &input, decoded.values, NULL, NULL), ESP_OK);
    esp_decoder_destroy(&strict);
    limits.pixels--;
    ck_assert_int_eq(esp_decoder_create(&strict, &limits, NULL), ESP_OK);
    ck_assert_int_eq(esp_decoder_decode(strict, jpeg.bytes, jpeg.size, &input, decoded.values, NULL, NULL),
                     ESP_ERROR_TOO_LARGE);
    ck_assert_int_eq(esp_decoder_decode(strict, jpeg.bytes, jpeg.size + 1, &input, decoded.values, NULL, NULL),
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

    memcpy(bytes, jpeg.bytes, size);
    enum esp_status status = decode(bytes, size, raw_input(32, 32));
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
            ck_assert(decoded.error.text[0] != 0);
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
        ck_assert(status == ESP_OK || (decoded.error.status == status && decoded.error.text[0] != 0));
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
    memcpy(other, decoded.values, sizeof decoded.values);
    ck_assert_int_eq(decode(broken.bytes, broken.size / 2, raw_input(64, 64)), ESP_ERROR_UNDECODABLE);
    decode_well(make_jpeg(300, 200, USUAL), raw_input(64, 64));
    ck_assert_mem_eq(decoded.values, other, 3 * 64 * 64 * sizeof *decoded.values);
    free(broken.bytes);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("refusals");
    TCase *all = tcase_create("all");

    tcase_add_checked_fixture(all, start_decoder, stop_decoder);
    tcase_set_timeout(all, 120); /* sanitizers are slow */
    tcase_add_test(all, other_formats);
    tcase_add_test(all, too_many_pixels);
    tcase_add_test(all, limits_are_kept);
    tcase_add_test(all, unsupported_frames);
    tcase_add_test(all, bad_inputs);
    tcase_add_test(all, truncation);
    tcase_add_test(all, mutation);
    tcase_add_test(all, tables_of_an_earlier_picture);
    tcase_add_test(all, a_failure_leaves_no_trace);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
