/* What the system says about this process, under the names that all Prometheus clients use: CPU time, memory, open
 * files, threads, and when it started. */
#ifndef SERVER_METRICS_PROCESS_H
#define SERVER_METRICS_PROCESS_H

#include <stdio.h>

/* Prints the families process_...; one that the system does not tell is left out. Allocates nothing. Thread-safe. */
void process_print(FILE *out);

#endif
