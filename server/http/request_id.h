/* The name of a request, which its answer repeats and which people can look for in logs. Thread-safe. */
#ifndef SERVER_HTTP_REQUEST_ID_H
#define SERVER_HTTP_REQUEST_ID_H

#include "server/http/exchange.h"

/* Takes over the client's (`length` bytes; NULL for none) if it has 1 to REQUEST_ID_MAX characters of [A-Za-z0-9._-];
 * otherwise makes one of 32 random hexadecimal digits. */
void request_id_choose(char id[REQUEST_ID_MAX + 1], const char *offered, size_t length);

#endif
