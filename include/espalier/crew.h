/* A crew: instances that take branches of each other's runs, so that a run which is alone uses idle threads, too.
 *
 * A crew's instances are used like any others, each by one thread at a time. What is new is that a thread whose instance
 * has nothing to run may lend a hand: esp_crew_help takes one branch that another member has come to and not yet begun,
 * runs it in its own instance's memory, and hands the result over. Who helps is free again after that branch; nobody has
 * to help, and a run that is never helped takes the time that it takes alone. The crew starts no threads.
 *
 * Helping changes no bit of any score and no cost (laws 1 and 2), and allocates nothing (law 4). */
#ifndef ESPALIER_CREW_H
#define ESPALIER_CREW_H

#include "espalier/instance.h"

typedef struct esp_crew esp_crew;

/* `instances` instances, at least 1, that run up to `batch` images each. The model must outlive the crew. */
enum esp_status esp_crew_create(esp_crew **crew, const esp_model *model, size_t instances, size_t batch,
                                struct esp_error *err);

/* When no member runs or helps any more. Sets the pointer to NULL; NULL is fine. */
void esp_crew_destroy(esp_crew **crew);

/* Instance `number`, below `instances`; it lives as long as the crew. */
esp_instance *esp_crew_instance(const esp_crew *crew, size_t number);

/* `on_branches` is called by the thread of a run when it has come to branches that others could take: `branches` of them.
 * It is called many times in a run and must not block; it is there to wake sleepers. A thread that says it will sleep
 * (sequentially consistent), then finds nothing to help with, and sleeps, is not missed by a callback that looks for
 * sleepers (sequentially consistent). Set it before the first run. */
void esp_crew_on_branches(esp_crew *crew, void (*on_branches)(void *context, size_t branches), void *context);

/* Whether esp_crew_help would find something right now; takes nothing. */
bool esp_crew_wants_help(const esp_instance *helper);

/* Runs one branch of another member's run, the largest that can be had; false where there is none. Thread-safe; `helper`
 * is an instance of a crew that its thread does not use otherwise meanwhile. */
bool esp_crew_help(esp_instance *helper);

#endif
