/* What a network says to labelled pictures: scores, and what they cost. Made by run.h, counted by statistics.h. */
#ifndef SERVER_EVALUATE_EVALUATION_H
#define SERVER_EVALUATE_EVALUATION_H

#include "espalier/cutout.h"

#include <stdbool.h>

/* One picture. */
struct evaluated {
    char *name;                /* as it may be printed: its control characters are question marks */
    size_t truth;              /* its category's number */
    char *fault;               /* why it could not be read; NULL where it could */
    uint64_t macs, parameters; /* paid for it, without a sweep */
    float *scores;             /* [categories]; NAN where a category did not run */
    float *swept;              /* [weights][attended categories]; NULL without a sweep */
};

/* Weights of attention that are tried one after the other at some categories. */
struct weight_sweep {
    const double *weights;
    size_t weights_count;
    const size_t *attended; /* numbers of categories, ascending */
    size_t attended_count;
};

struct unknown_label {
    char *name; /* as it may be printed, too */
    size_t pictures;
};

struct evaluation {
    const esp_model *model;
    const bool *selected; /* [categories]: those that the cutout may give */
    bool searched;        /* a search has chosen what ran of these, for each picture */
    struct weight_sweep sweep;
    struct evaluated **pictures; /* in the order of the source */
    size_t count, faults;
    size_t unselected;             /* pictures left out, as their category is not asked for */
    struct unknown_label *unknown; /* folders that are no category's, in the order in which they came */
    size_t unknown_count, others;  /* others: as picture_source_others() says */
    size_t closed_folders;         /* and as picture_source_closed_folders() says, with the source's text */
    const char *closed_why;
    double seconds;
};

/* Frees all that the evaluation owns: pictures and unknown labels. */
void evaluation_release(struct evaluation *evaluation);

/* Adds a picture with room for its scores, all NAN. NULL: out of memory. Takes over `name` in any case. */
struct evaluated *evaluation_add(struct evaluation *evaluation, char *name, size_t truth);

/* Counts a picture whose folder is no category's. false: out of memory. */
bool evaluation_unknown(struct evaluation *evaluation, const char *path);

#endif
