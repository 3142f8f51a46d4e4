/* An offer: the branches below a node that has run, open to whoever comes first. The thread that runs the node opens it
 * and takes branches itself; others may take some at any time, and tell when theirs are finished. Every branch is handed
 * out exactly once.
 *
 * All of it is atomic operations on the offer, no locks: a thread that nobody helps pays one of them for each branch. An
 * offer is used over and over, for one node after another. Its generation is counted up each time, so that someone who
 * has looked at an offer that is over by now takes nothing from the next one by mistake. */
#ifndef ESP_CORE_OFFER_H
#define ESP_CORE_OFFER_H

#include "core/memory.h"

#include <stdatomic.h>
#include <stdbool.h>

struct esp_run;

/* Aligned so that looking at one level's offer does not disturb those who take from another one. */
struct esp_offer {
    _Alignas(ESP_ALIGNMENT) atomic_uint_least64_t state; /* generation (32 bits), branches (16), taken so far (16) */
    _Atomic(struct esp_run *) run;                       /* that the branches belong to */
    atomic_size_t finished;                              /* how many of the others' are */
    size_t *branches;                                    /* nodes, in the order in which they are taken */
};

/* Opens the offer for the first `count` of offer->branches (fewer than 65536), which its owner has filled in. Everything
 * that was taken before must be finished. */
void esp_offer_open(struct esp_offer *offer, struct esp_run *run, size_t count);

/* Whether a branch is left. Any thread, any time. */
bool esp_offer_left(const struct esp_offer *offer);

/* Takes the next branch, if there is one left, and if it belongs to `run`; NULL stands for any. Any thread, any time.
 * Afterwards the run goes on, and what its owner wrote before it opened the offer can be read, until esp_offer_finish. */
bool esp_offer_take(struct esp_offer *offer, const struct esp_run *run, size_t *node);

/* For the others, once for each branch taken: its results are written. The offer may not be touched after it. */
void esp_offer_finish(struct esp_offer *offer);

/* For the owner, when all branches are taken: whether the `others` that others took are finished. What they wrote can be
 * read then. */
bool esp_offer_finished(const struct esp_offer *offer, size_t others);

#endif
