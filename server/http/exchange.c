#include "server/http/exchange.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool request_is(const struct request *request, const char *type)
{
    size_t length = strcspn(request->content_type, "; \t");
    return length == strlen(type) && !strncasecmp(request->content_type, type, length);
}

static void give(struct response *response, unsigned status, const char *type, const char *body, size_t size)
{
    response_clear(response);
    response->status = status;
    response->type = type;
    response->body = body;
    response->size = size;
}

void response_static(struct response *response, unsigned status, const char *type, const char *body, size_t size)
{
    give(response, status, type, body, size);
}

void response_owned(struct response *response, unsigned status, const char *type, char *body, size_t size)
{
    give(response, status, type, body, size);
    response->owned = true;
}

void response_header(struct response *response, const char *name, const char *format, ...)
{
    if (response->header_count == RESPONSE_HEADERS_MAX)
        return;
    struct header *header = &response->headers[response->header_count];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(header->value, sizeof header->value, format, args);
    va_end(args);
    header->name = name;
    if (length >= 0 && length < (int)sizeof header->value)
        response->header_count++;
}

void response_clear(struct response *response)
{
    if (response->owned)
        free((char *)response->body);
    response->status = 0;
    response->body = NULL;
    response->size = 0;
    response->owned = false;
    response->close = false;
    response->header_count = 0;
}
