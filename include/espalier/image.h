/* From JPEG bytes to a network's input.
 *
 * The picture is decoded no larger than needed (libjpeg-turbo scales while it decodes), turned upright by its EXIF
 * orientation, resized with an antialiasing (triangle) filter so that it just covers the input, cropped in its centre,
 * and normalised. Greyscale, progressive and CMYK (converted as Pillow does: Adobe's are inverted) are read, too. The
 * geometry is that of torchvision's Resize(antialias) + CenterCrop: the longer side is floor(target * long / short),
 * the crop's offset is round-half-even((long - target) / 2). A picture of just the input's size passes unchanged.
 *
 * A decoder is used by one thread at a time. It keeps its buffers from one picture to the next, and gives back those of
 * an unusually large one. */
#ifndef ESPALIER_IMAGE_H
#define ESPALIER_IMAGE_H

#include "espalier/error.h"
#include "espalier/model.h"

typedef struct esp_decoder esp_decoder;

struct esp_image_limits {
    size_t bytes;    /* of the file */
    uint64_t pixels; /* width * height as the header states them; a quarter of it for progressive and multi-scan files,
                        whose coefficients take memory at full size whatever the scale */
};

struct esp_image_report {
    uint32_t width, height;                 /* as stored in the file */
    uint32_t decoded_width, decoded_height; /* as scaled while decoding */
    unsigned orientation;                   /* EXIF, 1 to 8 */
    double decode_seconds, preprocess_seconds;
};

/* 32 MiB and 100 million pixels. */
void esp_image_limits_default(struct esp_image_limits *limits);

enum esp_status esp_decoder_create(esp_decoder **decoder, const struct esp_image_limits *limits, struct esp_error *err);
void esp_decoder_destroy(esp_decoder **decoder);

/* Decodes `bytes` and writes the normalised input, [3, height, width] of `input->shape`, to `out`. `report` may be
 * NULL. ESP_ERROR_NOT_JPEG: other bytes (the text names PNG, GIF, WebP, ... where it recognises one).
 * ESP_ERROR_TOO_LARGE: over a limit; nothing was allocated. ESP_ERROR_UNDECODABLE: truncated, corrupt or unsupported;
 * what `out` holds then is unspecified. Nothing of an earlier picture ever shows in a later one. */
enum esp_status esp_decoder_decode(esp_decoder *decoder, const uint8_t *bytes, size_t size,
                                   const struct esp_input_info *input, float *out, struct esp_image_report *report,
                                   struct esp_error *err);

/* Writes the same input for a picture that is there already, and of just the input's size: `pixels` are
 * [height][width][3] bytes, red, green, blue. The result has the bits that decoding a JPEG of these pixels would give.
 */
void esp_image_from_pixels(const uint8_t *pixels, const struct esp_input_info *input, float *out);

/* Whether the bytes begin like a JPEG. */
bool esp_image_is_jpeg(const uint8_t *bytes, size_t size);

/* "PNG", "GIF", "WebP", "BMP", "TIFF", "HEIF", ...: what the bytes begin like, or NULL. */
const char *esp_image_format(const uint8_t *bytes, size_t size);

#endif
