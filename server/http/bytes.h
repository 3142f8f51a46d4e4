/* Bytes that arrive piece by piece. Memory doubles as they come: a header that promises much costs nothing. */
#ifndef SERVER_HTTP_BYTES_H
#define SERVER_HTTP_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is an empty one. */
struct bytes {
    uint8_t *data; /* [capacity], NULL while nothing has come */
    size_t size, capacity;
};

/* Adds a copy of `size` bytes; false where there is no memory. */
bool bytes_append(struct bytes *bytes, const void *more, size_t size);

/* Frees them, and is empty again. */
void bytes_free(struct bytes *bytes);

#endif
