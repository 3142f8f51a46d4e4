#include "core/offer.h"

enum { COUNT_SHIFT = 16, GENERATION_SHIFT = 32, FIELD_MASK = 0xffff };

static size_t count_of(uint64_t state)
{
    return state >> COUNT_SHIFT & FIELD_MASK;
}

static size_t taken_of(uint64_t state)
{
    return state & FIELD_MASK;
}

/* The last store is the one that makes the rest visible, and is ordered before whatever the owner looks at next: whether
 * somebody has to be woken (see esp_crew_on_branches). */
void esp_offer_open(struct esp_offer *offer, struct esp_run *run, size_t count)
{
    uint64_t generation = (atomic_load_explicit(&offer->state, memory_order_relaxed) >> GENERATION_SHIFT) + 1;

    atomic_store_explicit(&offer->finished, 0, memory_order_relaxed);
    atomic_store_explicit(&offer->run, run, memory_order_release);
    atomic_store_explicit(&offer->state, generation << GENERATION_SHIFT | (uint64_t)count << COUNT_SHIFT,
                          memory_order_seq_cst);
}

bool esp_offer_left(const struct esp_offer *offer)
{
    uint64_t state = atomic_load_explicit(&offer->state, memory_order_seq_cst);
    return taken_of(state) < count_of(state);
}

/* The exchange fails where the state has changed since it was read, so a `run` that was read in between is that of the
 * branch taken. */
bool esp_offer_take(struct esp_offer *offer, const struct esp_run *run, size_t *node)
{
    uint64_t state = atomic_load_explicit(&offer->state, memory_order_seq_cst);

    while (taken_of(state) < count_of(state)) {
        if (run && atomic_load_explicit(&offer->run, memory_order_acquire) != run)
            return false;
        if (atomic_compare_exchange_weak_explicit(&offer->state, &state, state + 1, memory_order_acq_rel,
                                                  memory_order_acquire)) {
            *node = offer->branches[taken_of(state)];
            return true;
        }
    }
    return false;
}

void esp_offer_finish(struct esp_offer *offer)
{
    atomic_fetch_add_explicit(&offer->finished, 1, memory_order_release);
}

bool esp_offer_finished(const struct esp_offer *offer, size_t others)
{
    return atomic_load_explicit(&offer->finished, memory_order_acquire) == others;
}
