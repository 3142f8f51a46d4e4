/* Answers whose body is JSON, written straight into the answer's own memory. Thread-safe: each call works on the
 * caller's response. */
#ifndef SERVER_JSON_BODY_H
#define SERVER_JSON_BODY_H

#include "server/http/exchange.h"

struct json_t; /* of jansson.h, which not everybody knows */

/* Answers with the value, which stays the caller's. False, and no answer, where it is NULL or there is no memory. */
bool json_body(struct response *response, unsigned status, const char *type, const struct json_t *value);

#endif
