#include "server/routes.h"

#include "server/authorization.h"
#include "server/handlers/handlers.h"
#include "server/problem.h"
#include "server/service.h"

#include <stdio.h>
#include <string.h>

/* What becomes of the body: it is of no interest; or it is collected, but for those that are taken apart as a form. */
enum forms { NO_FORM, BYTES_ONLY, MULTIPART, ANY_FORM };

struct route {
    const char *method, *path; /* the path may have up to REQUEST_PARAMETERS_MAX parts such as "{name}", each of which
                                  stands for any text without a slash */
    void (*handle)(struct service *service, struct exchange *exchange);
    void (*admit)(struct service *service,
                  struct exchange *exchange); /* before the body is read; NULL: nothing to say */
    enum forms forms;
};

static void admit_admin(struct service *service, struct exchange *exchange)
{
    authorization_admin(&exchange->request, service->settings->admin_token, &exchange->response);
}

static const struct route routes[] = {
    {"GET", "/", handle_page, NULL, NO_FORM},
    {"GET", "/openapi.yaml", handle_openapi, NULL, NO_FORM},
    /* An urlencoded body is what curl --data-binary calls a picture. */
    {"POST", "/classify", handle_classify, admit_classify, MULTIPART},
    {"POST", "/cost", handle_cost, NULL, ANY_FORM},
    {"GET", "/categories", handle_categories, NULL, NO_FORM},
    {"GET", "/healthz", handle_healthz, NULL, NO_FORM},
    {"GET", "/readyz", handle_readyz, NULL, NO_FORM},
    {"GET", "/metrics", handle_metrics, NULL, NO_FORM},
    {"GET", "/v2", handle_v2_server, NULL, NO_FORM},
    {"GET", "/v2/health/live", handle_v2_live, NULL, NO_FORM},
    {"GET", "/v2/health/ready", handle_v2_ready, NULL, NO_FORM},
    {"GET", "/v2/models/{name}", handle_v2_model, NULL, NO_FORM},
    {"GET", "/v2/models/{name}/ready", handle_v2_model_ready, NULL, NO_FORM},
    {"POST", "/v2/models/{name}/infer", handle_v2_infer, admit_classify, BYTES_ONLY},
    {"GET", "/v2/models/{name}/versions/{version}", handle_v2_model, NULL, NO_FORM},
    {"GET", "/v2/models/{name}/versions/{version}/ready", handle_v2_model_ready, NULL, NO_FORM},
    {"POST", "/v2/models/{name}/versions/{version}/infer", handle_v2_infer, admit_classify, BYTES_ONLY},
    {"POST", "/v2/repository/index", handle_index, admit_admin, NO_FORM},
    {"POST", "/v2/repository/models/{name}/load", handle_load, admit_admin, NO_FORM},
    {"POST", "/v2/repository/models/{name}/unload", handle_unload, admit_admin, NO_FORM},
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

static const struct route *find(struct request *request)
{
    const char *method = strcmp(request->method, "HEAD") ? request->method : "GET";

    for (size_t i = 0; i < ROUTES; i++)
        if (!strcmp(routes[i].method, method) && fits(routes[i].path, request->path, request->parameters))
            return &routes[i];
    return NULL;
}

/* Writes the methods of the path, "GET, HEAD, OPTIONS"; "*" has those of all. False where there is nothing at the path.
 */
static bool methods_of(const char *path, char allow[ALLOW_MAX])
{
    bool all = !strcmp(path, "*"), get = false, post = false;
    struct parameter parameters[REQUEST_PARAMETERS_MAX];

    for (size_t i = 0; i < ROUTES; i++) {
        if (!all && !fits(routes[i].path, path, parameters))
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

    if (route->forms == NO_FORM)
        return BODY_DROP;
    return form && route->forms != BYTES_ONLY ? BODY_FORM : BODY_BYTES;
}

void routes_admit(struct service *service, struct exchange *exchange)
{
    const struct route *route = find(&exchange->request);

    exchange->route = route;
    if (!route) {
        answer_without_route(&exchange->request, &exchange->response);
        return;
    }
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
