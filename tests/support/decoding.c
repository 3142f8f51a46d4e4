#include "tests/support/decoding.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>

esp_decoder *decoder;
struct decoded decoded;

void start_decoder(void)
{
    ck_assert_int_eq(esp_decoder_create(&decoder, NULL, NULL), ESP_OK);
}

void stop_decoder(void)
{
    esp_decoder_destroy(&decoder);
    ck_assert_ptr_null(decoder);
    esp_decoder_destroy(&decoder);
}

struct esp_input_info input_of(uint32_t height, uint32_t width)
{
    return (struct esp_input_info){{3, height, width}, {0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}};
}

struct esp_input_info raw_input(uint32_t height, uint32_t width)
{
    return (struct esp_input_info){{3, height, width}, {0, 0, 0}, {1 / 255.0f, 1 / 255.0f, 1 / 255.0f}};
}

enum esp_status decode(const uint8_t *bytes, size_t size, struct esp_input_info input)
{
    decoded.error = (struct esp_error){0};
    return esp_decoder_decode(decoder, bytes, size, &input, decoded.values, &decoded.report, &decoded.error);
}

void decode_well(struct jpeg jpeg, struct esp_input_info input)
{
    enum esp_status status = decode(jpeg.bytes, jpeg.size, input);

    ck_assert_msg(status == ESP_OK, "%s", decoded.error.text);
    free(jpeg.bytes);
}

/* One assertion for all of them: the framework writes down each. */
void assert_pixels(size_t count)
{
    bool good = true;

    for (size_t i = 0; i < count; i++)
        good = good && decoded.values[i] >= -1e-3f && decoded.values[i] <= 255.001f;
    ck_assert(good);
}

double largest_difference(const float *a, const float *b, size_t values)
{
    double largest = 0;

    for (size_t i = 0; i < values; i++)
        largest = fmax(largest, fabs((double)a[i] - (double)b[i]));
    return largest;
}
