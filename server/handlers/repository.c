/* The repository of networks: the Open Inference Protocol's extension for loading and unloading them. */
#include "server/handlers/handlers.h"
#include "server/http/transport.h"
#include "server/json_body.h"
#include "server/problem.h"
#include "server/service.h"

#include <jansson.h>
#include <math.h>

/* ---- loading and unloading ---- */

static unsigned status_of(enum esp_status status)
{
    switch (status) {
    case ESP_ERROR_UNKNOWN_NAME: return 404;
    case ESP_ERROR_ARGUMENT: return 409;
    case ESP_ERROR_MEMORY: return 500;
    default: return 422;
    }
}

static void answer_result(struct response *response, const struct loader_result *result)
{
    json_t *body =
        json_pack("{s:s, s:s, s:f}", "name", result->name, "state",
                  result->verb == LOADER_LOAD ? "READY" : "UNAVAILABLE", "seconds", round(result->seconds * 1e6) / 1e6);
    if (!json_body(response, 200, "application/json", body))
        problem(response, 500, "out of memory");
    json_decref(body);
}

/* On the loader's thread. */
static void done(void *context, const struct loader_result *result)
{
    struct exchange *exchange = context;

    if (result->stopped)
        problem(&exchange->response, 503, "the service is shutting down; try again elsewhere");
    else if (result->status == ESP_OK)
        answer_result(&exchange->response, result);
    else
        problem(&exchange->response, status_of(result->status), "%s", result->text);
    exchange_resume(exchange);
}

/* Loading takes its time: the connection sleeps, before the loader hears of it. */
static void ask(struct service *service, struct exchange *exchange, enum loader_verb verb)
{
    const struct request *request = &exchange->request;

    const struct parameter *name = &request->parameters[0];

    if (name->length > ESP_NAME_MAX) {
        service_no_model(service, name->text, name->length, &exchange->response);
        return;
    }
    if (service_state(service) == SERVICE_DRAINING) { /* the loader may be gone */
        problem(&exchange->response, 503, "the service is shutting down; try again elsewhere");
        return;
    }
    exchange_suspend(exchange);
    if (loader_ask(service->loader, verb, name->text, name->length, done, exchange))
        return;
    problem(&exchange->response, 503, "%d networks wait to be loaded or unloaded; try again later", LOADER_WAITING_MAX);
    exchange_resume(exchange);
}

void handle_load(struct service *service, struct exchange *exchange)
{
    ask(service, exchange, LOADER_LOAD);
}

void handle_unload(struct service *service, struct exchange *exchange)
{
    ask(service, exchange, LOADER_UNLOAD);
}

/* ---- what there is ---- */

void handle_index(struct service *service, struct exchange *exchange)
{
    struct network *networks[REPOSITORY_MAX];
    size_t count = repository_take_all(service->repository, networks);
    json_t *body = json_array();

    for (size_t i = 0; i < count; i++) {
        const struct esp_model_info *info = networks[i]->info;
        json_array_append_new(body,
                              json_pack("{s:s, s:s, s:s, s:b}", "name", info->name, "version", info->version, "state",
                                        "READY", "default", repository_is_default(service->repository, networks[i])));
        repository_release(service->repository, networks[i]);
    }
    if (json_array_size(body) < count || !json_body(&exchange->response, 200, "application/json", body))
        problem(&exchange->response, 500, "out of memory");
    json_decref(body);
}
