/* Bytes that arrive, or are written, piece by piece. Memory doubles as they come: a header that promises much costs
 * nothing. It comes from the stock (buffers.h). Each is used by one thread at a time. */
#ifndef SERVER_HTTP_BYTES_H
#define SERVER_HTTP_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is an empty one. */
struct bytes {
    uint8_t *data; /* [capacity], of which `size` bytes are written; NULL while nothing has come */
    size_t size, capacity;
};

/* The capacity that it would have with `more` bytes. */
size_t bytes_room(const struct bytes *bytes, size_t more);

/* Adds a copy of `size` bytes; false where there is no memory. */
bool bytes_append(struct bytes *bytes, const void *more, size_t size);

/* Gives the memory back, and is empty again. */
void bytes_free(struct bytes *bytes);

#endif
