#include "server/http/bytes.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 4 << 10 };

bool bytes_append(struct bytes *bytes, const void *more, size_t size)
{
    size_t needed = bytes->size + size, capacity = bytes->capacity ? bytes->capacity : FIRST_CAPACITY;

    if (size == 0)
        return true;
    while (capacity < needed)
        capacity *= 2;
    if (capacity != bytes->capacity) {
        uint8_t *grown = realloc(bytes->data, capacity);
        if (!grown)
            return false;
        bytes->data = grown;
        bytes->capacity = capacity;
    }
    memcpy(bytes->data + bytes->size, more, size);
    bytes->size = needed;
    return true;
}

void bytes_free(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){0};
}
