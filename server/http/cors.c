#include "server/http/cors.h"

#include <string.h>

/* How long a browser may keep what a preflight has told, in seconds. Chromium keeps nothing for longer than 7200. */
#define MAX_AGE "7200"

/* What a page may send, and read, beyond what every page may. */
static const char sent[] = "Authorization, Content-Type, Inference-Header-Content-Length, X-Request-Id, traceparent",
                  exposed[] = "Allow, Inference-Header-Content-Length, Retry-After, Server-Timing, traceparent, "
                              "WWW-Authenticate, X-Request-Id";

/* ---- the list ---- */

static bool is_lower(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] >= 0x7f || (text[i] >= 'A' && text[i] <= 'Z'))
            return false;
    return true;
}

/* Browsers write schemes and hosts small, and nothing behind the port. */
static bool is_origin(const char *text, size_t length)
{
    const char *host = memmem(text, length, "://", 3);

    if (!host || host == text || !is_lower(text, length))
        return false;
    host += 3;
    return host < text + length && !memchr(host, '/', (size_t)(text + length - host)) && !memchr(text, '*', length) &&
           !memchr(text, '@', length) && !memchr(text, '?', length) && !memchr(text, '#', length);
}

static enum esp_status add_origin(struct cors *cors, const char *text, size_t length, struct esp_error *err)
{
    if (length == 1 && *text == '*') {
        cors->any = true;
        return ESP_OK;
    }
    if (!is_origin(text, length))
        return esp_fail(err, ESP_ERROR_ARGUMENT,
                        "cors-origins names '%.*s'; give origins such as https://app.example or http://localhost:3000, "
                        "in small letters and without a path, or * for any",
                        length < 64 ? (int)length : 64, text);
    if (cors->count == CORS_ORIGINS_MAX)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "cors-origins names more than %d origins", CORS_ORIGINS_MAX);
    cors->origins[cors->count] = text;
    cors->lengths[cors->count++] = length;
    return ESP_OK;
}

enum esp_status cors_parse(const char *list, struct cors *cors, struct esp_error *err)
{
    enum esp_status status = ESP_OK;

    *cors = (struct cors){0};
    while (status == ESP_OK && *(list += strspn(list, " \t"))) {
        size_t whole = strcspn(list, ","), length = whole;
        while (length > 0 && strchr(" \t", list[length - 1]))
            length--;
        status = add_origin(cors, list, length, err);
        list += whole + (list[whole] == ',');
    }
    if (status == ESP_OK && cors->any && cors->count > 0)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "cors-origins names * and origins; * is any origin: give one of both");
    return status;
}

/* ---- answers ---- */

static bool allows(const struct cors *cors, const char *origin)
{
    size_t length = strlen(origin);

    for (size_t i = 0; i < cors->count; i++)
        if (cors->lengths[i] == length && !memcmp(cors->origins[i], origin, length))
            return true;
    return cors->any;
}

static const char *allow_of(const struct response *response)
{
    for (size_t i = 0; i < response->header_count; i++)
        if (!strcmp(response->headers[i].name, "Allow"))
            return response->headers[i].value;
    return NULL;
}

static void answer_preflight(struct response *response)
{
    const char *methods = allow_of(response);

    if (!methods)
        return;
    response_header(response, "Access-Control-Allow-Methods", "%s", methods);
    response_header(response, "Access-Control-Allow-Headers", "%s", sent);
    response_header(response, "Access-Control-Max-Age", MAX_AGE);
}

/* What depends on the origin must not be kept for another one, whether or not this one is allowed. What does not is
 * told to all, as a cache may show it to a page later. */
void cors_answer(const struct cors *cors, const struct request *request, struct response *response)
{
    if (!cors || (!cors->any && cors->count == 0))
        return;
    if (!cors->any)
        response_header(response, "Vary", "Origin");
    if (!allows(cors, request->origin))
        return;
    response_header(response, "Access-Control-Allow-Origin", "%s", cors->any ? "*" : request->origin);
    if (!strcmp(request->method, "OPTIONS") && *request->wanted_method)
        answer_preflight(response);
    else
        response_header(response, "Access-Control-Expose-Headers", "%s", exposed);
}
