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

/* What a search has to know of an inner branch: its family are the children that run. */
struct esp_family {
    uint64_t macs;           /* of the family, heads that run included */
    uint64_t cheapest;       /* of the way from its cheapest child to a category; 0 where the family has one itself */
    unsigned category_depth; /* of the nearest category below it */
};

struct esp_cutout {
    const struct esp_model *model;
    bool selective; /* something was selected; otherwise all is */
    bool groups, closed;
    size_t beam;     /* 0 for none */
    uint64_t budget; /* likewise */
    bool chooses;    /* a search has to choose; only then what stands in `families` holds */
    uint64_t macs_least, macs_most;
    struct esp_cost cost;           /* of all of it */
    struct esp_family *families;    /* [nodes], behind the nodes */
    struct esp_cutout_node nodes[]; /* [model->info.nodes] */
};

#endif
