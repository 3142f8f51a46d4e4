#include "core/crew.h"

#include <sched.h>

struct esp_crew {
    void (*on_branches)(void *context, size_t branches);
    void *context;
    atomic_size_t at_work; /* members that run or help */
    size_t count;
    esp_instance *instances[]; /* [count] */
};

enum { PAUSES_BEFORE_YIELDING = 100 }; /* some microseconds: most of what others took is finished by then */

/* ---- taking branches ---- */

/* A branch of someone else's offer. */
struct taken {
    esp_instance *from;
    struct esp_offer *offer;
    size_t node;
};

/* Looks at every member's offer of one depth, beginning with the helper's neighbour: helpers spread. */
static bool take_at(const esp_instance *helper, const struct esp_run *run, size_t depth, struct taken *taken)
{
    const esp_crew *crew = helper->crew;

    for (size_t i = 1; i < crew->count; i++) {
        taken->from = crew->instances[(helper->number + i) % crew->count];
        taken->offer = &taken->from->offers[depth];
        if (esp_offer_take(taken->offer, run, &taken->node))
            return true;
    }
    return false;
}

bool esp_crew_wants_help(const esp_instance *helper)
{
    const esp_crew *crew = helper->crew;

    for (size_t i = 0; crew && i < crew->count; i++) {
        if (esp_offer_left(&crew->instances[i]->split.offer))
            return true;
        for (size_t depth = 0; depth < helper->model->depths; depth++)
            if (esp_offer_left(&crew->instances[i]->offers[depth]))
                return true;
    }
    return false;
}

/* Computes one part of a convolution that another member has split. */
static bool help_with_part(esp_instance *helper)
{
    const esp_crew *crew = helper->crew;
    size_t part;

    for (size_t i = 1; i < crew->count; i++) {
        esp_instance *owner = crew->instances[(helper->number + i) % crew->count];
        if (esp_offer_take(&owner->split.offer, NULL, &part)) {
            esp_split_part(owner, part, helper);
            esp_offer_finish(&owner->split.offer);
            return true;
        }
    }
    return false;
}

/* Runs one branch from an offer at `least` or deeper, the largest first, which are those near the trunk. */
static bool help(esp_instance *helper, const struct esp_run *run, size_t least)
{
    struct esp_walk walk;
    struct taken taken;
    size_t depth = least;

    while (depth < helper->model->depths && !take_at(helper, run, depth, &taken))
        depth++;
    if (depth >= helper->model->depths)
        return false;
    esp_walk_begin(&walk, atomic_load_explicit(&taken.offer->run, memory_order_relaxed), helper, taken.from,
                   (unsigned)depth + 1);
    esp_walk_subtree(&walk, taken.node);
    esp_walk_end(&walk);
    esp_offer_finish(taken.offer);
    return true;
}

bool esp_crew_help(esp_instance *helper)
{
    if (!helper->crew)
        return false;
    esp_crew_begin_work(helper->crew);
    bool helped = help_with_part(helper) || help(helper, NULL, 0);
    esp_crew_end_work(helper->crew);
    return helped;
}

bool esp_crew_has_idle(const esp_crew *crew)
{
    return atomic_load_explicit(&crew->at_work, memory_order_relaxed) < crew->count;
}

void esp_crew_begin_work(esp_crew *crew)
{
    atomic_fetch_add_explicit(&crew->at_work, 1, memory_order_relaxed);
}

void esp_crew_end_work(esp_crew *crew)
{
    atomic_fetch_sub_explicit(&crew->at_work, 1, memory_order_relaxed);
}

/* ---- waiting ---- */

/* The threads may outnumber the CPUs, so that the one that is waited for needs this one. */
static void pause_a_little(size_t round)
{
    if (round >= PAUSES_BEFORE_YIELDING) {
        sched_yield();
        return;
    }
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void esp_crew_wait(struct esp_walk *walk, const struct esp_offer *offer, size_t others, unsigned depth)
{
    for (size_t round = 0; !esp_offer_finished(offer, others); round++) {
        if (help(walk->instance, walk->run, depth))
            round = 0;
        else
            pause_a_little(round);
    }
}

void esp_crew_wait_for_parts(const struct esp_offer *offer, size_t others)
{
    for (size_t round = 0; !esp_offer_finished(offer, others); round++)
        pause_a_little(round);
}

void esp_crew_announce(const esp_crew *crew, size_t branches)
{
    if (crew->on_branches)
        crew->on_branches(crew->context, branches);
}

/* ---- life ---- */

static enum esp_status no_memory(struct esp_error *err)
{
    return esp_fail(err, ESP_ERROR_MEMORY, "no memory for a crew");
}

enum esp_status esp_crew_create(esp_crew **crew, const esp_model *model, size_t instances, size_t batch,
                                struct esp_error *err)
{
    size_t bytes;

    *crew = NULL;
    if (instances < 1)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "a crew has at least one instance");
    if (__builtin_mul_overflow(instances, sizeof(esp_instance *), &bytes) ||
        __builtin_add_overflow(bytes, sizeof **crew, &bytes))
        return no_memory(err);
    esp_crew *made = esp_alloc(1, bytes);
    if (!made)
        return no_memory(err);
    for (; made->count < instances; made->count++) {
        esp_instance **instance = &made->instances[made->count];
        enum esp_status status = esp_instance_create(instance, model, batch, err);
        if (status != ESP_OK) {
            esp_crew_destroy(&made);
            return status;
        }
        (*instance)->crew = instances > 1 ? made : NULL;
        (*instance)->number = made->count;
    }
    *crew = made;
    return ESP_OK;
}

void esp_crew_destroy(esp_crew **crew)
{
    if (!*crew)
        return;
    for (size_t i = 0; i < (*crew)->count; i++)
        esp_instance_destroy(&(*crew)->instances[i]);
    esp_free(*crew);
    *crew = NULL;
}

esp_instance *esp_crew_instance(const esp_crew *crew, size_t number)
{
    return crew->instances[number];
}

void esp_crew_on_branches(esp_crew *crew, void (*on_branches)(void *context, size_t branches), void *context)
{
    crew->on_branches = on_branches;
    crew->context = context;
}
