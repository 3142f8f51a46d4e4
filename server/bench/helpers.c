#include "server/bench/helpers.h"

#include "server/work/bell.h"
#include "server/clock.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

/* How long a helper looks around before it sleeps, as the daemon's workers do. */
enum { LOOK_NS = 100000 };

struct helper {
    pthread_t thread;
    struct helpers *all;
    esp_instance *instance;
};

struct helpers {
    esp_crew *crew;
    struct bell *bell;
    atomic_bool stopping;
    size_t count; /* threads that run */
    struct helper each[];
};

static void *help(void *context)
{
    struct helper *helper = context;
    struct helpers *all = helper->all;
    uint64_t since = clock_now();

    while (!atomic_load(&all->stopping)) {
        unsigned heard = bell_listen(all->bell);
        if (esp_crew_help(helper->instance)) {
            since = clock_now();
        } else if (clock_now() - since > LOOK_NS && !atomic_load(&all->stopping)) {
            bell_sleep(all->bell, heard);
            since = clock_now();
        } else {
            sched_yield();
        }
    }
    return NULL;
}

static void wake(void *context, size_t branches)
{
    struct helpers *all = context;
    bell_ring(all->bell, branches);
}

enum esp_status helpers_start(struct helpers **helpers, esp_crew *crew, size_t count, struct esp_error *err)
{
    struct helpers *all = calloc(1, sizeof *all + count * sizeof all->each[0]);

    *helpers = all;
    if (all)
        all->bell = bell_create();
    if (!all || !all->bell) {
        helpers_stop(helpers);
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    }
    all->crew = crew;
    esp_crew_on_branches(crew, wake, all);
    for (; all->count < count; all->count++) {
        struct helper *helper = &all->each[all->count];
        helper->all = all;
        helper->instance = esp_crew_instance(crew, all->count + 1);
        if (pthread_create(&helper->thread, NULL, help, helper) != 0) {
            helpers_stop(helpers);
            return esp_fail(err, ESP_ERROR_MEMORY, "the system gives no more threads");
        }
    }
    return ESP_OK;
}

void helpers_stop(struct helpers **helpers)
{
    struct helpers *all = *helpers;

    if (!all)
        return;
    atomic_store(&all->stopping, true);
    if (all->bell)
        bell_ring(all->bell, all->count);
    for (size_t i = 0; i < all->count; i++)
        pthread_join(all->each[i].thread, NULL);
    if (all->crew)
        esp_crew_on_branches(all->crew, NULL, NULL);
    bell_destroy(&all->bell);
    free(all);
    *helpers = NULL;
}
