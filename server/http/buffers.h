/* Memory of requests and answers, used over and over: once a load has been there, the next one like it takes nothing
 * from the system.
 *
 * Buffers have sizes of powers of two. One that is given back waits for the next who wants its size. All that wait have
 * BUFFERS_KEPT_MAX bytes or fewer: beyond that, the system gets buffers back, first those that nobody has needed
 * lately, so that a burst, or yesterday's large pictures, leave the room to what is wanted now. One larger than
 * BUFFER_KEPT_MAX goes back at once.
 *
 * A buffer comes with what its last user left in it: who takes one reads only what he has written (see bytes.h). There
 * is one stock for the process, as there is one malloc. All functions are thread-safe. */
#ifndef SERVER_HTTP_BUFFERS_H
#define SERVER_HTTP_BUFFERS_H

#include <stddef.h>

enum { BUFFER_KEPT_MAX = 4 << 20, BUFFERS_KEPT_MAX = 16 << 20 };

/* How many bytes a buffer for `size` bytes really has; at least `size`. */
size_t buffer_room(size_t size);

/* A buffer for `size` bytes, aligned as from malloc; NULL where there is no memory. */
void *buffer_take(size_t size);

/* A buffer for `larger` bytes that begins with the first `used` bytes of `buffer`, which was taken for `size`, may be
 * NULL, and is given back. NULL where there is no memory: `buffer` is as it was. */
void *buffer_grow(void *buffer, size_t size, size_t used, size_t larger);

/* Gives back what was taken for `size` bytes, or for any other size that has the same room. NULL is fine. */
void buffer_give(void *buffer, size_t size);

/* Bytes of the buffers that wait. */
size_t buffers_kept(void);

#endif
