/* What the tests share: where things are, random numbers that repeat, golden files, and loading with a loud failure. */
#ifndef ESP_TESTS_SUPPORT_H
#define ESP_TESTS_SUPPORT_H

#include "core/safetensors.h"
#include "espalier/cutout.h"
#include "espalier/instance.h"
#include "espalier/model.h"

#include <check.h>

/* The path of a file of the project, in a static buffer that the next call writes again. */
const char *project_path(const char *relative);

/* Loads a model directory of the project; fails the test with the loader's message. */
esp_model *load_model(const char *relative, const char *kernels);

/* The bundled network. */
esp_model *load_bundled(const char *kernels);

esp_instance *make_instance(const esp_model *model, size_t batch);

/* A closed cutout of the named nodes (a list ended by NULL; NULL for all). */
esp_cutout *make_cutout(const esp_model *model, const char *const *names);

/* One image through an instance: the scores, [nodes], are the caller's to free. */
float *run_one(esp_instance *instance, const esp_cutout *cutout, const float *input, struct esp_cost *cost);

/* The same, with all that a run says; free_job frees its scores and what ran. */
struct esp_job run_job(esp_instance *instance, const esp_cutout *cutout, const float *input);
void free_job(struct esp_job *job);

/* xorshift64*: the same numbers on every machine. */
uint64_t random_bits(uint64_t *state);
size_t random_below(uint64_t *state, size_t bound);
float random_normalish(uint64_t *state);
void random_floats(uint64_t *state, float *values, size_t count);

/* A safetensors file of the project, and one of its tensors as FP32 (the caller's to free). */
struct esp_safetensors read_golden(const char *relative);
float *golden_floats(struct esp_safetensors *file, const char *name, size_t *count);

/* Runs a suite and ends the program with its result. */
int run_suite(Suite *suite);

#endif
