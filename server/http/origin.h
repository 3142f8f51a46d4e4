/* Where a request comes from: its name, its place in a trace, and the client's address, as its headers and its
 * connection tell. What was not sent, or was not sent well, is made. */
#ifndef SERVER_HTTP_ORIGIN_H
#define SERVER_HTTP_ORIGIN_H

#include "server/http/client_address.h"
#include "server/http/exchange.h"

struct MHD_Connection;

/* Reads X-Request-Id, traceparent and X-Forwarded-For into the exchange. Thread-safe. */
void origin_read(struct exchange *exchange, struct MHD_Connection *connection, const struct trusted *trusted);

#endif
