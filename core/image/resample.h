/* Resizing with an antialiasing triangle filter, in float, of just the pixels that are needed.
 *
 * Filter and geometry are those of Pillow's BILINEAR resize: each output pixel is the mean of the input pixels weighted
 * by a triangle around its place, one output pixel wide to either side (one input pixel where the picture grows).
 * Nothing is rounded to bytes between or after the passes. Where an axis keeps its size, its pixels pass unchanged. */
#ifndef ESP_CORE_IMAGE_RESAMPLE_H
#define ESP_CORE_IMAGE_RESAMPLE_H

#include "core/image/buffer.h"
#include "core/image/geometry.h"

#include <stddef.h>
#include <stdint.h>

/* Interleaved 8-bit RGB, rows without gaps, at most 65535 pixels high and wide; borrowed. */
struct esp_pixels {
    const uint8_t *rgb;
    uint32_t width, height;
    /* How many of these pixels the picture really spans, at most width and height: a picture that was scaled while
     * decoding was rounded up to whole pixels. */
    double extent_x, extent_y;
};

/* Where the results go, in floats. Pixel (x, y) of the crop, in the order of the stored picture, goes to
 * origin[x * step_x + y * step_y], green and blue one and two `plane`s further. */
struct esp_planes {
    float *origin;
    ptrdiff_t step_x, step_y, plane;
};

/* The filter along one axis. Owned; starts as {0}. */
struct esp_filter {
    struct esp_buffer spans, weights;
    size_t taps; /* room for weights of each output pixel */
};

/* Working memory, kept from one picture to the next. Owned; starts as {0}. */
struct esp_resampler {
    struct esp_filter x, y;
    struct esp_buffer row; /* one row of sums, 3 floats a pixel */
};

/* Resizes `pixels` to fit->x.resized x fit->y.resized and writes the crop's values, 0 to 255. False: no memory. */
bool esp_resample(struct esp_resampler *resampler, const struct esp_pixels *pixels, const struct esp_fit *fit,
                  const struct esp_planes *planes);

/* Frees buffers of more than `keep` bytes; 0 frees all. */
void esp_resampler_trim(struct esp_resampler *resampler, size_t keep);

#endif
