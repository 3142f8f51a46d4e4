/* Wall time for reports. */
#ifndef ESP_CORE_CLOCK_H
#define ESP_CORE_CLOCK_H

#include <time.h>

/* Seconds since some fixed moment. */
static inline double esp_clock_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

#endif
