/* The inside of a cutout. */
#ifndef ESP_CORE_CUTOUT_H
#define ESP_CORE_CUTOUT_H

#include "core/model.h"
#include "espalier/cutout.h"

struct esp_cutout_node {
    float weight;  /* attention */
    bool attended; /* a weight was set */
    bool selected, runs, scores;
};

struct esp_cutout {
    const struct esp_model *model;
    bool selective; /* something was selected; otherwise all is */
    bool groups, closed;
    struct esp_cost cost;
    struct esp_cutout_node nodes[]; /* [model->info.nodes] */
};

#endif
