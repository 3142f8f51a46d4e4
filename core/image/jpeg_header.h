/* What a JPEG's markers say before its first scan, read without decoding anything and without allocating, so that size
 * limits hold before the decoder library touches the bytes. */
#ifndef ESP_CORE_IMAGE_JPEG_HEADER_H
#define ESP_CORE_IMAGE_JPEG_HEADER_H

#include "espalier/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct esp_jpeg_header {
    uint32_t width, height; /* pixels as stored, 1 to 65535 */
    unsigned components;    /* 1 grey, 3 colour, 4 CMYK or YCCK */
    bool progressive;
    bool multi_scan;      /* the first scan lacks components: the library keeps all coefficients at full size */
    unsigned orientation; /* EXIF, 1 to 8; 1 where it is missing or makes no sense */
};

/* Reads up to the first scan. `bytes` (borrowed) need not be a JPEG. On ESP_ERROR_UNDECODABLE `header` is unspecified.
 */
enum esp_status esp_jpeg_header_read(struct esp_jpeg_header *header, const uint8_t *bytes, size_t size,
                                     struct esp_error *err);

#endif
