/* An instance: activations of its own, over a model's shared weights.
 *
 * All its memory is taken when it is created; esp_instance_run allocates nothing. One thread uses an instance at a
 * time; any number of instances may run side by side on one model.
 *
 * Law 1 holds: a score has the same bits whatever else is selected, batched, or running elsewhere (same kernel set). */
#ifndef ESPALIER_INSTANCE_H
#define ESPALIER_INSTANCE_H

#include "espalier/cutout.h"
#include "espalier/model.h"

typedef struct esp_instance esp_instance;

/* One image of a run. */
struct esp_job {
    const esp_cutout *cutout; /* closed, of the instance's model */
    const float *input;       /* [3, height, width], normalised; esp_instance_input gives room for it */
    float *scores; /* out, [nodes of the model]: the scores of the nodes for which esp_job_scored is true; the
                      others are left as they are */
    uint8_t *ran;  /* out, [nodes]: what esp_job_ran and its like look at where esp_cutout_chooses; else unused, and
                      may be NULL */
    struct esp_cost cost;                   /* out: added up by the layers that ran */
    double trunk_seconds, branches_seconds; /* out: wall time of the run that this image was part of */
};

/* `batch` is the most images of one run, 1 to ESP_BATCH_MAX. The model must outlive the instance. */
enum esp_status esp_instance_create(esp_instance **instance, const esp_model *model, size_t batch,
                                    struct esp_error *err);
void esp_instance_destroy(esp_instance **instance);

/* Room for the normalised input of image `index` of a batch, [3, height, width], aligned; owned by the instance. */
float *esp_instance_input(esp_instance *instance, size_t index);

/* Runs `count` images together, 1 to the instance's batch; each with its own selection and weights. */
enum esp_status esp_instance_run(esp_instance *instance, struct esp_job *jobs, size_t count, struct esp_error *err);

/* After the run: whether the node's segment ran for this image, whether its score stands in `scores`, whether it is an
 * inner branch below which branches ran, and whether it is one that a search would have entered, had the budget paid
 * for it: passed over for what promised less, or the next one where it ended. */
bool esp_job_ran(const struct esp_job *job, size_t node);
bool esp_job_scored(const struct esp_job *job, size_t node);
bool esp_job_descended(const struct esp_job *job, size_t node);
bool esp_job_too_dear(const struct esp_job *job, size_t node);

#endif
