#include "server/handlers/submit.h"

#include "server/clock.h"
#include "server/handlers/handlers.h"
#include "server/http/transport.h"
#include "server/problem.h"

#include <stdio.h>

static void refuse(struct service *service, enum queue_result why, struct response *response)
{
    if (why == QUEUE_CLOSED)
        problem(response, 503, "the service is shutting down; try again elsewhere");
    else
        service_busy(service, why == QUEUE_FULL ? REJECTED_QUEUE_FULL : REJECTED_QUEUE_MACS, response);
}

/* For the log; the network may be gone before the line is written. */
static void note_work(struct exchange_work *work, const struct esp_model_info *info, size_t images)
{
    snprintf(work->model, sizeof work->model, "%s", info->name);
    work->macs_full = images * info->macs;
    work->queued = true;
}

/* The connection sleeps before the job is pushed: afterwards an instance may have answered already. */
void submit(struct service *service, struct job *job)
{
    struct exchange *exchange = job->exchange;

    job->waiting.kind = job->network;
    job->waiting.images = job->pictures.count;
    job->waiting.macs = job->pictures.count * esp_cutout_macs_most(job->options.cutout);
    job->waiting.deadline_ns = job->arrived_ns + job->options.timeout_ms * 1000000;
    job->waiting.socket = exchange_socket(exchange);
    note_work(&exchange->work, job->network->info, job->pictures.count);
    exchange_suspend(exchange);
    enum queue_result result = queue_push(service->queue, &job->waiting);
    if (result == QUEUE_OK)
        return;
    exchange->work.queued = false;
    refuse(service, result, &exchange->response);
    job_store_give(service->jobs, job);
    exchange_resume(exchange);
}

struct job *submit_begin(struct service *service, struct exchange *exchange)
{
    struct job *job = job_store_take(service->jobs);

    if (!job) {
        problem(&exchange->response, 500, "there is no room for another request");
        return NULL;
    }
    job->exchange = exchange;
    job->arrived_ns = clock_now();
    return job;
}

/* A full queue is full whatever the request turns out to be: its body is not even collected. */
void admit_classify(struct service *service, struct exchange *exchange)
{
    enum queue_result room = queue_room(service->queue);

    if (room != QUEUE_OK)
        refuse(service, room, &exchange->response);
}
