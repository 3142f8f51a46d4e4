/* Where the input lies in a picture, and the resampler against a plain one in double. */
#include "core/image/resample.h"
#include "tests/support/support.h"

#include <math.h>
#include <stdlib.h>

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
    float values[3 * 64 * 64];
    struct esp_pixels pixels = {malloc((size_t)w * h * 3), w, h, w - less, h - less / 2};
    struct esp_planes planes = {values, 1, (ptrdiff_t)width, (ptrdiff_t)(width * height)};
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
        largest = fmax(largest, fabs((double)values[i] - wanted));
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

int main(void)
{
    Suite *suite = suite_create("geometry");
    TCase *all = tcase_create("all");

    tcase_set_timeout(all, 120); /* sanitizers are slow */
    tcase_add_test(all, geometry);
    tcase_add_test(all, resampler_is_like_reference);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
