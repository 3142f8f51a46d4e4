/* Values as people write them, in flags, in the environment and in the configuration file. Every error says how the
 * value was given, what it was (but for secrets), and what would be right: ESP_ERROR_ARGUMENT. `said` is how the person
 * gave it: "--queue-depth", "ESPALIER_QUEUE_DEPTH", or "espalier.conf:7: queue-depth". Thread-safe. */
#ifndef SERVER_CONFIG_VALUES_H
#define SERVER_CONFIG_VALUES_H

#include "espalier/error.h"
#include "espalier/model.h"

#include <stdint.h>

/* A whole number in digits only. */
enum esp_status value_number(const char *said, const char *text, uint64_t least, uint64_t most, uint64_t *number,
                             struct esp_error *err);

/* One of the words, which are written "text|json". */
enum esp_status value_choice(const char *said, const char *text, const char *words, struct esp_error *err);

/* A secret that a header of HTTP can carry: `least` to `most` visible ASCII characters. No error quotes it. */
enum esp_status value_secret(const char *said, const char *text, uint64_t least, uint64_t most, struct esp_error *err);

#define VALUE_PRECISIONS "fp32|bf16|auto"

enum esp_status value_precision(const char *said, const char *text, enum esp_precision *precision,
                                struct esp_error *err);

#endif
