/* Whole numbers in the JSON of requests. Thread-safe. */
#ifndef SERVER_JSON_WHOLE_H
#define SERVER_JSON_WHOLE_H

#include <stdbool.h>
#include <stdint.h>

struct json_t; /* of jansson.h, which not everybody knows */

/* Writes the whole number from 0 that the value is, however it is written: 100, 100.0 and 1e2 are the same in JSON. One
 * too large for 63 bits is the largest there is. False where the value is anything else, or NULL. */
bool json_whole(const struct json_t *value, uint64_t *number);

#endif
