/* Whole files into memory. */
#ifndef ESP_CORE_FILE_H
#define ESP_CORE_FILE_H

#include "espalier/error.h"

#include <stddef.h>
#include <stdint.h>

/* Reads the regular file `<directory>/<name>` of at most `limit` bytes. *bytes is the caller's, to be freed with
 * esp_free. */
enum esp_status esp_file_read(const char *directory, const char *name, size_t limit, uint8_t **bytes, size_t *size,
                              struct esp_error *err);

#endif
