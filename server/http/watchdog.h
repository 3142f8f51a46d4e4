/* A thread that looks at the connections every few milliseconds, as long as there are any: it closes those that are too
 * slow, and does what else has to be done now and then while requests are under way. */
#ifndef SERVER_HTTP_WATCHDOG_H
#define SERVER_HTTP_WATCHDOG_H

#include "server/http/connections.h"

struct watchdog_task {
    void (*run)(void *context); /* thread-safe against all others; NULL: nothing */
    void *context;
};

struct watchdog;

enum esp_status watchdog_start(struct watchdog **watchdog, struct connections *connections, struct watchdog_task task,
                               struct esp_error *err);

/* After connections_end. Sets the pointer to NULL; NULL is fine. */
void watchdog_stop(struct watchdog **watchdog);

#endif
