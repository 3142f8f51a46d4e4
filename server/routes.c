#include "server/routes.h"

#include "server/authorization.h"
#include "server/handlers/handlers.h"
#include "server/problem.h"
#include "server/service.h"

#include <stdio.h>
#include <string.h>

/* Through which entrances one gets to a route, where there are two. */
enum where { MAIN, ADMIN, BOTH, METRICS /* both, or the administration's only: as set */ };

/* What becomes of the body: it is of no interest; or it is collected, but for those that are taken apart as a form. */
enum forms { NO_FORM, BYTES_ONLY, MULTIPART, ANY_FORM };

struct route {
    const char *method, *path; /* the path may have up to REQUEST_PARAMETERS_MAX parts such as "{name}", each of which
                                  stands for any text without a slash */
    void (*handle)(struct service *service, struct exchange *exchange);
    void (*admit)(struct service *service,
                  struct exchange *exchange); /* before the body is read; NULL: nothing to say */
    enum forms forms;
    enum where where;
    enum access access; /* of METRICS: unless they are set to be open */
};

static const struct route routes[] = {
    {"GET", "/", handle_page, NULL, NO_FORM, MAIN, ACCESS_TOKEN},
    {"GET", "/openapi.yaml", handle_openapi, NULL, NO_FORM, MAIN, ACCESS_TOKEN},
    /* An urlencoded body is what curl --data-binary calls a picture. */
    {"POST", "/classify", handle_classify, admit_classify, MULTIPART, MAIN, ACCESS_TOKEN},
    {"POST", "/cost", handle_cost, NULL, ANY_FORM, MAIN, ACCESS_TOKEN},
    {"GET", "/categories", handle_categories, NULL, NO_FORM, MAIN, ACCESS_TOKEN},
    {"GET", "/healthz", handle_healthz, NULL, NO_FORM, BOTH, ACCESS_OPEN},
    {"GET", "/readyz", handle_readyz, NULL, NO_FORM, BOTH, ACCESS_OPEN},
    {"GET", "/metrics", handle_metrics, NULL, NO_FORM, METRICS, ACCESS_TOKEN},
    {"GET", "/v2", handle_v2_server, NULL, NO_FORM, MAIN, ACCESS_TOKEN},
    {"GET", "/v2/health/live", handle_v2_live, NULL, NO_FORM, BOTH, ACCESS_OPEN},
    {"GET", "/v2/health/ready", handle_v2_ready, NULL, NO_FORM, BOTH, ACCESS_OPEN},
    {"GET", "/v2/models/{name}", handle_v2_model, NULL, NO_FORM, MAIN, ACCESS_TOKEN},
    {"GET", "/v2/models/{name}/ready", handle_v2_model_ready, NULL, NO_FORM, MAIN, ACCESS_OPEN},
    {"POST", "/v2/models/{name}/infer", handle_v2_infer, admit_classify, BYTES_ONLY, MAIN, ACCESS_TOKEN},
    {"GET", "/v2/models/{name}/versions/{version}", handle_v2_model, NULL, NO_FORM, MAIN, ACCESS_TOKEN},
    {"GET", "/v2/models/{name}/versions/{version}/ready", handle_v2_model_ready, NULL, NO_FORM, MAIN, ACCESS_OPEN},
    {"POST", "/v2/models/{name}/versions/{version}/infer", handle_v2_infer, admit_classify, BYTES_ONLY, MAIN,
     ACCESS_TOKEN},
    {"POST", "/v2/repository/index", handle_index, NULL, NO_FORM, ADMIN, ACCESS_ADMIN},
    {"POST", "/v2/repository/models/{name}/load", handle_load, NULL, NO_FORM, ADMIN, ACCESS_ADMIN},
    {"POST", "/v2/repository/models/{name}/unload", handle_unload, NULL, NO_FORM, ADMIN, ACCESS_ADMIN},
};

enum { ROUTES = sizeof routes / sizeof routes[0], ALLOW_MAX = 128 };

/* Writes what stands for the parts in braces, and NULL for those that there are not. */
static bool fits(const char *pattern, const char *path, struct parameter parameters[REQUEST_PARAMETERS_MAX])
{
    memset(parameters, 0, REQUEST_PARAMETERS_MAX * sizeof *parameters);
    for (const char *brace; (brace = strchr(pattern, '{')); parameters++) {
        size_t before = (size_t)(brace - pattern);
        if (strncmp(pattern, path, before))
            return false;
        *parameters = (struct parameter){path + before, strcspn(path + before, "/")};
        if (parameters->length == 0)
            return false;
        pattern = strchr(brace, '}') + 1;
        path = parameters->text + parameters->length;
    }
    return !strcmp(pattern, path);
}

static bool leads_to(const struct settings *settings, enum entrance entrance, const struct route *route)
{
    if (!*settings->admin_listen || route->where == BOTH)
        return true;
    if (route->where == METRICS && !settings_yes(settings->admin_metrics))
        return true;
    return (entrance == ENTRANCE_MAIN) == (route->where == MAIN);
}

static const struct route *find(const struct settings *settings, enum entrance entrance, struct request *request)
{
    const char *method = strcmp(request->method, "HEAD") ? request->method : "GET";

    for (size_t i = 0; i < ROUTES; i++)
        if (!strcmp(routes[i].method, method) && leads_to(settings, entrance, &routes[i]) &&
            fits(routes[i].path, request->path, request->parameters))
            return &routes[i];
    return NULL;
}

/* Writes the methods of the path, "GET, HEAD, OPTIONS"; "*" has those of all. False where there is nothing at the path.
 */
static bool methods_of(const struct settings *settings, enum entrance entrance, const char *path, char allow[ALLOW_MAX])
{
    bool all = !strcmp(path, "*"), get = false, post = false;
    struct parameter parameters[REQUEST_PARAMETERS_MAX];

    for (size_t i = 0; i < ROUTES; i++) {
        if (!leads_to(settings, entrance, &routes[i]) || (!all && !fits(routes[i].path, path, parameters)))
            continue;
        get |= !strcmp(routes[i].method, "GET");
        post |= !strcmp(routes[i].method, "POST");
    }
    snprintf(allow, ALLOW_MAX, "%s%sOPTIONS", get ? "GET, HEAD, " : "", post ? "POST, " : "");
    return get || post;
}

static void answer_without_route(const struct settings *settings, enum entrance entrance, struct exchange *exchange)
{
    const struct request *request = &exchange->request;
    struct response *response = &exchange->response;
    char allow[ALLOW_MAX];

    if (!methods_of(settings, entrance, request->path, allow)) {
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

    if (route->forms == NO_FORM)
        return BODY_DROP;
    return form && route->forms != BYTES_ONLY ? BODY_FORM : BODY_BYTES;
}

static enum access access_of(const struct settings *settings, const struct route *route)
{
    return route->where == METRICS && settings_yes(settings->open_metrics) ? ACCESS_OPEN : route->access;
}

void routes_admit(struct service *service, enum entrance entrance, struct exchange *exchange)
{
    const struct settings *settings = service->settings;
    const struct route *route = find(settings, entrance, &exchange->request);

    exchange->route = route;
    if (!route) {
        answer_without_route(settings, entrance, exchange);
        return;
    }
    if (!authorization_check(access_of(settings, route), service->doors->tokens, exchange))
        return;
    exchange->use = use_of(route, &exchange->request);
    if (route->admit)
        route->admit(service, exchange);
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
