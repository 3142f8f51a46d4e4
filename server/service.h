/* The service: the network, what waits, who works, and what has been counted. Handlers get it; it knows no HTTP
 * library. */
#ifndef SERVER_SERVICE_H
#define SERVER_SERVICE_H

#include "espalier/model.h"
#include "server/work/job.h"
#include "server/metrics/metrics.h"
#include "server/work/pool.h"
#include "server/work/queue.h"
#include "server/config/settings.h"

enum service_state { SERVICE_STARTING, SERVICE_READY, SERVICE_DRAINING };

struct service {
    const struct settings *settings;
    size_t instances;
    esp_model *model;
    struct bell *bell;   /* wakes the instances */
    struct queue *queue; /* of struct job */
    struct job_store *jobs;
    struct pool *pool;
    struct metrics metrics;
    struct branch_counts *branches;
    char *categories; /* the answer of GET /categories, which never changes */
    atomic_int state; /* enum service_state */
};

/* Loads the network and starts the instances; SERVICE_STARTING until service_ready. `settings` must outlive it. After a
 * failure service_close is still due. */
enum esp_status service_open(struct service *service, const struct settings *settings, struct esp_error *err);

void service_ready(struct service *service);
void service_drain(struct service *service);
enum service_state service_state(const struct service *service);

/* Answers what still waits with 503 and stops the instances; no exchange is suspended any more. */
void service_stop(struct service *service);
void service_close(struct service *service);

/* When a refused client had better come back: about the time that the queue needs to be worked off. */
unsigned service_retry_ms(const struct service *service);

/* Counts an answer, and why it refused, if it did. */
void service_count(struct service *service, const struct exchange *exchange);

#endif
