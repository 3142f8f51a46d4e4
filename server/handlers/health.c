#include "server/handlers/handlers.h"
#include "server/http/exchange.h"
#include "server/service.h"

#include <string.h>

static void answer(struct exchange *exchange, unsigned status, const char *text)
{
    response_static(&exchange->response, status, "application/json", text, strlen(text));
    if (status == 200) /* the transport says it of errors */
        response_header(&exchange->response, "Cache-Control", "no-store");
}

/* Live: the process answers at all. */
void handle_healthz(struct service *service, struct exchange *exchange)
{
    (void)service;
    answer(exchange, 200, "{\"status\":\"ok\"}");
}

/* Ready: new requests had better come here. */
void handle_readyz(struct service *service, struct exchange *exchange)
{
    switch (service_state(service)) {
    case SERVICE_STARTING: answer(exchange, 503, "{\"status\":\"starting\"}"); break;
    case SERVICE_READY: answer(exchange, 200, "{\"status\":\"ready\"}"); break;
    case SERVICE_DRAINING: answer(exchange, 503, "{\"status\":\"draining\"}"); break;
    }
}
