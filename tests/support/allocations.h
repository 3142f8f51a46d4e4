/* Counts every allocation of the process, those of shared libraries included: malloc and its like are defined here and
 * call the C library. Under a sanitizer, which brings its own malloc, the count stays at 0. */
#ifndef ESP_TESTS_ALLOCATIONS_H
#define ESP_TESTS_ALLOCATIONS_H

#include <stdint.h>

uint64_t process_allocations(void);

#endif
