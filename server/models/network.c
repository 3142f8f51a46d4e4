#include "server/models/network.h"

#include "server/answer.h"
#include "server/clock.h"

#include <pthread.h>
#include <stdlib.h>

/* ---- cutouts ---- */

struct cutout_stock {
    pthread_mutex_t lock;
    size_t free;           /* the first ones of `cutouts` wait */
    size_t count;          /* made */
    esp_cutout *cutouts[]; /* [count] */
};

static enum esp_status make_cutouts(struct network *network, size_t count, struct esp_error *err)
{
    struct cutout_stock *stock = calloc(1, sizeof *stock + count * sizeof stock->cutouts[0]);
    enum esp_status status = ESP_OK;

    if (!stock)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    network->cutouts = stock;
    pthread_mutex_init(&stock->lock, NULL);
    while (stock->count < count &&
           (status = esp_cutout_create(&stock->cutouts[stock->count], network->model, err)) == ESP_OK)
        stock->free = ++stock->count;
    return status;
}

static void destroy_cutouts(struct cutout_stock *stock)
{
    if (!stock)
        return;
    for (size_t i = 0; i < stock->count; i++)
        esp_cutout_destroy(&stock->cutouts[i]);
    pthread_mutex_destroy(&stock->lock);
    free(stock);
}

esp_cutout *network_cutout_take(struct network *network)
{
    struct cutout_stock *stock = network->cutouts;

    pthread_mutex_lock(&stock->lock);
    esp_cutout *cutout = stock->free ? stock->cutouts[--stock->free] : NULL;
    pthread_mutex_unlock(&stock->lock);
    return cutout;
}

void network_cutout_give(struct network *network, esp_cutout *cutout)
{
    struct cutout_stock *stock = network->cutouts;

    pthread_mutex_lock(&stock->lock);
    stock->cutouts[stock->free++] = cutout;
    pthread_mutex_unlock(&stock->lock);
}

/* ---- places ---- */

static enum esp_status make_places(struct network *network, const struct network_parts *parts, struct esp_error *err)
{
    enum esp_status status = esp_crew_create(&network->crew, network->model, parts->workers, parts->batch, err);

    if (status != ESP_OK)
        return status;
    if (parts->on_branches)
        esp_crew_on_branches(network->crew, parts->on_branches, parts->context);
    network->workers = parts->workers;
    network->places = calloc(parts->workers, sizeof network->places[0]);
    for (size_t i = 0; network->places && i < parts->workers; i++) {
        struct network_place *place = &network->places[i];
        place->instance = esp_crew_instance(network->crew, i);
        place->scores = calloc(parts->batch * network->info->nodes, sizeof place->scores[0]);
        place->ran = calloc(parts->batch * network->info->nodes, sizeof place->ran[0]);
        place->predictions = calloc(network->info->categories, sizeof place->predictions[0]);
        if (!place->scores || !place->ran || !place->predictions)
            return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    }
    return network->places ? ESP_OK : esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
}

static void destroy_places(struct network *network)
{
    for (size_t i = 0; network->places && i < network->workers; i++) {
        free(network->places[i].scores);
        free(network->places[i].ran);
        free(network->places[i].predictions);
    }
    free(network->places);
    esp_crew_destroy(&network->crew);
}

/* ---- life ---- */

/* All of it, on the empty picture. */
static enum esp_status run_once(struct network *network, struct esp_error *err)
{
    struct network_place *place = &network->places[0];
    esp_cutout *cutout = network_cutout_take(network);
    struct esp_job job = {.cutout = cutout, .input = esp_instance_input(place->instance, 0), .scores = place->scores};
    enum esp_status status = esp_cutout_close(cutout, err);
    uint64_t begin = clock_now();

    if (status == ESP_OK)
        status = esp_instance_run(place->instance, &job, 1, err);
    network->first_run_ns = clock_now() - begin;
    network_cutout_give(network, cutout);
    return status;
}

static enum esp_status fill(struct network *network, const char *directory, const struct network_parts *parts,
                            struct esp_error *err)
{
    struct model_choice choice = {directory, parts->kernels, parts->precision};
    enum esp_status status = model_choice_load(&choice, &network->model, network->directory, err);

    if (status != ESP_OK)
        return status;
    network->info = esp_model_info(network->model);
    network->categories = answer_categories(network->model);
    if (!network->categories || !branch_counts_create(&network->branches, network->model, parts->workers))
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    if ((status = make_cutouts(network, parts->cutouts, err)) != ESP_OK ||
        (status = make_places(network, parts, err)) != ESP_OK)
        return status;
    return run_once(network, err);
}

enum esp_status network_load(struct network **network, const char *directory, const struct network_parts *parts,
                             struct esp_error *err)
{
    struct network *made = calloc(1, sizeof *made);

    *network = made;
    if (!made)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    enum esp_status status = fill(made, directory, parts, err);
    if (status != ESP_OK)
        network_destroy(network);
    return status;
}

void network_follow(struct network *network, const struct network *old)
{
    if (!branch_counts_fits(old->branches, network->model))
        return;
    branch_counts_release(network->branches);
    network->branches = branch_counts_keep(old->branches);
}

void network_destroy(struct network **network)
{
    if (!*network)
        return;
    destroy_places(*network);
    destroy_cutouts((*network)->cutouts);
    branch_counts_release((*network)->branches);
    free((*network)->categories);
    esp_model_destroy(&(*network)->model);
    free(*network);
    *network = NULL;
}
