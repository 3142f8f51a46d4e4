/* The Open Inference Protocol: health, metadata and inference. Its room is server/v2. */
#include "server/handlers/handlers.h"
#include "server/handlers/submit.h"
#include "server/json_body.h"
#include "server/problem.h"

#include <jansson.h>
#include <string.h>

/* Takes over the value. What is said of the moment should not be kept. */
static void answer(struct response *response, unsigned status, json_t *body)
{
    if (!json_body(response, status, "application/json", body))
        problem(response, 500, "out of memory");
    else if (status == 200) /* the transport says it of errors */
        response_header(response, "Cache-Control", "no-store");
    json_decref(body);
}

/* ---- the server ---- */

void handle_v2_server(struct service *service, struct exchange *exchange)
{
    (void)service;
    answer(&exchange->response, 200, infer_server());
}

void handle_v2_live(struct service *service, struct exchange *exchange)
{
    (void)service;
    answer(&exchange->response, 200, json_pack("{s:b}", "live", 1));
}

static bool is_ready(const struct service *service)
{
    return service_state(service) == SERVICE_READY;
}

void handle_v2_ready(struct service *service, struct exchange *exchange)
{
    bool ready = is_ready(service);
    answer(&exchange->response, ready ? 200 : 503, json_pack("{s:b, s:b}", "live", 1, "ready", (int)ready));
}

/* ---- a network ---- */

static bool check_version(const struct request *request, const struct esp_model_info *info, struct response *response)
{
    const struct parameter *version = &request->parameters[1];

    if (!version->text ||
        (strlen(info->version) == version->length && !memcmp(info->version, version->text, version->length)))
        return true;
    return problem(response, 404, "the model '%s' has no version '%.*s'; served is '%s'", info->name,
                   version->length < 64 ? (int)version->length : 64, version->text, info->version);
}

/* The network of the path, to be released. Answers and gives NULL where there is none, or not in this version. */
static struct network *take_network(struct service *service, struct exchange *exchange)
{
    const struct parameter *name = &exchange->request.parameters[0];
    struct network *network = repository_take(service->repository, name->text, name->length);

    if (!network)
        service_no_model(service, name->text, name->length, &exchange->response);
    if (!network || check_version(&exchange->request, network->info, &exchange->response))
        return network;
    repository_release(service->repository, network);
    return NULL;
}

void handle_v2_model(struct service *service, struct exchange *exchange)
{
    struct network *network = take_network(service, exchange);

    if (!network)
        return;
    answer(&exchange->response, 200, infer_model(network->info));
    repository_release(service->repository, network);
}

void handle_v2_model_ready(struct service *service, struct exchange *exchange)
{
    struct network *network = take_network(service, exchange);
    bool ready = is_ready(service);

    if (!network)
        return;
    answer(&exchange->response, ready ? 200 : 503,
           json_pack("{s:s, s:b}", "name", network->info->name, "ready", (int)ready));
    repository_release(service->repository, network);
}

/* ---- inference ---- */

static bool read_request(struct service *service, struct job *job)
{
    const struct request *request = &job->exchange->request;
    const struct parameter *name = &request->parameters[0];
    struct response *response = &job->exchange->response;

    if (!job_choose(service->jobs, job, name->text, name->length))
        return service_no_model(service, name->text, name->length, response);
    options_begin(&job->options, service->settings->timeout_ms);
    return check_version(request, job->network->info, response) && infer_read(job, request, response);
}

void handle_v2_infer(struct service *service, struct exchange *exchange)
{
    struct job *job = submit_begin(service, exchange);

    if (!job)
        return;
    if (read_request(service, job))
        submit(service, job);
    else
        job_store_give(service->jobs, job);
}
