#include "server/bench/measure.h"

#include "espalier/crew.h"
#include "espalier/image.h"
#include "espalier/limits.h"
#include "server/bench/helpers.h"
#include "server/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    DETAILED_MAX = 100,   /* profiled runs, and decodings, at most: their medians need no more */
    WARM_UP_RUNS = 3,     /* at least so many, */
    WARM_UP_NS = 50000000 /* and for so long: caches fill, and the CPU gets up to speed */
};

/* What a measurement works with. */
struct measurement {
    const struct bench *bench;
    struct bench_result *result;
    esp_crew *crew; /* of whole runs */
    struct helpers *helpers;
    esp_instance *instance; /* of profiled runs; holds the input of all runs */
    esp_decoder *decoder;
    struct esp_job jobs[ESP_BATCH_MAX];
    float *scores;   /* [batch][nodes] */
    double *samples; /* [rows or 1][runs]: seconds */
    struct esp_error *err;
};

static size_t detailed_runs(const struct bench *bench)
{
    return bench->runs < DETAILED_MAX ? bench->runs : DETAILED_MAX;
}

/* ---- medians ---- */

static int compare(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;
    return (first > second) - (first < second);
}

/* Sorts the samples. */
static double median(double *samples, size_t count)
{
    qsort(samples, count, sizeof *samples, compare);
    return count % 2 ? samples[count / 2] : (samples[count / 2 - 1] + samples[count / 2]) / 2;
}

/* ---- the input ---- */

/* Decodes the picture into the place of the first image, again and again. */
static enum esp_status decode(struct measurement *m)
{
    const struct bench *bench = m->bench;
    size_t count = detailed_runs(bench);
    double *decode = m->samples, *preprocess = m->samples + count;

    for (size_t i = 0; i < count; i++) {
        enum esp_status status =
            esp_decoder_decode(m->decoder, bench->jpeg, bench->jpeg_size, &esp_model_info(bench->model)->input,
                               esp_instance_input(m->instance, 0), &m->result->picture, m->err);
        if (status != ESP_OK)
            return status;
        decode[i] = m->result->picture.decode_seconds;
        preprocess[i] = m->result->picture.preprocess_seconds;
    }
    m->result->decode = median(decode, count);
    m->result->preprocess = median(preprocess, count);
    return ESP_OK;
}

/* Values from -1 to 1, the same ones every time. */
static void make_up(float *input, size_t count)
{
    uint32_t state = 1;

    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        input[i] = (float)(state >> 8) / (float)(1 << 23) - 1;
    }
}

static enum esp_status prepare_input(struct measurement *m)
{
    struct esp_shape shape = esp_model_info(m->bench->model)->input.shape;
    size_t values = (size_t)shape.channels * shape.height * shape.width;
    float *first = esp_instance_input(m->instance, 0);
    enum esp_status status = ESP_OK;

    if (m->bench->jpeg)
        status = decode(m);
    else
        make_up(first, values);
    for (size_t i = 1; status == ESP_OK && i < m->bench->batch; i++)
        memcpy(esp_instance_input(m->instance, i), first, values * sizeof *first);
    return status;
}

static void prepare_jobs(struct measurement *m)
{
    size_t nodes = esp_model_info(m->bench->model)->nodes;

    for (size_t i = 0; i < m->bench->batch; i++)
        m->jobs[i] = (struct esp_job){
            .cutout = m->bench->cutout, .input = esp_instance_input(m->instance, i), .scores = m->scores + i * nodes};
}

/* ---- runs ---- */

/* Gives its seconds. It cannot fail: the cutout is closed, and there is room for the batch. */
static double run(struct measurement *m, esp_instance *instance)
{
    esp_instance_run(instance, m->jobs, m->bench->batch, m->err);
    return m->jobs[0].trunk_seconds + m->jobs[0].branches_seconds;
}

static void warm_up(struct measurement *m, esp_instance *instance)
{
    uint64_t end = clock_now() + WARM_UP_NS;

    for (int i = 0; i < WARM_UP_RUNS || clock_now() < end; i++)
        run(m, instance);
}

static void time_whole_runs(struct measurement *m)
{
    esp_instance *instance = esp_crew_instance(m->crew, 0);

    warm_up(m, instance);
    for (size_t i = 0; i < m->bench->runs; i++)
        m->samples[i] = run(m, instance);
    m->result->median = median(m->samples, m->bench->runs);
    m->result->fastest = m->samples[0];
    m->result->cost = m->jobs[0].cost;
}

static void number_rows(struct measurement *m)
{
    struct bench_result *result = m->result;
    size_t nodes = esp_model_info(m->bench->model)->nodes, row = 0;

    for (size_t node = 0; node < nodes; node++) {
        result->first[node] = row;
        while (row < result->count && result->rows[row].is->node == node)
            row++;
    }
    result->first[nodes] = row;
}

/* The samples of a row stand side by side. Each run counts from zero, so that the last one leaves its MACs there. */
static void time_layers(struct measurement *m)
{
    esp_profile *profile = m->result->profile;
    size_t rows = esp_profile_rows(profile), runs = detailed_runs(m->bench);

    esp_instance_profile(m->instance, profile);
    warm_up(m, m->instance);
    for (size_t i = 0; i < runs; i++) {
        esp_profile_reset(profile);
        run(m, m->instance);
        for (size_t row = 0; row < rows; row++)
            m->samples[row * runs + i] = esp_profile_row(profile, row)->seconds;
    }
    m->result->profiled = runs;
    for (size_t row = 0; row < rows; row++) {
        const struct esp_profile_row *is = esp_profile_row(profile, row);
        if (is->images > 0)
            m->result->rows[m->result->count++] =
                (struct bench_row){is, is->macs, median(m->samples + row * runs, runs)};
    }
    number_rows(m);
}

/* ---- all of it ---- */

/* For whole runs, for decoding and preprocessing side by side, and for the layers. */
static size_t samples_needed(const struct measurement *m)
{
    size_t detailed = detailed_runs(m->bench) * esp_profile_rows(m->result->profile);
    return detailed > m->bench->runs ? detailed : m->bench->runs;
}

static enum esp_status prepare(struct measurement *m)
{
    const struct bench *bench = m->bench;
    enum esp_status status;

    if ((status = esp_crew_create(&m->crew, bench->model, bench->threads, bench->batch, m->err)) != ESP_OK ||
        (status = helpers_start(&m->helpers, m->crew, bench->threads - 1, m->err)) != ESP_OK ||
        (status = esp_instance_create(&m->instance, bench->model, bench->batch, m->err)) != ESP_OK ||
        (status = esp_profile_create(&m->result->profile, bench->model, m->err)) != ESP_OK ||
        (status = esp_decoder_create(&m->decoder, NULL, m->err)) != ESP_OK)
        return status;
    m->scores = calloc(bench->batch * esp_model_info(bench->model)->nodes, sizeof *m->scores);
    m->samples = calloc(samples_needed(m), sizeof *m->samples);
    m->result->rows = calloc(esp_profile_rows(m->result->profile), sizeof *m->result->rows);
    m->result->first = calloc(esp_model_info(bench->model)->nodes + 1, sizeof *m->result->first);
    if (!m->scores || !m->samples || !m->result->rows || !m->result->first)
        return esp_fail(m->err, ESP_ERROR_MEMORY, "out of memory");
    if ((status = prepare_input(m)) == ESP_OK)
        prepare_jobs(m);
    return status;
}

static void clean_up(struct measurement *m)
{
    helpers_stop(&m->helpers);
    esp_crew_destroy(&m->crew);
    esp_instance_destroy(&m->instance);
    esp_decoder_destroy(&m->decoder);
    free(m->scores);
    free(m->samples);
}

/* The peak is looked for before and after: the better one was disturbed less. */
enum esp_status bench_measure(const struct bench *bench, struct bench_result *result, struct esp_error *err)
{
    struct measurement m = {.bench = bench, .result = result, .err = err};

    *result = (struct bench_result){0};
    enum esp_status status = prepare(&m);
    if (status == ESP_OK) {
        result->peak = esp_model_peak(bench->model);
        time_whole_runs(&m);
        helpers_stop(&m.helpers);
        time_layers(&m);
        result->peak = fmax(result->peak, esp_model_peak(bench->model));
    }
    clean_up(&m);
    return status;
}

void bench_release(struct bench_result *result)
{
    free(result->rows);
    free(result->first);
    esp_profile_destroy(&result->profile);
}

struct bench_sum bench_row_sum(const struct bench_row *row)
{
    return (struct bench_sum){row->macs, (double)row->macs * row->is->products, row->seconds};
}

struct bench_sum bench_add(const struct bench_result *result, size_t node, size_t end)
{
    struct bench_sum sum = {0};

    for (size_t row = result->first[node]; row < result->first[end]; row++) {
        struct bench_sum its = bench_row_sum(&result->rows[row]);
        sum.macs += its.macs;
        sum.products += its.products;
        sum.seconds += its.seconds;
    }
    return sum;
}

double bench_gflops(struct bench_sum sum)
{
    return sum.seconds > 0 ? 2 * (double)sum.macs / sum.seconds / 1e9 : 0;
}

double bench_share(struct bench_sum sum, const struct bench_result *result)
{
    return sum.seconds > 0 ? sum.products / sum.seconds / result->peak : 0;
}
