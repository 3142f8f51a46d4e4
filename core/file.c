#include "core/file.h"

#include "core/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum esp_status read_all(int file, const char *path, size_t limit, uint8_t **bytes, size_t *size,
                                struct esp_error *err)
{
    struct stat info;
    size_t done = 0;

    if (fstat(file, &info) != 0)
        return esp_fail(err, ESP_ERROR_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return esp_fail(err, ESP_ERROR_IO, "%s is not a regular file", path);
    if ((uint64_t)info.st_size > limit)
        return esp_fail(err, ESP_ERROR_MODEL, "%s has %lld bytes, more than the limit of %zu", path,
                        (long long)info.st_size, limit);
    *bytes = esp_alloc((size_t)info.st_size, 1);
    if (!*bytes)
        return esp_fail(err, ESP_ERROR_MEMORY, "no memory for the %lld bytes of %s", (long long)info.st_size, path);
    *size = (size_t)info.st_size;
    while (done < *size) {
        ssize_t got = read(file, *bytes + done, *size - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return esp_fail(err, ESP_ERROR_IO, "%s: %s", path,
                            got ? strerror(errno) : "became shorter while it was read");
        done += (size_t)got;
    }
    return ESP_OK;
}

enum esp_status esp_file_read(const char *directory, const char *name, size_t limit, uint8_t **bytes, size_t *size,
                              struct esp_error *err)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", directory, name);

    *bytes = NULL;
    *size = 0;
    if (length < 0 || (size_t)length >= sizeof path)
        return esp_fail(err, ESP_ERROR_IO, "the path of the model directory is too long");
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    if (file < 0)
        return esp_fail(err, ESP_ERROR_IO, "cannot open %s: %s", path, strerror(errno));
    enum esp_status status = read_all(file, path, limit, bytes, size, err);
    close(file);
    if (status != ESP_OK) {
        esp_free(*bytes);
        *bytes = NULL;
        *size = 0;
    }
    return status;
}
