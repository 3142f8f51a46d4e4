/* Threads that have nothing to do but to help one run: what idle workers of the daemon do. */
#ifndef SERVER_BENCH_HELPERS_H
#define SERVER_BENCH_HELPERS_H

#include "espalier/crew.h"

struct helpers;

/* `count` threads help with what instance 0 of the crew runs, each with one of the instances from 1 on. */
enum esp_status helpers_start(struct helpers **helpers, esp_crew *crew, size_t count, struct esp_error *err);

/* When no run is under way. Sets the pointer to NULL; NULL is fine. */
void helpers_stop(struct helpers **helpers);

#endif
