#include "server/http/exchange.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

const struct field *field_find(const struct field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (fields[i].name_length == strlen(name) && !memcmp(fields[i].name, name, fields[i].name_length))
            return &fields[i];
    return NULL;
}

bool request_is(const struct request *request, const char *type)
{
    size_t length = strcspn(request->content_type, "; \t");
    return length == strlen(type) && !strncasecmp(request->content_type, type, length);
}

void response_static(struct response *response, unsigned status, const char *type, const char *body, size_t size)
{
    response_begin(response, status, type);
    response->body = body;
    response->size = size;
}

void response_begin(struct response *response, unsigned status, const char *type)
{
    response_clear(response);
    response->status = status;
    response->type = type;
}

bool response_append(struct response *response, const void *bytes, size_t size)
{
    if (!bytes_append(&response->text, bytes, size))
        return false;
    response->body = (const char *)response->text.data;
    response->size = response->text.size;
    return true;
}

void response_header(struct response *response, const char *name, const char *format, ...)
{
    if (response->header_count == RESPONSE_HEADERS_MAX)
        return;
    char *value = response->values + response->values_size;
    size_t room = sizeof response->values - response->values_size;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(value, room, format, args);
    va_end(args);
    if (length < 0 || (size_t)length >= room)
        return;
    response->headers[response->header_count++] = (struct header){name, value};
    response->values_size += (size_t)length + 1;
}

void response_clear(struct response *response)
{
    bytes_free(&response->text);
    response->status = 0;
    response->body = NULL;
    response->size = 0;
    response->close = false;
    response->header_count = response->values_size = 0;
}
