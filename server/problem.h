/* Error answers: application/problem+json (RFC 9457), with an `error` member that says the same for clients of the Open
 * Inference Protocol. Thread-safe: each works on the caller's response. */
#ifndef SERVER_PROBLEM_H
#define SERVER_PROBLEM_H

#include "espalier/error.h"
#include "server/http/exchange.h"

/* The status of a request that was dropped: nginx's, as HTTP has none. */
enum { PROBLEM_GONE = 499 };

/* Answers with `status` and a text that says what is wrong and, where it is not plain, what to do. Gives false, so that
 * a check can end with `return problem(response, 422, "...")`. */
__attribute__((format(printf, 3, 4))) bool problem(struct response *response, unsigned status, const char *format, ...);

/* The same, and names that the client may have meant. */
bool problem_suggest(struct response *response, unsigned status, const char *text, const char *const *suggestions,
                     size_t count);

/* 429: come back in `retry_ms` milliseconds. */
bool problem_busy(struct response *response, unsigned retry_ms);

/* 504: it has waited longer than it may. */
bool problem_deadline(struct response *response, uint64_t timeout_ms);

/* 499: the client has closed its connection, or its half of it, while its request waited, which is dropped. Hardly
 * anybody reads this. */
bool problem_gone(struct exchange *exchange);

/* Answers an error of the engine: what the client did wrong keeps its text; what is no fault of the client is a 500. */
bool problem_engine(struct response *response, const struct esp_error *err);

/* What the problem says, for people who don't read JSON: writes the detail, which ends with 0, to `text`. False, and a
 * text that says so, where the response is none. */
bool problem_text(const struct response *response, char *text, size_t size);

#endif
