#include "server/metrics.h"

#include "server/handlers/handlers.h"
#include "server/http/exchange.h"
#include "server/problem.h"
#include "server/routes.h"
#include "server/service.h"

#include <stdlib.h>

static struct metrics_view view_of(const struct service *service)
{
    const struct esp_model_info *info = esp_model_info(service->model);

    return (struct metrics_view){.route = routes_name,
                                 .queue_depth = queue_length(service->queue),
                                 .queue_capacity = queue_capacity(service->queue),
                                 .instances = service->instances,
                                 .ready = service_state(service) == SERVICE_READY,
                                 .version = ESP_VERSION,
                                 .kernels = info->kernels,
                                 .precision = info->precision,
                                 .model = info->name};
}

void handle_metrics(struct service *service, struct exchange *exchange)
{
    struct metrics_view view = view_of(service);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (out)
        metrics_print(&service->metrics, &view, out);
    if (!out || fclose(out) != 0) {
        free(text);
        problem(&exchange->response, 500, "out of memory");
        return;
    }
    response_owned(&exchange->response, 200, "text/plain; version=0.0.4; charset=utf-8", text, size);
    response_header(&exchange->response, "Cache-Control", "no-store");
}
