/* A network that is served: the model, an instance of it for each worker, the cutouts of its requests, and what it says
 * about itself. It is made at once or not at all, never changes, and is shared by all threads; who may use it at a time
 * is said below. How long it lives is the business of repository.h. */
#ifndef SERVER_MODELS_NETWORK_H
#define SERVER_MODELS_NETWORK_H

#include "espalier/crew.h"
#include "espalier/predict.h"
#include "server/metrics/branch_counts.h"
#include "server/models/model_choice.h"

#include <stdatomic.h>

/* What networks are made for. */
struct network_parts {
    const char *kernels, *precision; /* as the person wrote them */
    size_t workers, batch;
    size_t cutouts;                                      /* requests at a time, wherever they are */
    void (*on_branches)(void *context, size_t branches); /* see esp_crew_on_branches; NULL for none */
    void *context;
};

/* What one worker has of a network; used by its thread alone. */
struct network_place {
    esp_instance *instance;
    float *scores;                      /* [batch][nodes] */
    uint8_t *ran;                       /* likewise */
    struct esp_prediction *predictions; /* [categories] */
};

struct cutout_stock;

struct network {
    esp_model *model;
    const struct esp_model_info *info;
    char directory[BUNDLED_PATH_MAX];
    char *categories; /* the JSON of GET /categories */
    esp_crew *crew;
    struct network_place *places; /* [workers] */
    size_t workers;
    struct cutout_stock *cutouts;
    struct branch_counts *branches; /* how often each has run; goes on with the next network of the same tree */
    uint64_t first_run_ns;          /* what the whole network took, once, on one thread */
    atomic_size_t holders;          /* the repository's own */
};

/* Loads the model directory ("" for the bundled one) and runs it once, so that no request is the first. On failure
 * *network is NULL and the text says what is wrong with it. `parts` is read only. */
enum esp_status network_load(struct network **network, const char *directory, const struct network_parts *parts,
                             struct esp_error *err);

/* The network is about to take the place of `old`: its branches are counted on where those of `old` are the same.
 * Before anyone else knows of it. */
void network_follow(struct network *network, const struct network *old);

/* Gives all of its memory back to the system. When nobody uses it any more; sets the pointer to NULL; NULL is fine. */
void network_destroy(struct network **network);

/* A cutout for one request, and back. Thread-safe. NULL where more than parts->cutouts are in use. */
esp_cutout *network_cutout_take(struct network *network);
void network_cutout_give(struct network *network, esp_cutout *cutout);

#endif
