/* How often each branch of a network has run.
 *
 * A request may run all of them, so counting must cost next to nothing: each worker has a row of counters that it alone
 * writes, and the rows are added up when somebody asks. The paths are copied: counts may outlive the model that they
 * were made for, and go on with the next one of the same tree. */
#ifndef SERVER_METRICS_BRANCH_COUNTS_H
#define SERVER_METRICS_BRANCH_COUNTS_H

#include "espalier/instance.h"

struct branch_counts;

/* Zero for every node of `model`, which is run by `workers` threads. The caller holds it. False, and *counts is NULL,
 * where there is no memory. */
bool branch_counts_create(struct branch_counts **counts, const esp_model *model, size_t workers);

/* Whether the model has just the nodes of these counts, so that it can be counted here, too. Thread-safe. */
bool branch_counts_fits(const struct branch_counts *counts, const esp_model *model);

/* One more holder, which is given back; and one less: the last one frees it. NULL is fine. Thread-safe. */
struct branch_counts *branch_counts_keep(struct branch_counts *counts);
void branch_counts_release(struct branch_counts *counts);

/* The job has run, of a model that fits: counts the branches that ran for it, and the trunk. A worker's number, below
 * `workers`, is for one thread at a time. */
void branch_counts_add(struct branch_counts *counts, size_t worker, const struct esp_job *job);

/* For printing; the path lives as long as the counts. Thread-safe. */
size_t branch_counts_nodes(const struct branch_counts *counts);
const char *branch_counts_path(const struct branch_counts *counts, size_t node);
uint64_t branch_counts_sum(const struct branch_counts *counts, size_t node);

#endif
