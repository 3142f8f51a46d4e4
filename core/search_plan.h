/* What a search knows before it begins: whether there is anything to choose, which heads it has to run, what each
 * family costs, and the bounds of the whole. Part of closing a cutout; allocates nothing. */
#ifndef ESP_CORE_SEARCH_PLAN_H
#define ESP_CORE_SEARCH_PLAN_H

#include "core/cutout.h"

/* When it is settled what runs, what scores and what that costs without a search. Marks the inner branches whose heads
 * the search needs as scoring, too. ESP_ERROR_SEARCH: see esp_cutout_close. */
enum esp_status esp_search_plan(struct esp_cutout *cutout, struct esp_error *err);

#endif
