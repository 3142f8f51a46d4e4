#include "server/problem.h"

#include "server/json_body.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 1024 };

static const char media_type[] = "application/problem+json";

/* RFC 9457: with the type "about:blank", the title is the status code's phrase. */
static const char *title_of(unsigned status)
{
    switch (status) {
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case PROBLEM_GONE: return "Client Closed Request";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    }
    return "Internal Server Error";
}

/* A client's bytes may be quoted in the text: what is no UTF-8, or was cut in the middle of a character, is masked. */
static json_t *text_value(const char *text)
{
    char masked[TEXT_MAX];
    json_t *value = json_string(text);

    if (value)
        return value;
    snprintf(masked, sizeof masked, "%s", text);
    for (char *at = masked; *at; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    return json_string(masked);
}

/* Takes over `extra`, an object with members of its own, or NULL. */
static bool answer(struct response *response, unsigned status, const char *type, const char *text, json_t *extra)
{
    static const char fallback[] = "{\"type\":\"about:blank\",\"title\":\"Internal Server Error\",\"status\":500,"
                                   "\"detail\":\"out of memory\",\"error\":\"out of memory\"}";
    json_t *detail = text_value(text);
    json_t *body = json_pack("{s:s, s:s, s:i, s:O, s:O}", "type", type, "title", title_of(status), "status",
                             (int)status, "detail", detail, "error", detail);
    if (extra)
        json_object_update(body, extra);
    if (!json_body(response, status, media_type, body))
        response_static(response, 500, media_type, fallback, sizeof fallback - 1);
    json_decref(extra);
    json_decref(detail);
    json_decref(body);
    return false;
}

bool problem(struct response *response, unsigned status, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return answer(response, status, "about:blank", text, NULL);
}

bool problem_suggest(struct response *response, unsigned status, const char *text, const char *const *suggestions,
                     size_t count)
{
    json_t *names = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(names, json_string(suggestions[i]));
    return answer(response, status, "/problems/unknown-name", text, json_pack("{s:o}", "suggestions", names));
}

bool problem_busy(struct response *response, unsigned retry_ms)
{
    char text[TEXT_MAX];

    snprintf(text, sizeof text, "too many requests are waiting; try again in %u ms", retry_ms);
    answer(response, 429, "/problems/queue-full", text, json_pack("{s:i}", "retry_after_ms", (int)retry_ms));
    response_header(response, "Retry-After", "%u", (retry_ms + 999) / 1000);
    return false;
}

bool problem_deadline(struct response *response, uint64_t timeout_ms)
{
    return problem(response, 504, "the request has waited longer than its %" PRIu64 " ms", timeout_ms);
}

bool problem_gone(struct exchange *exchange)
{
    exchange->dropped = true;
    return problem(&exchange->response, PROBLEM_GONE, "the client closed its connection while the request waited");
}

static unsigned status_of(enum esp_status status)
{
    switch (status) {
    case ESP_ERROR_NOT_JPEG: return 415;
    case ESP_ERROR_TOO_LARGE: return 413;
    case ESP_ERROR_UNDECODABLE:
    case ESP_ERROR_UNKNOWN_NAME:
    case ESP_ERROR_NAME:
    case ESP_ERROR_WEIGHT:
    case ESP_ERROR_SEARCH:
    case ESP_ERROR_NOTHING_LEFT: return 422;
    default: return 500;
    }
}

bool problem_engine(struct response *response, const struct esp_error *err)
{
    return problem(response, status_of(err->status), "%s", err->text);
}

bool problem_text(const struct response *response, char *text, size_t size)
{
    bool is_problem = response->type && !strcmp(response->type, media_type);
    json_t *body = is_problem ? json_loadb(response->body, response->size, 0, NULL) : NULL;
    const char *detail = json_string_value(json_object_get(body, "detail"));

    snprintf(text, size, "%s", detail ? detail : "unknown problem");
    json_decref(body);
    return is_problem;
}
