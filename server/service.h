/* The service: the networks, what waits, who works, and what has been counted. Handlers get it; it knows no HTTP
 * library. */
#ifndef SERVER_SERVICE_H
#define SERVER_SERVICE_H

#include "server/config/settings.h"
#include "server/doors.h"
#include "server/log/log.h"
#include "server/metrics/metrics.h"
#include "server/models/loader.h"
#include "server/work/job.h"
#include "server/work/pace.h"
#include "server/work/pool.h"
#include "server/work/sweep.h"

enum service_state { SERVICE_STARTING, SERVICE_READY, SERVICE_DRAINING };

struct transport;

struct service {
    const struct settings *settings;
    struct doors *doors; /* whoever starts the service puts it here */
    size_t instances;
    struct repository *repository;
    struct loader *loader;
    struct bell *bell;   /* wakes the instances */
    struct queue *queue; /* of struct job */
    struct sweep *sweep; /* of the queue */
    struct job_store *jobs;
    struct pool *pool;
    struct pace pace;
    struct metrics metrics;
    struct log *log;                    /* NULL for none */
    struct transport *const *transport; /* where what brings the requests will stand: set before it is started, as the
                                           first request may come before the start is over */
    atomic_int state;                   /* enum service_state */
};

/* Loads the networks and starts the instances; SERVICE_STARTING until service_ready. `settings` and `log` must outlive
 * it. After a failure service_close is still due. */
enum esp_status service_open(struct service *service, const struct settings *settings, struct log *log,
                             struct esp_error *err);

void service_ready(struct service *service);
void service_drain(struct service *service);
enum service_state service_state(const struct service *service);

/* Looks through what waits, every few hundredths of a second: answers those whose deadline has passed, and drops those
 * whose client has gone. For one thread. */
void service_sweep(struct service *service);

/* Has all networks loaded anew, meanwhile. */
void service_reload(struct service *service);

/* Answers what still waits with 503 and stops the instances; no exchange is suspended any more. */
void service_stop(struct service *service);
void service_close(struct service *service);

/* When a refused client had better come back, in milliseconds: by then what waits now will have been worked off, at the
 * pace of the last seconds. */
unsigned service_retry_ms(struct service *service);

/* Answers 429, and counts why. Gives false. */
bool service_busy(struct service *service, enum rejection why, struct response *response);

/* Answers 404: there is no network of that name. Gives false. */
bool service_no_model(struct service *service, const char *name, size_t length, struct response *response);

#endif
