#include "core/image/pixels.h"

void esp_normalise(float *values, const struct esp_input_info *input)
{
    size_t plane = (size_t)input->shape.height * input->shape.width;

    for (size_t channel = 0; channel < 3; channel++, values += plane)
        for (size_t i = 0; i < plane; i++)
            values[i] = (values[i] / 255.0f - input->mean[channel]) / input->std[channel];
}

void esp_image_from_pixels(const uint8_t *pixels, const struct esp_input_info *input, float *out)
{
    size_t plane = (size_t)input->shape.height * input->shape.width;

    for (size_t i = 0; i < plane; i++)
        for (size_t channel = 0; channel < 3; channel++)
            out[channel * plane + i] = pixels[3 * i + channel];
    esp_normalise(out, input);
}
