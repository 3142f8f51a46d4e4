/* The socket on which the server listens. */
#ifndef SERVER_HTTP_LISTENER_H
#define SERVER_HTTP_LISTENER_H

#include "espalier/error.h"

#include <stdbool.h>

enum { LISTENER_URL_MAX = 300 };

struct listener {
    int socket;                 /* close it when done */
    char url[LISTENER_URL_MAX]; /* "http://127.0.0.1:8080", with the port that it really got */
    bool loopback;              /* other machines cannot reach it */
};

/* `where` is ADDRESS:PORT; IPv6 in brackets; port 0 takes a free one. `scheme` ("https") is for the URL. The text of an
 * error says what to do. */
enum esp_status listener_open(struct listener *listener, const char *where, const char *scheme, struct esp_error *err);

/* From now on nobody else can connect, while those who have, or are just about to, can be accepted. Who tries is not
 * answered, and tries again until the socket is shut down, which refuses him. Where the system can't do that,
 * connecting goes on until then. */
void listener_refuse(int socket);

#endif
