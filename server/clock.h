/* One clock for deadlines and durations: it never jumps. Thread-safe. */
#ifndef SERVER_CLOCK_H
#define SERVER_CLOCK_H

#include <stdint.h>

/* Nanoseconds since some fixed moment. */
uint64_t clock_now(void);

/* From one moment to a later one. */
double clock_seconds(uint64_t from_ns, uint64_t to_ns);

void clock_sleep_ms(unsigned milliseconds);

#endif
