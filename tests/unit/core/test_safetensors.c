/* The reader of weights against files that lie. */
#include "core/memory.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct esp_safetensors file;

/* Parses a file of the given header and `data` bytes of data. */
static enum esp_status parse(const char *header, size_t data, struct esp_error *err)
{
    size_t length = strlen(header), size = 8 + length + data;
    uint8_t *bytes = esp_alloc(size, 1);

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(length >> 8 * i);
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < data; i++)
        bytes[8 + length + i] = (uint8_t)i;
    *err = (struct esp_error){0};
    return esp_safetensors_parse(&file, bytes, size, err);
}

static void refused(const char *header, size_t data, const char *part)
{
    struct esp_error err;

    ck_assert_int_eq(parse(header, data, &err), ESP_ERROR_MODEL);
    if (!strstr(err.text, part))
        ck_abort_msg("\"%s\" does not say \"%s\"", err.text, part);
    esp_safetensors_release(&file);
}

START_TEST(test_good_file)
{
    struct esp_error err;

    ck_assert_int_eq(
        parse("{\"__metadata__\":{\"a\":\"b\"},\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[8,12]},"
              "\"a\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]}}",
              12, &err),
        ESP_OK);
    ck_assert_uint_eq(file.count, 2);
    struct esp_tensor *tensor = esp_safetensors_find(&file, "a");
    ck_assert_uint_eq(tensor->elements, 2);
    ck_assert_uint_eq(tensor->shape[1], 2);
    ck_assert_ptr_null(esp_safetensors_find(&file, "c"));
    esp_safetensors_release(&file);
}
END_TEST

START_TEST(test_lies_are_refused)
{
    refused("[]", 0, "not a JSON object");
    refused("{", 0, "not valid JSON");
    refused("{\"a\":1}", 0, "tensor a");
    refused("{\"a\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]}}", 8, "dtype");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "0 or more");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", 4, "whole");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4, "at most 8");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", 0, "elements");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775807],\"data_offsets\":[0,0]}}", 0, "elements");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "needs 8 bytes");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,8]}}", 4, "complete");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "outside");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, "outside");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, "two whole numbers");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "hole");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8, "belong to no tensor");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
            "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
            4, "overlaps");
    refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
            "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
            4, "duplicate");
}
END_TEST

START_TEST(test_header_length_beyond_the_file)
{
    struct esp_error err = {0};
    uint8_t *bytes = esp_alloc(16, 1);

    memset(bytes, 0xff, 8);
    ck_assert_int_eq(esp_safetensors_parse(&file, bytes, 16, &err), ESP_ERROR_MODEL);
    esp_safetensors_release(&file);
    err = (struct esp_error){0};
    ck_assert_int_eq(esp_safetensors_parse(&file, esp_alloc(7, 1), 7, &err), ESP_ERROR_MODEL);
    esp_safetensors_release(&file);
}
END_TEST

/* Every F16 bit pattern against ldexp. */
START_TEST(test_half_precision)
{
    for (uint32_t bits = 0; bits < 65536; bits++) {
        uint8_t data[2] = {(uint8_t)bits, (uint8_t)(bits >> 8)};
        struct esp_safetensors half = {.bytes = data};
        struct esp_tensor tensor = {.dtype = ESP_F16, .elements = 1};
        int exponent = bits >> 10 & 31, fraction = bits & 1023;
        double value = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
        float got;
        bool finite = esp_tensor_floats(&half, &tensor, &got);
        ck_assert(finite == (exponent != 31));
        if (finite && (double)got != (bits >> 15 ? -value : value))
            ck_abort_msg("%04x gives %g", bits, (double)got);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("safetensors");
    TCase *tests = tcase_create("reader");

    tcase_add_test(tests, test_good_file);
    tcase_add_test(tests, test_lies_are_refused);
    tcase_add_test(tests, test_header_length_beyond_the_file);
    tcase_add_test(tests, test_half_precision);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
