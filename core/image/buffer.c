#include "core/image/buffer.h"

#include "core/memory.h"

bool esp_buffer_reserve(struct esp_buffer *buffer, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        bytes = 0;
    if (bytes > 0 && bytes <= buffer->bytes)
        return true;
    esp_buffer_trim(buffer, 0); /* first, so that old and new never take memory at once */
    if (bytes > 0)
        buffer->data = esp_alloc(bytes, 1);
    if (buffer->data)
        buffer->bytes = bytes;
    return buffer->data != NULL;
}

void esp_buffer_trim(struct esp_buffer *buffer, size_t keep)
{
    if (buffer->bytes <= keep)
        return;
    esp_free(buffer->data);
    buffer->data = NULL;
    buffer->bytes = 0;
}
