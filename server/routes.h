/* Which handler answers which method and path. */
#ifndef SERVER_ROUTES_H
#define SERVER_ROUTES_H

#include "server/http/exchange.h"

struct service;

/* The listener through which a request came. */
enum entrance { ENTRANCE_MAIN, ENTRANCE_ADMIN };

/* The headers are there: finds the route, whether the request may, and what to do with the body. Answers itself where
 * there is nothing at the path (404), where the method is not among those of the path (405, with Allow), OPTIONS, and
 * who may not (401, 403). HEAD is where GET is.
 *
 * Where the settings name an admin-listen, its entrance has what wants the admin token, the probes and /metrics; the
 * main one has all but what wants the admin token and, if so set, /metrics. */
void routes_admit(struct service *service, enum entrance entrance, struct exchange *exchange);

/* The body is there, too: calls the handler. */
void routes_handle(struct service *service, struct exchange *exchange);

/* The rows by number, for counting: the path of each, "other" for the last one, which is that of requests without a
 * route; NULL after it. */
size_t routes_number(const struct route *route);
const char *routes_name(size_t number);

#endif
