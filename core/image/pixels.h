/* From pixels to a network's input. */
#ifndef ESP_CORE_IMAGE_PIXELS_H
#define ESP_CORE_IMAGE_PIXELS_H

#include "espalier/image.h"

/* Normalises [3, height, width] values from 0 to 255 in place. */
void esp_normalise(float *values, const struct esp_input_info *input);

#endif
