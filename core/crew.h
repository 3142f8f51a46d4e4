/* How the members of a crew come to branches of each other's runs. */
#ifndef ESP_CORE_CREW_H
#define ESP_CORE_CREW_H

#include "core/run.h"
#include "espalier/crew.h"

/* Tells who listens that `branches` more can be taken. */
void esp_crew_announce(const esp_crew *crew, size_t branches);

/* Whether a member neither runs nor helps at the moment. */
bool esp_crew_has_idle(const esp_crew *crew);

/* Around all that a member does. */
void esp_crew_begin_work(esp_crew *crew);
void esp_crew_end_work(esp_crew *crew);

/* Waits until the parts of a convolution that `others` took are finished. */
void esp_crew_wait_for_parts(const struct esp_offer *offer, size_t others);

/* Waits until the branches of `offer` that `others` took are finished, the walk's thread having taken the rest; `depth`
 * is that of the node above them. Meanwhile it helps those who help: with branches of the same run, and only with such
 * that lie deeper, as the outputs at `depth` and above are still needed. As everyone waits only for what lies deeper,
 * nobody waits for himself. */
void esp_crew_wait(struct esp_walk *walk, const struct esp_offer *offer, size_t others, unsigned depth);

#endif
