#include "server/handlers/handlers.h"
#include "server/http/exchange.h"
#include "server/problem.h"
#include "server/service.h"

#include <string.h>

/* A copy: the network may be replaced, and be gone, before the answer is. */
static void answer(struct exchange *exchange, const struct network *network)
{
    response_begin(&exchange->response, 200, "application/json");
    if (response_append(&exchange->response, network->categories, strlen(network->categories)))
        response_header(&exchange->response, "Cache-Control", "no-cache");
    else
        problem(&exchange->response, 500, "out of memory");
}

/* `?model=NAME` asks for that network's. */
void handle_categories(struct service *service, struct exchange *exchange)
{
    const struct field *model = field_find(exchange->request.query, exchange->request.query_count, "model");
    const char *name = model ? model->value : NULL;
    size_t length = model ? model->length : 0;
    struct network *network = repository_take(service->repository, name, length);

    if (!network) {
        service_no_model(service, name, length, &exchange->response);
        return;
    }
    answer(exchange, network);
    repository_release(service->repository, network);
}
