/* A piece of memory that grows and is kept from one picture to the next. */
#ifndef ESP_CORE_IMAGE_BUFFER_H
#define ESP_CORE_IMAGE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/* Starts as {0}; `data` is owned, from esp_alloc. */
struct esp_buffer {
    void *data;
    size_t bytes;
};

/* Makes room for `count` elements of `size` bytes; what was in the buffer is lost where it has to grow. False where the
 * product overflows or there is no memory: then the buffer is empty. */
bool esp_buffer_reserve(struct esp_buffer *buffer, size_t count, size_t size);

/* Gives the memory back where it is more than `keep` bytes; 0 frees it in any case. */
void esp_buffer_trim(struct esp_buffer *buffer, size_t keep);

#endif
