/* Runs labelled pictures through the engine: one thread reads them, the others decode and run them, each with an
 * instance of its own over the model's shared weights. The results stand in the order of the source, whoever computed
 * them. */
#ifndef SERVER_EVALUATE_RUN_H
#define SERVER_EVALUATE_RUN_H

#include "server/evaluate/evaluation.h"
#include "server/evaluate/labels.h"
#include "server/evaluate/pictures.h"

struct evaluate_run {
    struct picture_source *source;
    const struct labels *labels;
    const esp_cutout *cutout;          /* closed; for every picture */
    const esp_cutout *const *attended; /* [weights of the sweep]: closed, of the attended categories only */
    unsigned threads;                  /* that compute, at least 1 */
    size_t first;                      /* at most so many pictures; 0 for all */
    bool all_pictures;                 /* also those of categories that are not asked for */
    size_t bytes_max;                  /* of a picture */
    void (*progress)(void *context, double done, size_t pictures); /* called by the caller's thread; may be NULL */
    void *context;
};

/* Fills the evaluation, whose model, selection and sweep are set. Blocks until all is computed. A picture that cannot
 * be read is noted, and no error. */
enum esp_status evaluate_run(const struct evaluate_run *run, struct evaluation *evaluation, struct esp_error *err);

#endif
