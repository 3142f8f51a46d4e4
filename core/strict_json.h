/* Strict reading of JSON objects: unknown members and numbers out of bounds are errors. `where` begins the message. */
#ifndef ESP_CORE_STRICT_JSON_H
#define ESP_CORE_STRICT_JSON_H

#include "espalier/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Whether `object` is an object and has no member but those named (the list ends with NULL). */
bool esp_json_members(const json_t *object, const char *const *names, const char *where, struct esp_error *err);

/* A whole number from `least` to `most`; `otherwise` where the member is absent and `otherwise` lies in the bounds. */
bool esp_json_extent(const json_t *object, const char *member, uint32_t least, uint32_t most, uint32_t otherwise,
                     uint32_t *value, const char *where, struct esp_error *err);

/* A number for both directions, or [vertical, horizontal]; the bounds hold for both. */
bool esp_json_pair(const json_t *object, const char *member, uint32_t least, uint32_t most, uint32_t otherwise,
                   uint32_t *vertical, uint32_t *horizontal, const char *where, struct esp_error *err);

/* true or false; `otherwise` where the member is absent. */
bool esp_json_flag(const json_t *object, const char *member, bool otherwise, bool *value, const char *where,
                   struct esp_error *err);

#endif
