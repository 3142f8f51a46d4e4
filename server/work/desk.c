#include "server/work/desk.h"

#include "server/base64.h"
#include "server/clock.h"
#include "server/http/transport.h"
#include "server/problem.h"

#include <stdlib.h>
#include <string.h>

/* A buffer for base64 that an unusually large picture has blown up further is given back after it. */
enum { KEPT_BYTES_MAX = 4 << 20 };

static double seconds(uint64_t from_ns, uint64_t to_ns)
{
    return (double)(to_ns - from_ns) / 1e9;
}

/* The order matters: once resumed, the exchange is no longer ours, and the job's place has to be free by then. */
static void finish(const struct desk *desk, struct job *job)
{
    struct exchange *exchange = job->exchange;
    job_store_give(desk->parts->jobs, job);
    exchange_resume(exchange);
}

/* ---- images ---- */

static bool make_room(struct desk *desk, size_t size)
{
    if (size <= desk->capacity)
        return true;
    free(desk->bytes);
    desk->bytes = malloc(size);
    desk->capacity = desk->bytes ? size : 0;
    return desk->bytes != NULL;
}

static void give_back_room(struct desk *desk)
{
    if (desk->capacity <= KEPT_BYTES_MAX)
        return;
    free(desk->bytes);
    desk->bytes = NULL;
    desk->capacity = 0;
}

/* Replaces base64 text by the bytes it stands for. */
static bool decode_text(struct desk *desk, struct image_source *image, struct response *response)
{
    size_t size;

    if (!image->base64)
        return true;
    if (!make_room(desk, base64_bytes_max(image->size)))
        return problem(response, 500, "out of memory");
    if (!base64_decode((const char *)image->bytes, image->size, desk->bytes, &size))
        return problem(response, 400, "image is not base64: the standard alphabet with padding, without spaces");
    *image = (struct image_source){desk->bytes, size, false};
    return true;
}

/* Decodes the image of seat `index` into its place in the instance. */
static bool decode_image(struct desk *desk, size_t index)
{
    struct seat *seat = &desk->seats[index];
    struct network *network = seat->job->network;
    float *room = esp_instance_input(network->places[desk->number].instance, index);
    struct image_source *image = &seat->job->image;
    struct response *response = &seat->job->exchange->response;
    struct esp_image_report report;
    struct esp_error err = {0};
    uint64_t begin = clock_now();

    if (!decode_text(desk, image, response))
        return false;
    seat->times.decode = seconds(begin, clock_now());
    if (esp_decoder_decode(desk->decoder, image->bytes, image->size, &network->info->input, room, &report, &err) !=
        ESP_OK)
        return problem_engine(response, &err);
    seat->times.decode += report.decode_seconds;
    seat->times.preprocess = report.preprocess_seconds;
    return true;
}

/* ---- taking seats ---- */

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

static bool take_seat(struct desk *desk, size_t index, struct job *job, uint64_t now)
{
    desk->seats[index] = (struct seat){.job = job, .times.queue = seconds(job->arrived_ns, now)};
    job->exchange->work.times.queue = desk->seats[index].times.queue;
    return !too_late(desk, job, now) && decode_image(desk, index);
}

/* The seats taken are the first ones: an image that cannot be decoded leaves its seat to the next. */
static size_t take_seats(struct desk *desk, struct job **jobs, size_t count)
{
    uint64_t now = clock_now();
    size_t taken = 0;

    for (size_t i = 0; i < count; i++) {
        if (take_seat(desk, taken, jobs[i], now))
            taken++;
        else
            finish(desk, jobs[i]);
    }
    give_back_room(desk);
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
static void note_work(struct exchange_work *work, const struct esp_job *ran, const struct times *times, size_t batch)
{
    work->ran = true;
    work->times = *times;
    work->macs = ran->cost.macs;
    work->branches = ran->cost.branches;
    work->beam = esp_cutout_get_beam(ran->cutout);
    work->budget_macs = esp_cutout_get_budget(ran->cutout);
    work->batch = batch;
}

static void answer(struct desk *desk, size_t index, size_t batch)
{
    const struct esp_job *ran = &desk->engine[index];
    struct job *job = desk->seats[index].job;
    const struct esp_model_info *info = job->network->info;
    struct esp_prediction *predictions = job->network->places[desk->number].predictions;
    struct times *times = &desk->seats[index].times;
    size_t top = job->options.top < info->categories ? (size_t)job->options.top : info->categories;
    size_t count = esp_predict(ran, top, predictions);
    uint64_t begin = clock_now();

    times->trunk = ran->trunk_seconds;
    times->branches = ran->branches_seconds;
    times->total = seconds(job->arrived_ns, begin);
    struct answer given = {.request_id = job->exchange->request.id,
                           .ran = ran,
                           .predictions = predictions,
                           .count = count,
                           .groups = job->options.groups,
                           .batch = batch,
                           .times = *times};
    answer_classify(&given, &job->exchange->response);
    metrics_stages(desk->parts->metrics, times, clock_now() - begin);
    metrics_image(desk->parts->metrics, &ran->cost, info->macs, count);
    branch_counts_add(job->network->branches, desk->number, ran);
    note_work(&job->exchange->work, ran, times, batch);
}

/* The answers go out when all are written, which takes little beside the run: I/O threads that are woken by each of
 * them take this CPU away as often. Gives the MACs that ran. */
static uint64_t run_and_answer(struct desk *desk, size_t count)
{
    struct esp_error err = {0};
    bool good = run(desk, desk->seats[0].job->network, count, &err);
    uint64_t macs = 0;

    metrics_run(desk->parts->metrics, count);
    for (size_t i = 0; i < count; i++) {
        struct job *job = desk->seats[i].job;
        macs += desk->engine[i].cost.macs;
        if (good)
            answer(desk, i, count);
        else
            problem(&job->exchange->response, 500, "the network could not be run: %s", err.text);
    }
    for (size_t i = 0; i < count; i++)
        finish(desk, desk->seats[i].job);
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
    size_t taken = take_seats(desk, jobs, count);
    uint64_t ran = taken > 0 ? run_and_answer(desk, taken) : 0;
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
    return esp_decoder_create(&desk->decoder, &parts->limits, err);
}

void desk_close(struct desk *desk)
{
    esp_decoder_destroy(&desk->decoder);
    free(desk->seats);
    free(desk->engine);
    free(desk->bytes);
    *desk = (struct desk){0};
}
