#include "core/instance.h"

#include "core/clock.h"
#include "core/crew.h"
#include "core/cutout.h"
#include "core/run.h"
#include "core/search.h"

/* ---- life ---- */

/* Room for the branches below one node of each depth: no more than there are nodes at the next one. */
static void place_offers(esp_instance *instance)
{
    const struct esp_model *model = instance->model;
    size_t *room = instance->branches;

    instance->split.offer.branches = instance->split.numbers;
    for (size_t depth = 0; depth < model->depths; depth++) {
        instance->offers[depth].branches = room;
        for (size_t i = 0; i < model->info.nodes; i++)
            room += model->nodes[i].info.depth == depth + 1;
    }
}

static bool take_memory(esp_instance *instance)
{
    const struct esp_model *model = instance->model;
    size_t floats;

    if (__builtin_mul_overflow(instance->batch, model->arena, &floats))
        return false;
    instance->arenas = esp_alloc(floats, sizeof(float));
    instance->scratch = esp_alloc(model->info.workspace_bytes, 1);
    instance->offers = esp_alloc(model->depths, sizeof *instance->offers);
    instance->branches = esp_alloc(model->info.nodes, sizeof *instance->branches);
    instance->promise = esp_alloc(model->info.nodes, sizeof *instance->promise);
    instance->open = esp_alloc(model->info.nodes, sizeof *instance->open);
    if (!instance->arenas || !instance->scratch || !instance->offers || !instance->branches || !instance->promise ||
        !instance->open)
        return false;
    instance->kept = instance->scratch + model->scratch;
    instance->workspace = instance->kept + model->kept;
    return true;
}

enum esp_status esp_instance_create(esp_instance **instance, const esp_model *model, size_t batch,
                                    struct esp_error *err)
{
    struct esp_instance *made;

    *instance = NULL;
    if (batch < 1 || batch > ESP_BATCH_MAX)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "an instance's batch has to be 1 to %d images", ESP_BATCH_MAX);
    made = esp_alloc(1, sizeof *made);
    if (made) {
        made->model = model;
        made->batch = batch;
    }
    if (!made || !take_memory(made)) {
        esp_instance_destroy(&made);
        return esp_fail(err, ESP_ERROR_MEMORY,
                        "no memory for an instance: its activations take %zu bytes for each image",
                        model->info.activation_bytes);
    }
    place_offers(made);
    *instance = made;
    return ESP_OK;
}

void esp_instance_destroy(esp_instance **instance)
{
    if (!*instance)
        return;
    esp_free((*instance)->arenas);
    esp_free((*instance)->scratch);
    esp_free((*instance)->offers);
    esp_free((*instance)->branches);
    esp_free((*instance)->promise);
    esp_free((*instance)->open);
    esp_free(*instance);
    *instance = NULL;
}

float *esp_instance_input(esp_instance *instance, size_t index)
{
    return instance->arenas + index * instance->model->arena; /* the input comes first in an arena */
}

/* ---- a run ---- */

static enum esp_status check_jobs(const struct esp_instance *instance, const struct esp_job *jobs, size_t count,
                                  struct esp_error *err)
{
    if (count < 1 || count > instance->batch)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "this instance runs 1 to %zu images, not %zu", instance->batch, count);
    for (size_t i = 0; i < count; i++)
        if (!jobs[i].cutout->closed || jobs[i].cutout->model != instance->model)
            return esp_fail(err, ESP_ERROR_ARGUMENT, "image %zu: its cutout is open, or another model's", i);
    for (size_t i = 0; i < count; i++)
        if (jobs[i].cutout->chooses && !jobs[i].ran)
            return esp_fail(err, ESP_ERROR_ARGUMENT, "image %zu: a search needs room to say what ran", i);
    return ESP_OK;
}

/* What is left when the trunk has run: whole cutouts together, then one search after the other. */
static void run_branches(struct esp_walk *walk)
{
    esp_walk_branches(walk, 0);
    for (size_t i = 0; i < walk->run->count; i++)
        if (walk->run->jobs[i].cutout->chooses)
            esp_search(walk, i);
}

enum esp_status esp_instance_run(esp_instance *instance, struct esp_job *jobs, size_t count, struct esp_error *err)
{
    enum esp_status status = check_jobs(instance, jobs, count, err);
    struct esp_run run;
    struct esp_walk walk;

    if (status != ESP_OK)
        return status;
    if (instance->crew)
        esp_crew_begin_work(instance->crew);
    esp_run_begin(&run, instance->model, jobs, count);
    esp_walk_begin(&walk, &run, instance, NULL, 0);
    double start = esp_clock_seconds();
    esp_walk_node(&walk, 0);
    double trunk = esp_clock_seconds();
    run_branches(&walk);
    double end = esp_clock_seconds();
    esp_walk_end(&walk);
    esp_run_end(&run);
    if (instance->crew)
        esp_crew_end_work(instance->crew);
    for (size_t i = 0; i < count; i++) {
        jobs[i].trunk_seconds = trunk - start;
        jobs[i].branches_seconds = end - trunk;
    }
    return ESP_OK;
}
