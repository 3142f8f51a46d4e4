#include "core/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

static atomic_uint_least64_t allocations, allocated;
static atomic_uint_least64_t fail_at;

/* Weights and activations in large pages, where the system gives them for the asking: a run goes through megabytes, and
 * looking up small pages takes some percent of its time. */
static void *take(size_t bytes)
{
    if (bytes < HUGE_PAGE)
        return aligned_alloc(ESP_ALIGNMENT, bytes);
    size_t whole = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *memory = aligned_alloc(HUGE_PAGE, whole);
    if (memory)
        madvise(memory, whole, MADV_HUGEPAGE); /* a wish: whether it is granted changes nothing else */
    return memory;
}

void *esp_alloc(size_t count, size_t size)
{
    uint64_t number = atomic_fetch_add(&allocations, 1) + 1;
    size_t bytes;

    if (number == atomic_load(&fail_at) || __builtin_mul_overflow(count, size, &bytes) ||
        bytes > SIZE_MAX - 2 * HUGE_PAGE)
        return NULL;
    bytes = (bytes + ESP_ALIGNMENT) / ESP_ALIGNMENT * ESP_ALIGNMENT; /* never 0, a multiple of the alignment */
    atomic_fetch_add(&allocated, bytes);
    void *memory = take(bytes);
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

void esp_free(void *memory)
{
    free(memory);
}

char *esp_strdup(const char *text)
{
    size_t length = strlen(text) + 1;
    char *copy = esp_alloc(length, 1);
    if (copy)
        memcpy(copy, text, length);
    return copy;
}

uint64_t esp_allocations(void)
{
    return atomic_load(&allocations);
}

uint64_t esp_allocated_bytes(void)
{
    return atomic_load(&allocated);
}

void esp_fail_allocation(uint64_t nth)
{
    atomic_store(&fail_at, nth ? atomic_load(&allocations) + nth : 0);
}
