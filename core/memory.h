/* Where the engine's memory comes from. Every allocation of the engine goes through here, so that a test can count them
 * (law 4: none in the request path) and let the Nth one fail. Thread-safe. */
#ifndef ESP_CORE_MEMORY_H
#define ESP_CORE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

enum { ESP_ALIGNMENT = 64 }; /* bytes: a cache line, and an AVX-512 register */

/* Rounded up to a multiple of ESP_ALIGNMENT. */
static inline size_t esp_aligned(size_t bytes)
{
    return (bytes + ESP_ALIGNMENT - 1) / ESP_ALIGNMENT * ESP_ALIGNMENT;
}

/* `count` elements of `size` bytes, zeroed and aligned to ESP_ALIGNMENT; NULL where the product overflows, or the
 * system gives no memory. A product of 0 gives a pointer that may be freed. Free with esp_free; NULL is fine there. */
void *esp_alloc(size_t count, size_t size);
void esp_free(void *memory);

/* A copy of a string, from esp_alloc. */
char *esp_strdup(const char *text);

/* Allocations so far in this process, and the bytes that they asked for. */
uint64_t esp_allocations(void);
uint64_t esp_allocated_bytes(void);

/* For tests: the `nth` allocation from now (1 is the next) fails, once; 0 switches it off. */
void esp_fail_allocation(uint64_t nth);

#endif
