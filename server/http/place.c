#include "server/http/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_port(const char *text, size_t length, char port[PLACE_PORT_MAX])
{
    if (length == 0 || length >= PLACE_PORT_MAX || strspn(text, "0123456789") < length)
        return false;
    snprintf(port, PLACE_PORT_MAX, "%.*s", (int)length, text);
    return atoi(port) <= 65535;
}

bool place_read(const char *text, size_t length, struct place *place)
{
    const char *colon = memrchr(text, ':', length), *host = text, *end = colon;

    if (!colon || !read_port(colon + 1, (size_t)(text + length - (colon + 1)), place->port))
        return false;
    if (*host == '[') {
        host++;
        end--;
        if (end < host || *end != ']')
            return false;
    } else if (memchr(host, ':', (size_t)(end - host))) {
        return false; /* an IPv6 address without brackets: which colon is the port's? */
    }
    if (end == host || end - host >= PLACE_HOST_MAX)
        return false;
    snprintf(place->host, sizeof place->host, "%.*s", (int)(end - host), host);
    return true;
}
