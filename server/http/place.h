/* HOST:PORT, as people write where something listens. Thread-safe. */
#ifndef SERVER_HTTP_PLACE_H
#define SERVER_HTTP_PLACE_H

#include <stdbool.h>
#include <stddef.h>

enum { PLACE_HOST_MAX = 256, PLACE_PORT_MAX = 6 }; /* bytes, the closing 0 included */

struct place {
    char host[PLACE_HOST_MAX]; /* a name or an address; IPv6 without its brackets */
    char port[PLACE_PORT_MAX]; /* 0 to 65535, in digits */
};

/* Takes "host:port" or "[host]:port" apart; false where it is neither. */
bool place_read(const char *text, size_t length, struct place *place);

#endif
