/* Files that are read whole: pictures, settings, secrets. Thread-safe. */
#ifndef SERVER_FILE_H
#define SERVER_FILE_H

#include "espalier/error.h"

#include <stddef.h>
#include <stdint.h>

/* A whole file ("-": the standard input) of at most `limit` bytes, for the caller to free; there is room for one byte
 * more, which is there where the file is longer. NULL: `err` says why. */
uint8_t *file_read(const char *path, size_t limit, size_t *size, struct esp_error *err);

#endif
