#include "server/account.h"

#include "server/clock.h"
#include "server/log/request_line.h"
#include "server/problem.h"
#include "server/routes.h"

enum { PROBLEM_MAX = 512 };

/* Of a request that was dropped, the library most often knows, too, that nobody reads an answer. */
static unsigned status_of(const struct exchange *exchange)
{
    return exchange->dropped ? PROBLEM_GONE : exchange->response.status;
}

/* ---- counting ---- */

static void count(struct metrics *metrics, const struct exchange *exchange, uint64_t ns)
{
    unsigned status = status_of(exchange);

    metrics_request(metrics, routes_number(exchange->route), status, ns);
    switch (status) {
    case 400:
        if (exchange->response.close) /* a header that nobody could be sure of */
            metrics_reject(metrics, REJECTED_FRAMING);
        break;
    case 413: metrics_reject(metrics, REJECTED_TOO_LARGE); break;
    case 415: metrics_reject(metrics, REJECTED_MEDIA_TYPE); break;
    case 429: /* the others have been counted where it was known why */
        if (exchange->out_of_room)
            metrics_reject(metrics, REJECTED_QUEUE_BYTES);
        break;
    case PROBLEM_GONE: metrics_cancel(metrics); break;
    case 503:
        if (exchange->request.method && exchange->request.method[0] == 'P') /* not /readyz, whose 503 is an answer */
            metrics_reject(metrics, REJECTED_DRAINING);
        break;
    case 504: metrics_reject(metrics, REJECTED_DEADLINE); break;
    default: break;
    }
}

/* ---- the log ---- */

static enum request_end end_of(const struct exchange *exchange, enum exchange_end end)
{
    static const enum request_end ends[] = {[END_SENT] = REQUEST_SENT,
                                            [END_CANCELLED] = REQUEST_CANCELLED,
                                            [END_TIMEOUT] = REQUEST_TIMEOUT,
                                            [END_CLOSED] = REQUEST_CLOSED};
    return exchange->dropped ? REQUEST_CANCELLED : ends[end];
}

static void add_work(struct request_record *record, const struct exchange_work *work)
{
    record->model = work->model;
    record->queued = work->queued;
    record->ran = work->ran;
    record->queue_ms = work->times.queue * 1e3;
    record->decode_ms = work->times.decode * 1e3;
    record->preprocess_ms = work->times.preprocess * 1e3;
    record->trunk_ms = work->times.trunk * 1e3;
    record->branches_ms = work->times.branches * 1e3;
    record->macs = work->macs;
    record->macs_full = work->macs_full;
    record->branches = work->branches;
    record->batch = work->batch;
    record->beam = work->beam;
    record->budget_macs = work->budget_macs;
}

static void write_line(struct log *log, const struct exchange *exchange, enum exchange_end end, uint64_t ns)
{
    char problem[PROBLEM_MAX];
    struct request_record record = {.id = exchange->request.id,
                                    .trace_id = exchange->trace.trace_id,
                                    .span_id = exchange->trace.span_id,
                                    .parent_span_id = exchange->trace.parent_span_id,
                                    .client = exchange->client,
                                    .token = exchange->caller,
                                    .method = exchange->request.method,
                                    .path = exchange->request.path,
                                    .route = routes_name(routes_number(exchange->route)),
                                    .status = status_of(exchange),
                                    .end = end_of(exchange, end),
                                    .bytes_in = exchange->bytes_in,
                                    .bytes_out = exchange->response.size,
                                    .duration_ms = (double)ns / 1e6};

    add_work(&record, &exchange->work);
    if (problem_text(&exchange->response, problem, sizeof problem))
        record.problem = problem;
    log_request(log, &record);
}

void account_request(struct service *service, const struct exchange *exchange, enum exchange_end end)
{
    uint64_t ns = clock_now() - exchange->begun_ns;

    count(&service->metrics, exchange, ns);
    if (service->log)
        write_line(service->log, exchange, end, ns);
}
