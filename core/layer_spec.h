/* From the "layers" of model.json to struct esp_layer. */
#ifndef ESP_CORE_LAYER_SPEC_H
#define ESP_CORE_LAYER_SPEC_H

#include "core/layer.h"
#include "espalier/error.h"

#include <jansson.h>

/* Reads the layers of the node `path`. Whatever it returns, esp_layers_release frees what `layers` holds. */
enum esp_status esp_layers_read(struct esp_layers *layers, const json_t *list, const char *path, struct esp_error *err);

#endif
