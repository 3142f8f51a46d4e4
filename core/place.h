/* Memory planning: tensors with a lifetime get offsets in one area, so that those that live at the same time do not
 * overlap. Greedy by size, the largest first at the lowest free offset (Pisarchyk and
 * Lee, arXiv 2001.03288). */
#ifndef ESP_CORE_PLACE_H
#define ESP_CORE_PLACE_H

#include <stdbool.h>
#include <stddef.h>

struct esp_interval {
    size_t first, last; /* steps, both included */
    size_t size;
    size_t offset; /* out */
};

/* Sets the offsets and *total, the size of the area. Returns false where memory is short. */
bool esp_place_intervals(struct esp_interval *intervals, size_t count, size_t *total);

#endif
