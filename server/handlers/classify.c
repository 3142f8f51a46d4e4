#include "server/answer.h"
#include "server/handlers/handlers.h"
#include "server/handlers/input.h"
#include "server/handlers/submit.h"

void handle_classify(struct service *service, struct exchange *exchange)
{
    struct job *job = submit_begin(service, exchange);

    if (!job)
        return;
    if (input_read(service, &exchange->request, job, true, &exchange->response))
        submit(service, job);
    else
        job_store_give(service->jobs, job);
}

/* The costs of a cutout, or their bounds, are known without running it. */
void handle_cost(struct service *service, struct exchange *exchange)
{
    struct job *job = submit_begin(service, exchange);

    if (!job)
        return;
    if (input_read(service, &exchange->request, job, false, &exchange->response))
        answer_cost(job->options.cutout, &exchange->response);
    job_store_give(service->jobs, job);
}
