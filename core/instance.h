/* The inside of an instance. Only the thread that uses it writes to its memory; who takes over a branch of what it runs
 * reads the outputs and patches that the branch hangs on. */
#ifndef ESP_CORE_INSTANCE_H
#define ESP_CORE_INSTANCE_H

#include "core/model.h"
#include "core/offer.h"
#include "espalier/instance.h"

struct esp_crew;
struct esp_profile;

enum { ESP_PARTS_MAX = 4 };

/* A convolution of one image, cut into parts; the offer's "branches" are their numbers. Its owner writes the rest
 * before it opens the offer. */
struct esp_split {
    struct esp_offer offer;
    const struct esp_conv *conv;
    const struct esp_images *images;
    size_t numbers[ESP_PARTS_MAX];
};

struct esp_instance {
    const struct esp_model *model;
    size_t batch;
    float *arenas;               /* [batch][model->arena] */
    float *scratch;              /* [model->scratch], of the segment that runs */
    float *kept;                 /* [model->kept], outputs of a search's inner branches; behind the scratch */
    void *workspace;             /* of the kernels; behind what is kept */
    struct esp_offer *offers;    /* [model->depths]: the branches below the node that runs at that depth */
    size_t *branches;            /* [nodes], of the offers */
    double *promise;             /* [nodes], of the branches that a search has come to */
    size_t *open;                /* [nodes], those that it has not descended into */
    struct esp_split split;      /* the convolution in hand, where others may take parts of it */
    struct esp_crew *crew;       /* whose members may take branches; NULL for nobody */
    size_t number;               /* in the crew */
    struct esp_profile *profile; /* that its runs fill in; NULL for none */
};

#endif
