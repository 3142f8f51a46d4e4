/* The bar that tells how far an evaluation is: in place on a terminal; elsewhere a line now and then. One thread. */
#ifndef SERVER_EVALUATE_PROGRESS_H
#define SERVER_EVALUATE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct progress {
    FILE *out;
    bool terminal;
    uint64_t begun, shown; /* clock_now() */
};

/* `out` is where it goes, mostly stderr. */
void progress_begin(struct progress *progress, FILE *out);

/* `done` is 0 to 1. */
void progress_show(struct progress *progress, double done, size_t pictures);

/* Takes the bar away. */
void progress_end(struct progress *progress);

#endif
