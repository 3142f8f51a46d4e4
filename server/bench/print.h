/* The two forms in which `espalier bench` tells what was measured. */
#ifndef SERVER_BENCH_PRINT_H
#define SERVER_BENCH_PRINT_H

#include "server/bench/measure.h"

#include <stdio.h>

/* The table for people: the tree with its layers, the leaves of a group in one row, and what lost most time. */
void bench_print_table(FILE *out, const struct bench *bench, const struct bench_result *result, bool colour);

/* Layers of the same kind and shape that lost most against the peak; `most` lines of them. */
void bench_print_losses(FILE *out, const struct bench *bench, const struct bench_result *result, size_t most);

/* One JSON object, for the caller to free; NULL where there is no memory. */
char *bench_json(const struct bench *bench, const struct bench_result *result);

/* What a row's layer is: "3×3/2, 24→48, 16×16". Returns `text`, which has BENCH_SHAPE_MAX bytes. */
enum { BENCH_SHAPE_MAX = 96 };
const char *bench_shape(const struct esp_profile_row *row, char *text);

#endif
