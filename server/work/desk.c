#include "server/work/desk.h"

#include "server/clock.h"
#include "server/http/transport.h"
#include "server/problem.h"

#include <stdlib.h>

/* The order matters: once resumed, the exchange is no longer ours, and the job's place has to be free by then. */
static void finish(const struct desk *desk, struct job *job)
{
    struct exchange *exchange = job->exchange;
    job_store_give(desk->parts->jobs, job);
    exchange_resume(exchange);
}

/* ---- taking seats ---- */

/* The requests that were taken, and the first of them of which not all images have been read. */
struct line {
    struct job **jobs; /* [count] */
    size_t count, next;
    uint64_t now; /* when they were taken */
};

/* A job that nobody waits for any more costs no engine time. The sweep may not have come round yet. */
static bool too_late(const struct desk *desk, const struct job *job, uint64_t now)
{
    struct response *response = &job->exchange->response;

    if (atomic_load(desk->parts->stopping))
        return !problem(response, 503, "the service is shutting down; try again elsewhere");
    if (now > job->waiting.deadline_ns)
        return !problem_deadline(response, job->options.timeout_ms);
    if (exchange_client_gone(job->exchange))
        return !problem_gone(job->exchange);
    return false;
}

static bool may_begin(const struct desk *desk, struct job *job, uint64_t now)
{
    job->infer.times.queue = job->exchange->work.times.queue = clock_seconds(job->arrived_ns, now);
    return !too_late(desk, job, now);
}

/* The next image of the job goes to seat `index`, decoded into its place in the instance. */
static bool take_seat(struct desk *desk, size_t index, struct job *job)
{
    struct seat *seat = &desk->seats[index];
    float *room = esp_instance_input(job->network->places[desk->number].instance, index);

    *seat = (struct seat){.job = job, .times.queue = job->exchange->work.times.queue};
    return picture_read(&desk->reader, &job->pictures, job->begun++, &job->network->info->input, room, &seat->times,
                        &job->exchange->response);
}

/* A job that is refused leaves the seats that its images have, the last ones, to those behind it. */
static size_t leave_seats(const struct desk *desk, const struct job *job, size_t taken)
{
    while (taken > 0 && desk->seats[taken - 1].job == job)
        taken--;
    return taken;
}

/* Fills the seats, as far as there are images; gives how many are taken. */
static size_t take_seats(struct desk *desk, struct line *line)
{
    size_t taken = 0;

    while (taken < desk->parts->batch && line->next < line->count) {
        struct job *job = line->jobs[line->next];
        bool good = (job->begun > 0 || may_begin(desk, job, line->now)) && take_seat(desk, taken, job);
        if (good)
            taken++;
        else
            taken = leave_seats(desk, job, taken);
        if (!good || job->begun == job->pictures.count)
            line->next++;
        if (!good)
            finish(desk, job);
    }
    picture_reader_trim(&desk->reader);
    return taken;
}

/* ---- running and answering ---- */

static bool run(struct desk *desk, const struct network *network, size_t count, struct esp_error *err)
{
    const struct network_place *place = &network->places[desk->number];

    for (size_t i = 0; i < count; i++)
        desk->engine[i] = (struct esp_job){.cutout = desk->seats[i].job->options.cutout,
                                           .input = esp_instance_input(place->instance, i),
                                           .scores = place->scores + i * network->info->nodes,
                                           .ran = place->ran + i * network->info->nodes};
    return esp_instance_run(place->instance, desk->engine, count, err) == ESP_OK;
}

/* For the log. */
static void note_work(struct exchange_work *work, const struct esp_job *ran, const struct times *times, uint64_t macs,
                      size_t batch)
{
    work->ran = true;
    work->times = *times;
    work->macs = macs;
    work->branches = ran->cost.branches;
    work->beam = esp_cutout_get_beam(ran->cutout);
    work->budget_macs = esp_cutout_get_budget(ran->cutout);
    work->batch = batch;
}

static void count_image(struct desk *desk, size_t index, size_t predictions)
{
    const struct esp_job *ran = &desk->engine[index];
    const struct network *network = desk->seats[index].job->network;
    struct times *times = &desk->seats[index].times;

    times->trunk = ran->trunk_seconds;
    times->branches = ran->branches_seconds;
    metrics_stages(desk->parts->metrics, times);
    metrics_image(desk->parts->metrics, &ran->cost, network->info->macs, predictions);
    branch_counts_add(network->branches, desk->number, ran);
}

static void answer_one(struct desk *desk, size_t index, size_t batch)
{
    const struct esp_job *ran = &desk->engine[index];
    struct job *job = desk->seats[index].job;
    const struct esp_model_info *info = job->network->info;
    struct esp_prediction *predictions = job->network->places[desk->number].predictions;
    struct times *times = &desk->seats[index].times;
    size_t top = job->options.top < info->categories ? (size_t)job->options.top : info->categories;
    size_t count = esp_predict(ran, top, predictions);
    uint64_t begin = clock_now();

    count_image(desk, index, count);
    times->total = clock_seconds(job->arrived_ns, begin);
    struct answer given = {.request_id = job->exchange->request.id,
                           .ran = ran,
                           .predictions = predictions,
                           .count = count,
                           .groups = job->options.groups,
                           .batch = batch,
                           .times = *times};
    answer_classify(&given, &job->exchange->response);
    metrics_encode(desk->parts->metrics, clock_now() - begin);
    note_work(&job->exchange->work, ran, times, ran->cost.macs, batch);
}

/* The times of a run count once for all of the job's images in it. */
static void add_times(struct times *times, const struct desk *desk, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        times->decode += desk->seats[i].times.decode;
        times->preprocess += desk->seats[i].times.preprocess;
    }
    times->trunk += desk->engine[first].trunk_seconds;
    times->branches += desk->engine[first].branches_seconds;
}

static void answer_infer(struct desk *desk, struct job *job, const struct esp_job *ran)
{
    struct infer *infer = &job->infer;
    uint64_t begin = clock_now();

    infer->times.total = clock_seconds(job->arrived_ns, begin);
    infer_answer(job, job->network->places[desk->number].predictions, &job->exchange->response);
    metrics_encode(desk->parts->metrics, clock_now() - begin);
    note_work(&job->exchange->work, ran, &infer->times, infer->cost.macs, infer->batch);
}

/* Keeps what the job's images from seat `first` to before `end` have put out; answers when they were the last. */
static void settle_infer(struct desk *desk, size_t first, size_t end, size_t batch)
{
    struct job *job = desk->seats[first].job;
    struct infer *infer = &job->infer;
    bool good = true;

    for (size_t i = first; i < end; i++) {
        good = infer_keep(infer, &desk->engine[i], job->network->places[desk->number].predictions) && good;
        count_image(desk, i, infer->categories);
    }
    add_times(&infer->times, desk, first, end);
    infer->batch = batch > infer->batch ? batch : infer->batch;
    if (!good)
        problem(&job->exchange->response, 500, "out of memory");
    else if (infer->images == job->pictures.count)
        answer_infer(desk, job, &desk->engine[first]);
}

/* One past the last seat of the job that has seat `first`. */
static size_t end_of_job(const struct desk *desk, size_t first, size_t count)
{
    size_t end = first + 1;
    while (end < count && desk->seats[end].job == desk->seats[first].job)
        end++;
    return end;
}

/* What came of the images of one job in a run. */
static void settle(struct desk *desk, size_t first, size_t end, size_t batch)
{
    if (desk->seats[first].job->infer.asked)
        settle_infer(desk, first, end, batch);
    else
        answer_one(desk, first, batch);
}

/* The answers go out when all are written, which takes little beside the run: I/O threads that are woken by each of
 * them take this CPU away as often. A job with further images goes on, unless it has failed. Gives the MACs that ran.
 */
static uint64_t run_and_answer(struct desk *desk, struct line *line, size_t count)
{
    struct esp_error err = {0};
    bool good = run(desk, desk->seats[0].job->network, count, &err);
    uint64_t macs = 0;

    metrics_run(desk->parts->metrics, count);
    for (size_t i = 0; i < count; i++)
        macs += desk->engine[i].cost.macs;
    for (size_t i = 0; i < count; i = end_of_job(desk, i, count)) {
        if (good)
            settle(desk, i, end_of_job(desk, i, count), count);
        else
            problem(&desk->seats[i].job->exchange->response, 500, "the network could not be run: %s", err.text);
    }
    for (size_t i = 0, end; i < count; i = end) {
        struct job *job = desk->seats[i].job;
        end = end_of_job(desk, i, count);
        if (!job->exchange->response.status)
            continue;
        if (job->begun < job->pictures.count)
            line->next++;
        finish(desk, job);
    }
    return macs;
}

static uint64_t macs_of(struct job *const *jobs, size_t count)
{
    uint64_t macs = 0;
    for (size_t i = 0; i < count; i++)
        macs += jobs[i]->waiting.macs;
    return macs;
}

void desk_answer(struct desk *desk, struct job **jobs, size_t count)
{
    uint64_t begin = clock_now(), expected = macs_of(jobs, count);

    metrics_begin(desk->parts->metrics);
    atomic_fetch_add(desk->parts->running, expected);
    struct line line = {.jobs = jobs, .count = count, .now = begin};
    uint64_t ran = 0;
    for (size_t taken; (taken = take_seats(desk, &line)) > 0;)
        ran += run_and_answer(desk, &line, taken);
    atomic_fetch_sub(desk->parts->running, expected);
    metrics_end(desk->parts->metrics);
    pace_add(desk->parts->pace, ran, clock_now() - begin);
}

/* ---- life ---- */

enum esp_status desk_open(struct desk *desk, const struct desk_parts *parts, size_t number, struct esp_error *err)
{
    *desk = (struct desk){.parts = parts, .number = number};
    desk->seats = calloc(parts->batch, sizeof *desk->seats);
    desk->engine = calloc(parts->batch, sizeof *desk->engine);
    if (!desk->seats || !desk->engine)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    return picture_reader_open(&desk->reader, &parts->limits, err);
}

void desk_close(struct desk *desk)
{
    picture_reader_close(&desk->reader);
    free(desk->seats);
    free(desk->engine);
    *desk = (struct desk){0};
}
