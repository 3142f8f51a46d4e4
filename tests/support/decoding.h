/* A decoder for the tests of the image pipeline, and what it said last. A test case has start_decoder and stop_decoder
 * as its checked fixture. */
#ifndef ESP_TESTS_DECODING_H
#define ESP_TESTS_DECODING_H

#include "espalier/image.h"
#include "tests/support/jpegs.h"

enum { VALUES_MAX = 3 * 128 * 128 }; /* of the largest input */

struct decoded {
    float values[VALUES_MAX];
    struct esp_image_report report;
    struct esp_error error;
};

extern esp_decoder *decoder; /* a test may put another in its place */
extern struct decoded decoded;

void start_decoder(void);
void stop_decoder(void);

/* Inputs of 3 x height x width values: normalised as usual, or left at 0 to 255. */
struct esp_input_info input_of(uint32_t height, uint32_t width);
struct esp_input_info raw_input(uint32_t height, uint32_t width);

/* Fills `decoded`. */
enum esp_status decode(const uint8_t *bytes, size_t size, struct esp_input_info input);

/* The same, and frees the picture; fails the test with the decoder's message. */
void decode_well(struct jpeg jpeg, struct esp_input_info input);

/* Asserts that the first `count` of the decoded values are 0 to 255. */
void assert_pixels(size_t count);

double largest_difference(const float *a, const float *b, size_t values);

#endif
