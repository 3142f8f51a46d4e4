#include "server/assets.h"
#include "server/handlers/handlers.h"
#include "server/http/exchange.h"

static void answer(struct exchange *exchange, const char *type, struct asset asset)
{
    response_static(&exchange->response, 200, type, asset.bytes, asset.size);
    response_header(&exchange->response, "Cache-Control", "no-cache");
    response_header(&exchange->response, "X-Content-Type-Options", "nosniff");
}

/* The page loads nothing from anywhere and talks to this server only; the browser is told to keep it so. */
void handle_page(struct service *service, struct exchange *exchange)
{
    (void)service;
    answer(exchange, "text/html; charset=utf-8", asset_page());
    response_header(&exchange->response, "Content-Security-Policy",
                    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src blob: data:; "
                    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
}

void handle_openapi(struct service *service, struct exchange *exchange)
{
    (void)service;
    answer(exchange, "application/yaml", asset_openapi());
}
