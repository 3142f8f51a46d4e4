/* Pictures from files. */
#ifndef SERVER_IMAGE_FILE_H
#define SERVER_IMAGE_FILE_H

#include "espalier/error.h"

#include <stddef.h>
#include <stdint.h>

/* A whole file ("-": the standard input) of at most `limit` bytes, for the caller to free; one byte more where it is
 * longer, which the decoder then refuses. NULL: `err` says why. */
uint8_t *image_file_read(const char *path, size_t limit, size_t *size, struct esp_error *err);

#endif
