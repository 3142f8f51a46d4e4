#include "server/handlers/handlers.h"
#include "server/http/exchange.h"
#include "server/service.h"

#include <string.h>

/* Written once at start-up; it lives as long as the service, which outlives every connection. */
void handle_categories(struct service *service, struct exchange *exchange)
{
    response_static(&exchange->response, 200, "application/json", service->categories, strlen(service->categories));
    response_header(&exchange->response, "Cache-Control", "no-cache");
}
