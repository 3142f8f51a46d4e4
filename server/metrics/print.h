/* Prometheus' text format (0.0.4), line by line. A family's samples stand together, below its head. Thread-safe: each
 * call works on the caller's stream, whose errors show in the stream. */
#ifndef SERVER_METRICS_PRINT_H
#define SERVER_METRICS_PRINT_H

#include <stdint.h>
#include <stdio.h>

struct label {
    const char *name, *value; /* the value may hold any UTF-8: what the format wants escaped is escaped */
};

/* `type` is counter, gauge or histogram. */
void print_head(FILE *out, const char *name, const char *type, const char *help);

/* `labels` end with one whose name is NULL; NULL for none. */
void print_sample(FILE *out, const char *name, const struct label *labels, uint64_t value);

/* Likewise, nanoseconds as seconds. */
void print_seconds(FILE *out, const char *name, const struct label *labels, uint64_t ns);

/* A family of one sample without labels. */
void print_one(FILE *out, const char *name, const char *type, const char *help, uint64_t value);

#endif
