#include "server/http/bytes.h"

#include "server/http/buffers.h"

#include <string.h>

static bool make_room(struct bytes *bytes, size_t needed)
{
    uint8_t *data = buffer_grow(bytes->data, bytes->capacity, bytes->size, needed);

    if (!data)
        return false;
    bytes->data = data;
    bytes->capacity = buffer_room(needed);
    return true;
}

size_t bytes_room(const struct bytes *bytes, size_t more)
{
    return more > bytes->capacity - bytes->size ? buffer_room(bytes->size + more) : bytes->capacity;
}

bool bytes_append(struct bytes *bytes, const void *more, size_t size)
{
    if (size == 0)
        return true;
    if (size > bytes->capacity - bytes->size && !make_room(bytes, bytes->size + size))
        return false;
    memcpy(bytes->data + bytes->size, more, size);
    bytes->size += size;
    return true;
}

void bytes_free(struct bytes *bytes)
{
    buffer_give(bytes->data, bytes->capacity);
    *bytes = (struct bytes){0};
}
