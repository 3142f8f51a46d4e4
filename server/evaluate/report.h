/* What espalier evaluate prints: for people, or as CSV for programs; and files of scores. */
#ifndef SERVER_EVALUATE_REPORT_H
#define SERVER_EVALUATE_REPORT_H

#include "server/evaluate/evaluation.h"

#include <stdio.h>

#define REPORT_SCORES_ENDING ".npy"

void report_text(FILE *out, const struct evaluation *evaluation);

/* One table of three columns: table, row, column, value. */
void report_csv(FILE *out, const struct evaluation *evaluation);

/* What was left out, and why: nothing where nothing was. */
void report_left_out(FILE *out, const struct evaluation *evaluation);

/* Whether report_scores could write, seen before all is computed. Leaves no file behind that was not there. The same
 * errors. */
enum esp_status report_scores_try(const char *path, struct esp_error *err);

/* Writes all scores to `path`, which ends in REPORT_SCORES_ENDING, as a NumPy array, float32 [pictures, categories],
 * NaN where a category did not run or the picture could not be read; and beside it, the ending replaced by .tsv, a line
 * for each picture: its name, its category, the MACs paid. ESP_ERROR_IO: a file cannot be written. */
enum esp_status report_scores(const char *path, const struct evaluation *evaluation, struct esp_error *err);

#endif
