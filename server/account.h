/* What is left of a request when it is over: it is counted, and leaves a line in the log. */
#ifndef SERVER_ACCOUNT_H
#define SERVER_ACCOUNT_H

#include "server/http/exchange.h"
#include "server/service.h"

/* Once for each request. Thread-safe. */
void account_request(struct service *service, const struct exchange *exchange, enum exchange_end end);

#endif
