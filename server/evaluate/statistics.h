/* What an evaluation says about a network: accuracy, by group, calibration, attention. Pictures that could not be read
 * take no part. All functions only read; shares are 0 to 1, NAN of nothing. */
#ifndef SERVER_EVALUATE_STATISTICS_H
#define SERVER_EVALUATE_STATISTICS_H

#include "server/evaluate/evaluation.h"

enum { CALIBRATION_BINS = 10, CONFIDENCE_LIMITS = 4 };

struct accuracy {
    size_t pictures;
    double top1, top5;
};

/* Of the pictures of one inner node's categories. */
struct group_accuracy {
    size_t pictures;
    double top1, group; /* the first answer is right; is at least one of the node's categories */
};

/* Probabilities or confidences from bin / BINS on. */
struct bin {
    size_t count;
    double mean, right; /* of what was said; of what was so */
};

struct calibration {
    struct bin bins[CALIBRATION_BINS];
    double error; /* expected calibration error: the mean distance of the two, weighted by count */
};

/* A single category is asked for, and its confidence is above `limit`. */
struct single {
    double limit;
    double others;  /* of the pictures of something else */
    double own;     /* of the category's own pictures */
    double correct; /* of those above the limit, the share that shows the category */
};

struct attended {
    double recall;    /* pictures of attended categories whose first answer is their category */
    double precision; /* first answers that are attended categories and right, of all that are attended categories */
    double false_positives; /* other pictures whose first answer is an attended category */
};

/* Of the pictures whose category is selected: others could never be right. */
struct accuracy statistics_accuracy(const struct evaluation *evaluation);

/* `node` is an inner node. */
struct group_accuracy statistics_group(const struct evaluation *evaluation, size_t node);

/* Of the probability of the first answer: is it right? Of all pictures, those of categories that are not selected, too.
 */
void statistics_probability(const struct evaluation *evaluation, struct calibration *calibration);

/* Of the confidence of every pair of a picture and a category that ran: does it show it? The network is calibrated. */
void statistics_confidence(const struct evaluation *evaluation, struct calibration *calibration);

/* Likewise of every pair. Not of a search: what it did not run for a picture would have run for one who asked for this
 * category alone, and is most often what the picture does not show, or what is hard to see. */
void statistics_single(const struct evaluation *evaluation, struct single singles[CONFIDENCE_LIMITS]);

/* With weight number `weight` of the sweep. */
struct attended statistics_attended(const struct evaluation *evaluation, size_t weight);

/* Means of what was paid for a picture. */
void statistics_cost(const struct evaluation *evaluation, double *macs, double *parameters);

#endif
