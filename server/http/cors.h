/* Which pages of other sites may read the answers (CORS, as in the Fetch standard). Browsers keep to it; other clients
 * need not. An origin is "https://app.example" or "http://localhost:3000": scheme, host, and the port where it is not
 * the scheme's own.
 *
 * Thread-safe; a struct cors does not change after cors_parse. */
#ifndef SERVER_HTTP_CORS_H
#define SERVER_HTTP_CORS_H

#include "espalier/error.h"
#include "server/http/exchange.h"

enum { CORS_ORIGINS_MAX = 64 };

/* All zero allows nobody. */
struct cors {
    bool any;
    const char *origins[CORS_ORIGINS_MAX]; /* in the list, each as long as lengths says */
    size_t lengths[CORS_ORIGINS_MAX], count;
};

/* Reads origins with commas between, or "*" for any; "" allows nobody. The list must live as long as `cors`.
 * ESP_ERROR_ARGUMENT: the text names the element that is wrong and says how to write it. */
enum esp_status cors_parse(const char *list, struct cors *cors, struct esp_error *err);

/* Adds to an answer what a browser wants to know of it. An answer to OPTIONS has to have its Allow already: a preflight
 * is told that these methods are possible. Nothing where `cors` is NULL or allows nobody. */
void cors_answer(const struct cors *cors, const struct request *request, struct response *response);

#endif
