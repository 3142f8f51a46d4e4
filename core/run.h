/* Running a network: images go down the tree together, each with a cutout of its own.
 *
 * A run belongs to the thread that started it, but branches of it may be taken over by other instances (core/crew.h).
 * Every thread that works at a run walks: it runs a subtree with its own instance's memory, and reads what the subtree
 * hangs on from the instance that ran the parent. */
#ifndef ESP_CORE_RUN_H
#define ESP_CORE_RUN_H

#include "core/instance.h"
#include "espalier/cutout.h"
#include "espalier/limits.h"

/* What an image has cost so far; every walk adds its part when it is over. */
struct esp_run_cost {
    atomic_uint_least64_t macs, parameters, branches, categories;
};

/* Computes one part of an instance's split convolution in the workspace of another one, or its own. */
void esp_split_part(const esp_instance *owner, size_t part, esp_instance *worker);

/* What all who work at a run share. It lives as long as the run. */
struct esp_run {
    const struct esp_model *model;
    struct esp_job *jobs;   /* read only, but for the scores of the nodes that one runs */
    size_t count;           /* of jobs */
    esp_instance *searcher; /* that searches for an image now, and keeps what its inner branches put out; or NULL.
                               Changed while nobody else works at the run */
    size_t searched;        /* the image; only its branches run meanwhile, one family after the other */
    struct esp_run_cost costs[ESP_BATCH_MAX];
};

/* One thread's way through a subtree. */
struct esp_walk {
    struct esp_run *run;
    esp_instance *instance;     /* whose memory takes what is computed */
    const esp_instance *parent; /* whose memory holds the output that the subtree's root reads */
    unsigned top;               /* depth of the subtree's root */
    struct esp_cost costs[ESP_BATCH_MAX];
};

/* Only the first `count` of the arrays are set up. */
void esp_run_begin(struct esp_run *run, const struct esp_model *model, struct esp_job *jobs, size_t count);

/* Writes the costs into the jobs, when all walks are over. */
void esp_run_end(struct esp_run *run);

/* For a node at depth `top` whose parent ran in the memory of `parent`. */
void esp_walk_begin(struct esp_walk *walk, struct esp_run *run, esp_instance *instance, const esp_instance *parent,
                    unsigned top);
void esp_walk_end(struct esp_walk *walk);

/* Runs a node that some image needs, or what hangs below a node that has run, or both. On return all of it is done,
 * whoever did it. */
void esp_walk_node(struct esp_walk *walk, size_t node);
void esp_walk_branches(struct esp_walk *walk, size_t node);
void esp_walk_subtree(struct esp_walk *walk, size_t node); /* of a search the node alone */

/* Runs the family of a branch that a search has come to (see core/search.h), in the instance that searches. */
void esp_walk_family(struct esp_walk *walk, size_t node);

#endif
