#include "server/routes.h"

#include "server/handlers/handlers.h"
#include "server/problem.h"

#include <stdio.h>
#include <string.h>

/* Which bodies are taken apart as a form; all others are collected. */
enum forms { NO_FORM, MULTIPART, ANY_FORM };

struct route {
    const char *method, *path;
    void (*handle)(struct service *service, struct exchange *exchange);
    enum forms forms;
};

static const struct route routes[] = {
    {"GET", "/", handle_page, NO_FORM},
    {"GET", "/openapi.yaml", handle_openapi, NO_FORM},
    {"POST", "/classify", handle_classify,
     MULTIPART}, /* an urlencoded body is what curl --data-binary calls a picture */
    {"POST", "/cost", handle_cost, ANY_FORM},
    {"GET", "/categories", handle_categories, NO_FORM},
    {"GET", "/healthz", handle_healthz, NO_FORM},
    {"GET", "/readyz", handle_readyz, NO_FORM},
    {"GET", "/metrics", handle_metrics, NO_FORM},
};

enum { ROUTES = sizeof routes / sizeof routes[0], ALLOW_MAX = 128 };

static const struct route *find(const char *method, const char *path)
{
    if (!strcmp(method, "HEAD"))
        method = "GET";
    for (size_t i = 0; i < ROUTES; i++)
        if (!strcmp(routes[i].path, path) && !strcmp(routes[i].method, method))
            return &routes[i];
    return NULL;
}

/* Writes the methods of the path, "GET, HEAD, OPTIONS"; "*" has those of all. False where there is nothing at the path.
 */
static bool methods_of(const char *path, char allow[ALLOW_MAX])
{
    bool all = !strcmp(path, "*"), get = false, post = false;

    for (size_t i = 0; i < ROUTES; i++) {
        if (!all && strcmp(routes[i].path, path))
            continue;
        get |= !strcmp(routes[i].method, "GET");
        post |= !strcmp(routes[i].method, "POST");
    }
    snprintf(allow, ALLOW_MAX, "%s%sOPTIONS", get ? "GET, HEAD, " : "", post ? "POST, " : "");
    return get || post;
}

static void answer_without_route(const struct request *request, struct response *response)
{
    char allow[ALLOW_MAX];

    if (!methods_of(request->path, allow)) {
        problem(response, 404, "there is nothing at %.64s; see /openapi.yaml", request->path);
        return;
    }
    if (!strcmp(request->method, "OPTIONS"))
        response_static(response, 204, NULL, "", 0);
    else
        problem(response, 405, "%.16s is not possible here; use %s", request->method, allow);
    response_header(response, "Allow", "%s", allow);
}

static enum body_use use_of(const struct route *route, const struct request *request)
{
    bool form = request_is(request, "multipart/form-data") ||
                (route->forms == ANY_FORM && request_is(request, "application/x-www-form-urlencoded"));

    if (strcmp(route->method, "POST"))
        return BODY_DROP;
    return form ? BODY_FORM : BODY_BYTES;
}

void routes_admit(struct service *service, struct exchange *exchange)
{
    (void)service;
    exchange->route = find(exchange->request.method, exchange->request.path);
    if (exchange->route)
        exchange->use = use_of(exchange->route, &exchange->request);
    else
        answer_without_route(&exchange->request, &exchange->response);
}

void routes_handle(struct service *service, struct exchange *exchange)
{
    exchange->route->handle(service, exchange);
}

size_t routes_number(const struct route *route)
{
    return route ? (size_t)(route - routes) : ROUTES;
}

const char *routes_name(size_t number)
{
    return number < ROUTES ? routes[number].path : number == ROUTES ? "other" : NULL;
}
