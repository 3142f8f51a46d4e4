/* Where the network's input lies in a picture: resized so that it just covers the input, cropped in its centre, turned
 * upright. Numbers only. */
#ifndef ESP_CORE_IMAGE_GEOMETRY_H
#define ESP_CORE_IMAGE_GEOMETRY_H

#include <stdbool.h>
#include <stdint.h>

/* Along one axis of the picture as stored: the whole picture is resized to `resized` pixels, of which `count` from
 * `offset` on are needed. */
struct esp_fit_axis {
    uint32_t resized, offset, count;
};

/* The crop is chosen in the upright picture and mapped back to the stored one, where it is computed; writing it turned
 * gives the same as turning the whole picture first. */
struct esp_fit {
    struct esp_fit_axis x, y;    /* of the picture as stored */
    bool swapped;                /* the upright picture's x axis is the stored one's y axis */
    bool mirrored_x, mirrored_y; /* along this axis of the stored picture, the upright one runs backwards */
};

/* For a stored picture of `width` x `height` (1 to 65535 each), EXIF `orientation` 1 to 8 and an input of
 * `input_width` x `input_height` (1 to ESP_INPUT_EXTENT_MAX each). */
void esp_fit_picture(struct esp_fit *fit, uint32_t width, uint32_t height, unsigned orientation, uint32_t input_width,
                     uint32_t input_height);

#endif
