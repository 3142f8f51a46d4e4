/* Scores against those that PyTorch computed in FP32 from the same stored weights. */
#include "espalier/limits.h"
#include "tests/support/support.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* BF16 products keep 8 bits, and the networks that are not trained make noise louder. */
static double tolerance(const esp_model *model)
{
    return strcmp(esp_model_info(model)->precision, "bf16") == 0 ? 0.2 : 1e-3;
}

/* The nodes whose scores a golden file lists, in its order: the leaves, or the inner nodes with a head. */
static size_t listed_nodes(const esp_model *model, bool leaves, size_t *nodes)
{
    size_t count = 0;
    for (size_t i = 1; i < esp_model_info(model)->nodes; i++) {
        const struct esp_node_info *info = esp_model_node(model, i);
        if (leaves ? info->category != SIZE_MAX : info->category == SIZE_MAX && info->head)
            nodes[count++] = i;
    }
    return count;
}

/* Relative to the score where that is above 1. */
static double largest_error(const float *scores, const float *golden, const size_t *nodes, size_t count)
{
    double largest = 0;
    for (size_t i = 0; i < count; i++) {
        double error = fabs((double)scores[nodes[i]] - (double)golden[i]) / fmax(1, fabs((double)golden[i]));
        largest = error > largest || isnan(error) ? error : largest;
    }
    return largest;
}

static esp_cutout *cutout_with(const esp_model *model, const json_t *attention, bool groups)
{
    struct esp_error err = {0};
    esp_cutout *cutout;
    const char *name;
    json_t *weight;

    ck_assert_int_eq(esp_cutout_create(&cutout, model, &err), ESP_OK);
    json_object_foreach((json_t *)attention, name,
                        weight) if (esp_cutout_attend(cutout, name, strlen(name), json_number_value(weight), &err) !=
                                    ESP_OK) ck_abort_msg("%s", err.text);
    esp_cutout_groups(cutout, groups);
    ck_assert_int_eq(esp_cutout_close(cutout, &err), ESP_OK);
    return cutout;
}

/* Compares all images of one tensor of the golden file; returns the largest error. */
static double compare(const esp_model *model, const float *inputs, size_t images, struct esp_safetensors *file,
                      const char *tensor, bool leaves, const json_t *attention)
{
    size_t elements = esp_model_info(model)->input.shape.height * (size_t)esp_model_info(model)->input.shape.width * 3;
    size_t *nodes = calloc(esp_model_info(model)->nodes, sizeof *nodes), count = listed_nodes(model, leaves, nodes),
           size;
    float *golden = golden_floats(file, tensor, &size);
    esp_cutout *cutout = cutout_with(model, attention, true);
    esp_instance *instance = make_instance(model, 1);
    double largest = 0;

    ck_assert_uint_eq(size, images * count);
    for (size_t i = 0; i < images; i++) {
        float *scores = run_one(instance, cutout, inputs + i * elements, NULL);
        largest = fmax(largest, largest_error(scores, golden + i * count, nodes, count));
        free(scores);
    }
    esp_instance_destroy(&instance);
    esp_cutout_destroy(&cutout);
    free(golden);
    free(nodes);
    return largest;
}

static void check_all(const esp_model *model, const float *inputs, size_t images, struct esp_safetensors *file,
                      const json_t *attention)
{
    double leaves = compare(model, inputs, images, file, "category_scores", true, NULL);
    double inner = compare(model, inputs, images, file, "inner_scores", false, NULL);
    double attended = compare(model, inputs, images, file, "category_scores_with_attention", true, attention);

    printf("%s, %s: largest score error %.2g, inner %.2g, with attention %.2g\n", esp_model_info(model)->name,
           esp_model_info(model)->kernels, leaves, inner, attended);
    ck_assert_double_lt(leaves, tolerance(model));
    ck_assert_double_lt(inner, tolerance(model));
    ck_assert_double_lt(attended, tolerance(model));
}

/* [n, h, w, 3] pixels to [n, 3, h, w] normalised values. */
static float *normalise(const esp_model *model, const float *pixels, size_t images)
{
    const struct esp_input_info *input = &esp_model_info(model)->input;
    size_t plane = (size_t)input->shape.height * input->shape.width;
    float *values = malloc(images * 3 * plane * sizeof *values);

    for (size_t n = 0; n < images; n++)
        for (size_t c = 0; c < 3; c++)
            for (size_t i = 0; i < plane; i++)
                values[(n * 3 + c) * plane + i] =
                    (pixels[(n * plane + i) * 3 + c] / 255.0f - input->mean[c]) / input->std[c];
    return values;
}

static void check_bundled(const char *kernels)
{
    esp_model *model = load_bundled(kernels);
    struct esp_safetensors file = read_golden("tests/golden/tiny-imagenet-200.safetensors");
    size_t count, plane = 64 * 64 * 3;
    float *pixels = golden_floats(&file, "pictures", &count), *inputs = normalise(model, pixels, count / plane);
    json_t *attention =
        json_pack("{s:f,s:f,s:f,s:f}", "animal/cat/tabby", 2.0, "animal/dog", 1.5, "food", 0.5, "trunk", 1.1);

    check_all(model, inputs, count / plane, &file, attention);
    json_decref(attention);
    free(inputs);
    free(pixels);
    esp_safetensors_release(&file);
    esp_model_destroy(&model);
}

START_TEST(test_bundled_network)
{
    for (const char *const *name = esp_kernels_names(); *name; name++)
        check_bundled(*name);
}
END_TEST

static void check_layers(const char *name, const char *kernel_set)
{
    char path[256];
    json_error_t problem;

    snprintf(path, sizeof path, "tests/golden/layers/%s", name);
    esp_model *model = load_model(path, kernel_set);
    snprintf(path, sizeof path, "tests/golden/layers/%s/attention.json", name);
    json_t *attention = json_load_file(project_path(path), 0, &problem);
    ck_assert_ptr_nonnull(attention);
    snprintf(path, sizeof path, "tests/golden/layers/%s/golden.safetensors", name);
    struct esp_safetensors file = read_golden(path);
    const struct esp_shape *shape = &esp_model_info(model)->input.shape;
    size_t count;
    float *inputs = golden_floats(&file, "inputs", &count);

    check_all(model, inputs, count / (3 * (size_t)shape->height * shape->width), &file, attention);
    free(inputs);
    json_decref(attention);
    esp_safetensors_release(&file);
    esp_model_destroy(&model);
}

START_TEST(test_every_layer)
{
    for (const char *const *name = esp_kernels_names(); *name; name++)
        check_layers("every_layer", *name);
}
END_TEST

START_TEST(test_nested_layers)
{
    for (const char *const *name = esp_kernels_names(); *name; name++)
        check_layers("nested_layers", *name);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden");
    TCase *tests = tcase_create("scores");

    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_bundled_network);
    tcase_add_test(tests, test_every_layer);
    tcase_add_test(tests, test_nested_layers);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
