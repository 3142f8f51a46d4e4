/* The sorted indexes behind esp_model_find. */
#ifndef ESP_CORE_NAMES_H
#define ESP_CORE_NAMES_H

#include "core/model.h"

/* Makes model->by_path and model->by_name. Returns false where memory is short. */
bool esp_names_index(struct esp_model *model);

#endif
