#include "core/layer.h"

#include "core/memory.h"

void esp_layers_release(struct esp_layers *layers)
{
    for (size_t i = 0; i < layers->count; i++) {
        esp_free(layers->items[i].name);
        esp_layers_release(&layers->items[i].body);
        esp_layers_release(&layers->items[i].shortcut);
    }
    esp_free(layers->items);
    *layers = (struct esp_layers){0};
}
