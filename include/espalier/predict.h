/* From scores to predictions. */
#ifndef ESPALIER_PREDICT_H
#define ESPALIER_PREDICT_H

#include "espalier/instance.h"

struct esp_prediction {
    size_t node;        /* of the category */
    float score;        /* the logit */
    double probability; /* softmax over the scores of the categories that ran: the selected, not silenced ones, or those
                           of them that a search has come to */
    double confidence;  /* the calibrated chance that the picture shows the category at all, 0 to 1: from its own score
                           alone, so the same in every cutout. NAN where esp_model_info says that the network is not
                           calibrated */
};

/* What `confidence` of a prediction is: of a category of a calibrated network, by its score. 0 or 1 for huge scores. */
double esp_confidence(const struct esp_calibration *calibration, float score);

/* Writes the `top` best categories of a job that has run, best first; equal scores in the order of the tree.
 * `predictions` has room for cutout cost.categories entries (they are used as scratch), whatever `top` is. Returns how
 * many are valid: the smaller of `top` and the number of categories that ran. Allocates nothing. */
size_t esp_predict(const struct esp_job *job, size_t top, struct esp_prediction *predictions);

/* Writes all categories that ran, in the order of the tree, into the same room; returns their number. */
size_t esp_predict_in_order(const struct esp_job *job, struct esp_prediction *predictions);

#endif
