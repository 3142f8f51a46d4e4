/* Values as people write them, in flags and in the environment. Every error says how the value was given, what it was,
 * and what would be right: ESP_ERROR_ARGUMENT. Thread-safe. */
#ifndef SERVER_CONFIG_VALUES_H
#define SERVER_CONFIG_VALUES_H

#include "espalier/error.h"
#include "espalier/model.h"

#include <stdint.h>

/* `said` is how the person gave the value: "--queue-depth", or "ESPALIER_QUEUE_DEPTH". A whole number in digits only.
 */
enum esp_status value_number(const char *said, const char *text, uint64_t least, uint64_t most, uint64_t *number,
                             struct esp_error *err);

/* fp32, bf16 or auto. */
enum esp_status value_precision(const char *said, const char *text, enum esp_precision *precision,
                                struct esp_error *err);

#endif
