#include "server/http/watchdog.h"

#include <pthread.h>
#include <stdlib.h>

enum { TICK_MS = 20 };

struct watchdog {
    pthread_t thread;
    struct connections *connections;
    struct watchdog_task task;
};

static void *watch(void *context)
{
    struct watchdog *watchdog = context;

    while (connections_rest(watchdog->connections, TICK_MS)) {
        connections_watch(watchdog->connections);
        if (watchdog->task.run)
            watchdog->task.run(watchdog->task.context);
    }
    return NULL;
}

enum esp_status watchdog_start(struct watchdog **watchdog, struct connections *connections, struct watchdog_task task,
                               struct esp_error *err)
{
    struct watchdog *made = *watchdog = malloc(sizeof *made);

    if (!made)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    *made = (struct watchdog){.connections = connections, .task = task};
    if (pthread_create(&made->thread, NULL, watch, made) == 0)
        return ESP_OK;
    free(made);
    *watchdog = NULL;
    return esp_fail(err, ESP_ERROR_IO, "the thread that watches connections could not be started");
}

void watchdog_stop(struct watchdog **watchdog)
{
    if (!*watchdog)
        return;
    pthread_join((*watchdog)->thread, NULL);
    free(*watchdog);
    *watchdog = NULL;
}
