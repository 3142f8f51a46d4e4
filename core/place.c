#include "core/place.h"

#include "core/memory.h"

#include <stdlib.h>

static int larger_first(const void *a, const void *b)
{
    const struct esp_interval *x = *(struct esp_interval *const *)a, *y = *(struct esp_interval *const *)b;
    if (x->size != y->size)
        return x->size < y->size ? 1 : -1;
    return (x->first > y->first) - (x->first < y->first); /* a fixed order, so a fixed plan */
}

static bool overlap(const struct esp_interval *a, const struct esp_interval *b)
{
    bool in_time = a->first <= b->last && b->first <= a->last;
    return in_time && a->offset < b->offset + b->size && b->offset < a->offset + a->size;
}

/* The lowest offset where `one` overlaps none of the placed ones: 0, or just behind one of them. */
static void place(struct esp_interval *one, struct esp_interval *const *placed, size_t count)
{
    one->offset = 0;
    for (size_t i = 0; i < count;) {
        if (overlap(one, placed[i])) {
            one->offset = placed[i]->offset + placed[i]->size;
            i = 0;
        } else {
            i++;
        }
    }
}

bool esp_place_intervals(struct esp_interval *intervals, size_t count, size_t *total)
{
    struct esp_interval **order = esp_alloc(count, sizeof *order);

    *total = 0;
    if (!order)
        return false;
    for (size_t i = 0; i < count; i++)
        order[i] = &intervals[i];
    if (count)
        qsort(order, count, sizeof *order, larger_first);
    for (size_t i = 0; i < count; i++) {
        place(order[i], order, i);
        if (order[i]->offset + order[i]->size > *total)
            *total = order[i]->offset + order[i]->size;
    }
    esp_free(order);
    return true;
}
