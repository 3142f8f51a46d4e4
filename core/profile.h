/* The inside of a profile, and the stop-watch that a run holds against it. */
#ifndef ESP_CORE_PROFILE_H
#define ESP_CORE_PROFILE_H

#include "core/clock.h"
#include "core/model.h"
#include "espalier/profile.h"

struct esp_profile {
    const struct esp_model *model;
    size_t *first; /* [nodes + 1]: a node's first row; its steps come first, then the rest in the order of the parts */
    struct esp_profile_row *rows;
};

/* Every stretch of a run starts the watch, and stops it with what it was. Without a profile neither looks at the clock.
 */
static inline double esp_profile_start(const struct esp_profile *profile)
{
    return profile ? esp_clock_seconds() : 0;
}

/* Adds an image to a row of a node: that of a step, or of a part that is none. */
void esp_profile_add(struct esp_profile *profile, size_t row, uint64_t macs, double start);

static inline void esp_profile_step(struct esp_profile *profile, size_t node, size_t step, uint64_t macs, double start)
{
    if (profile)
        esp_profile_add(profile, profile->first[node] + step, macs, start);
}

static inline void esp_profile_part(struct esp_profile *profile, size_t node, enum esp_profile_part part, uint64_t macs,
                                    double start)
{
    if (profile)
        esp_profile_add(profile, profile->first[node + 1] - 1 - (ESP_PROFILE_PATCHES - part), macs, start);
}

#endif
