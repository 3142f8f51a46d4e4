/* The sweep of attention: nodes that are attended to with one weight after the other. For each weight there is a cutout
 * of the attended categories alone: the scores of the others do not change (law 1). Used by one thread. */
#ifndef SERVER_EVALUATE_SWEEP_H
#define SERVER_EVALUATE_SWEEP_H

#include "server/evaluate/evaluation.h"

enum { SWEEP_WEIGHTS_MAX = 64 };

struct sweep_plan {
    double weights[SWEEP_WEIGHTS_MAX];
    size_t weights_count;
    size_t *attended; /* numbers of categories, ascending */
    size_t attended_count;
    esp_cutout *cutouts[SWEEP_WEIGHTS_MAX]; /* NULL where the weight silences all of them */
};

/* `nodes` is "cat,animal/dog", `weights` "0.5,1,2", `attention` what is attended to besides, as the person wrote it, or
 * NULL. `cutout` is the closed cutout of the plain run, which has to run all of the attended categories. The texts of
 * errors tell the person what is wrong with the flags. Release it with sweep_release in any case. */
enum esp_status sweep_plan(struct sweep_plan *plan, const esp_cutout *cutout, const char *nodes, const char *weights,
                           const char *attention, struct esp_error *err);
void sweep_release(struct sweep_plan *plan);

#endif
