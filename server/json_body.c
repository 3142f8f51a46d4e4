#include "server/json_body.h"

#include <jansson.h>

/* A score is a float: nine digits tell any two apart. */
enum { STYLE = JSON_COMPACT | JSON_REAL_PRECISION(9) };

static int write_piece(const char *text, size_t size, void *response)
{
    return response_append(response, text, size) ? 0 : -1;
}

bool json_body(struct response *response, unsigned status, const char *type, const json_t *value)
{
    response_begin(response, status, type);
    if (value && json_dump_callback(value, write_piece, response, STYLE) == 0)
        return true;
    response_clear(response);
    return false;
}
