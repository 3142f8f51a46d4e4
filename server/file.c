#include "server/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static FILE *open_file(const char *path)
{
    return strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
}

uint8_t *file_read(const char *path, size_t limit, size_t *size, struct esp_error *err)
{
    FILE *file = open_file(path);
    uint8_t *bytes = file ? malloc(limit + 1) : NULL; /* memory that is never written is never taken */
    struct esp_error fault = {0};

    *size = 0;
    if (!file)
        esp_fail(&fault, ESP_ERROR_IO, "%s", strerror(errno));
    else if (!bytes)
        esp_fail(&fault, ESP_ERROR_MEMORY, "out of memory");
    else
        *size = fread(bytes, 1, limit + 1, file);
    if (file && ferror(file))
        esp_fail(&fault, ESP_ERROR_IO, "%s", strerror(errno));
    if (file && file != stdin)
        fclose(file);
    if (fault.status == ESP_OK)
        return bytes;
    free(bytes);
    esp_fail(err, fault.status, "%s", fault.text);
    return NULL;
}
