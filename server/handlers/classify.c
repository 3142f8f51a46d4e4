#include "server/answer.h"
#include "server/clock.h"
#include "server/handlers/handlers.h"
#include "server/handlers/input.h"
#include "server/http/transport.h"
#include "server/problem.h"
#include "server/service.h"

/* The connection sleeps before the job is pushed: afterwards an instance may have answered already. */
static void submit(struct service *service, struct job *job)
{
    struct exchange *exchange = job->exchange;

    exchange_suspend(exchange);
    enum queue_result result = queue_push(service->queue, job);
    if (result == QUEUE_OK)
        return;
    if (result == QUEUE_FULL)
        problem_busy(&exchange->response, service_retry_ms(service));
    else
        problem(&exchange->response, 503, "the service is shutting down; try again elsewhere");
    job_store_give(service->jobs, job);
    exchange_resume(exchange);
}

static struct job *begin(struct service *service, struct exchange *exchange)
{
    struct job *job = job_store_take(service->jobs);

    if (!job) {
        problem(&exchange->response, 500, "there is no room for another request");
        return NULL;
    }
    job->exchange = exchange;
    job->arrived_ns = clock_now();
    options_begin(&job->options, service->settings->timeout_ms);
    return job;
}

void handle_classify(struct service *service, struct exchange *exchange)
{
    struct job *job = begin(service, exchange);

    if (!job)
        return;
    if (input_read(&exchange->request, job, true, &exchange->response))
        submit(service, job);
    else
        job_store_give(service->jobs, job);
}

/* The costs of a cutout are known without running it. */
void handle_cost(struct service *service, struct exchange *exchange)
{
    struct job *job = begin(service, exchange);

    if (!job)
        return;
    if (input_read(&exchange->request, job, false, &exchange->response))
        answer_cost(job->options.cutout, &exchange->response);
    job_store_give(service->jobs, job);
}
