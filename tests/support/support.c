#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *project_path(const char *relative)
{
    static char path[4096];
    const char *root = getenv("ESPALIER_SOURCE");
    snprintf(path, sizeof path, "%s/%s", root ? root : ".", relative);
    return path;
}

esp_model *load_model(const char *relative, const char *kernels)
{
    struct esp_error err = {0};
    struct esp_model_options options;
    esp_model *model;

    esp_model_options_default(&options);
    options.kernels = kernels;
    if (esp_model_load(&model, project_path(relative), &options, &err) != ESP_OK)
        ck_abort_msg("%s", err.text);
    return model;
}

esp_model *load_bundled(const char *kernels)
{
    return load_model("deploy/models/tiny-imagenet-200", kernels);
}

esp_instance *make_instance(const esp_model *model, size_t batch)
{
    struct esp_error err = {0};
    esp_instance *instance;

    if (esp_instance_create(&instance, model, batch, &err) != ESP_OK)
        ck_abort_msg("%s", err.text);
    return instance;
}

esp_cutout *make_cutout(const esp_model *model, const char *const *names)
{
    struct esp_error err = {0};
    esp_cutout *cutout;

    ck_assert_int_eq(esp_cutout_create(&cutout, model, &err), ESP_OK);
    for (; names && *names; names++)
        if (esp_cutout_select(cutout, *names, strlen(*names), &err) != ESP_OK)
            ck_abort_msg("%s", err.text);
    if (esp_cutout_close(cutout, &err) != ESP_OK)
        ck_abort_msg("%s", err.text);
    return cutout;
}

struct esp_job run_job(esp_instance *instance, const esp_cutout *cutout, const float *input)
{
    size_t nodes = esp_model_info(esp_cutout_model(cutout))->nodes;
    struct esp_error err = {0};
    struct esp_job job = {.cutout = cutout, .input = input};

    job.scores = calloc(nodes, sizeof *job.scores);
    job.ran = calloc(nodes, sizeof *job.ran);
    if (esp_instance_run(instance, &job, 1, &err) != ESP_OK)
        ck_abort_msg("%s", err.text);
    return job;
}

void free_job(struct esp_job *job)
{
    free(job->scores);
    free(job->ran);
}

float *run_one(esp_instance *instance, const esp_cutout *cutout, const float *input, struct esp_cost *cost)
{
    struct esp_job job = run_job(instance, cutout, input);

    if (cost)
        *cost = job.cost;
    free(job.ran);
    return job.scores;
}

uint64_t random_bits(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717u;
}

size_t random_below(uint64_t *state, size_t bound)
{
    return (size_t)(random_bits(state) >> 33) % bound;
}

/* The sum of four uniform numbers, of deviation 1 or so. */
float random_normalish(uint64_t *state)
{
    float sum = 0;
    for (int i = 0; i < 4; i++)
        sum += (float)(random_bits(state) >> 40) / 16777216.0f - 0.5f;
    return sum * 1.7320508f;
}

void random_floats(uint64_t *state, float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = random_normalish(state);
}

struct esp_safetensors read_golden(const char *relative)
{
    struct esp_error err = {0};
    struct esp_safetensors file;

    if (esp_safetensors_read(&file, project_path("."), relative, &err) != ESP_OK)
        ck_abort_msg("%s", err.text);
    return file;
}

float *golden_floats(struct esp_safetensors *file, const char *name, size_t *count)
{
    struct esp_tensor *tensor = esp_safetensors_find(file, name);
    float *floats;

    if (!tensor)
        ck_abort_msg("no tensor %s in the golden file", name);
    *count = tensor->elements;
    floats = malloc(*count * sizeof *floats);
    ck_assert(esp_tensor_floats(file, tensor, floats));
    return floats;
}

int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
