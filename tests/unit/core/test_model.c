/* Loading model directories: broken ones are refused by name, and a failing allocation leaks nothing. */
#include "core/memory.h"
#include "core/model.h"
#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

static void make_directory(void)
{
    strcpy(directory, "/tmp/espalier-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
}

static void remove_directory(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/model.json", directory);
    unlink(path);
    snprintf(path, sizeof path, "%s/model.safetensors", directory);
    unlink(path);
    rmdir(directory);
}

static char *read_text(const char *path, size_t *size)
{
    FILE *in = fopen(path, "rb");
    ck_assert_ptr_nonnull(in);
    fseek(in, 0, SEEK_END);
    *size = (size_t)ftell(in);
    rewind(in);
    char *text = calloc(1, *size + 1);
    ck_assert_uint_eq(fread(text, 1, *size, in), *size);
    fclose(in);
    return text;
}

static void write_file(const char *name, const char *text, size_t size)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *out = fopen(path, "wb");
    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(text, 1, size, out), size);
    fclose(out);
}

/* A copy of the small network with `from` replaced by `to` (of the same length) in one of its files. */
static void copy_changed(const char *file, const char *from, const char *to)
{
    static const char *const names[] = {"model.json", "model.safetensors"};
    for (int i = 0; i < 2; i++) {
        char path[256];
        size_t size;
        snprintf(path, sizeof path, "tests/golden/layers/every_layer/%s", names[i]);
        char *text = read_text(project_path(path), &size);
        if (from && strcmp(file, names[i]) == 0) {
            char *place = memmem(text, size, from, strlen(from));
            ck_assert_ptr_nonnull(place);
            ck_assert_uint_eq(strlen(from), strlen(to));
            memcpy(place, to, strlen(to));
        }
        write_file(names[i], text, size);
        free(text);
    }
}

static void refused(enum esp_status status, const char *part)
{
    struct esp_error err = {0};
    esp_model *model;

    ck_assert_int_eq(esp_model_load(&model, directory, NULL, &err), status);
    ck_assert_ptr_null(model);
    if (!strstr(err.text, part))
        ck_abort_msg("\"%s\" does not say \"%s\"", err.text, part);
}

START_TEST(test_missing_files)
{
    refused(ESP_ERROR_IO, "model.json");
    copy_changed("", NULL, NULL);
    char path[128];
    snprintf(path, sizeof path, "%s/model.safetensors", directory);
    unlink(path);
    refused(ESP_ERROR_IO, "model.safetensors");
}
END_TEST

START_TEST(test_messages_name_node_and_tensor)
{
    copy_changed("model.safetensors", "below_trunk:mix.weight", "below_trunk:mix.weighs");
    refused(ESP_ERROR_MODEL, "no tensor below_trunk:mix.weight");
    copy_changed("model.json", "\"name\": \"stem\", \"out\": 8", "\"name\": \"stem\", \"out\": 6");
    refused(ESP_ERROR_MODEL, "trunk: layer depthwise: 8 groups");
    copy_changed("model.json", "\"name\": \"mix\", \"out\": 4", "\"name\": \"mix\", \"out\": 5");
    refused(ESP_ERROR_MODEL, "tensor below_trunk:mix.weight does not have the shape [5, 10, 1, 1]");
    copy_changed("model.json", "{\"op\": \"max_pool\", \"kernel\": [2, 3]}",
                 "{\"op\": \"max_pool\", \"kernel\": [2,99]}");
    refused(ESP_ERROR_MODEL, "does not fit its input");
}
END_TEST

START_TEST(test_not_finite_weights)
{
    copy_changed("", NULL, NULL);
    char path[128];
    snprintf(path, sizeof path, "%s/model.safetensors", directory);
    size_t size;
    char *bytes = read_text(path, &size);
    memset(bytes + size - 4, 0xff, 4);
    write_file("model.safetensors", bytes, size);
    free(bytes);
    refused(ESP_ERROR_MODEL, "not a finite number");
}
END_TEST

START_TEST(test_truncated_at_many_places)
{
    size_t size;
    char *bytes = read_text(project_path("tests/golden/layers/every_layer/model.safetensors"), &size);

    copy_changed("", NULL, NULL);
    for (size_t length = 0; length < size; length += length < 9000 ? 101 : 997) {
        write_file("model.safetensors", bytes, length);
        refused(ESP_ERROR_MODEL, "");
    }
    free(bytes);
}
END_TEST

/* Flips bytes of both files: a load may succeed (a weight changed), it may fail, it must not crash. */
START_TEST(test_random_damage)
{
    static const char *const names[] = {"model.json", "model.safetensors"};
    uint64_t random = 5;

    for (int round = 0; round < 600; round++) {
        char path[256];
        size_t size;
        copy_changed("", NULL, NULL);
        snprintf(path, sizeof path, "tests/golden/layers/every_layer/%s", names[round % 2]);
        char *bytes = read_text(project_path(path), &size);
        for (int i = 0; i < 3; i++)
            bytes[random_below(&random, round % 2 ? 6000 : size)] = (char)random_bits(&random);
        write_file(names[round % 2], bytes, size);
        free(bytes);
        esp_model *model;
        struct esp_error err = {0};
        if (esp_model_load(&model, directory, NULL, &err) == ESP_OK)
            esp_model_destroy(&model);
        else
            ck_assert(err.text[0]);
    }
}
END_TEST

/* Every allocation fails once: an error, no crash, no leak (the sanitizer build looks). */
START_TEST(test_failing_allocations)
{
    esp_model *model = NULL;
    enum esp_status status = ESP_ERROR_MEMORY;
    uint64_t failing;

    copy_changed("", NULL, NULL);
    for (failing = 1; status != ESP_OK; failing++) {
        struct esp_error err = {0};
        esp_fail_allocation(failing);
        status = esp_model_load(&model, directory, NULL, &err);
        esp_fail_allocation(0);
        if (status != ESP_OK) {
            ck_assert_int_eq(status, ESP_ERROR_MEMORY);
            ck_assert(strstr(err.text, "no memory") != NULL);
        }
    }
    ck_assert_uint_gt(failing, 100);
    for (failing = 1; failing <= 5; failing++) {
        esp_instance *instance;
        esp_fail_allocation(failing);
        ck_assert_int_eq(esp_instance_create(&instance, model, 2, NULL), ESP_ERROR_MEMORY);
        ck_assert_ptr_null(instance);
    }
    esp_cutout *cutout;
    esp_fail_allocation(1);
    ck_assert_int_eq(esp_cutout_create(&cutout, model, NULL), ESP_ERROR_MEMORY);
    esp_fail_allocation(0);
    esp_model_destroy(&model);
}
END_TEST

START_TEST(test_kernels_by_name)
{
    struct esp_error err = {0};
    struct esp_model_options options = {.kernels = "abacus"};
    esp_model *model;

    ck_assert_int_eq(esp_model_load(&model, project_path("tests/golden/layers/every_layer"), &options, &err),
                     ESP_ERROR_UNSUPPORTED);
    ck_assert(strstr(err.text, "abacus") && strstr(err.text, "plain"));
    model = load_model("tests/golden/layers/every_layer", "plain");
    ck_assert_str_eq(esp_model_info(model)->kernels, "plain");
    ck_assert(!esp_model_info(model)->monotone);
    esp_model_destroy(&model);
    size_t count = 0;
    while (esp_kernels_names()[count])
        count++;
    ck_assert_str_eq(esp_kernels_names()[count - 1], "plain");
}
END_TEST

/* Sizes that would overflow are refused before memory is taken. */
START_TEST(test_too_large_networks)
{
    static const char *const text =
        "{\"format\":1,\"name\":\"t\",\"version\":\"1\",\"input\":{\"channels\":3,\"height\":4096,\"width\":4096,"
        "\"mean\":[0,0,0],\"std\":[1,1,1]},\"trunk\":{\"layers\":[%s],\"children\":[{\"name\":\"a\",\"layers\":[]}]}}";
    char json[1024];

    snprintf(json, sizeof json, text, "{\"op\":\"conv\",\"name\":\"c\",\"out\":65536,\"kernel\":1}");
    write_file("model.json", json, strlen(json));
    refused(ESP_ERROR_MODEL, "trunk: layer c: its output");
    snprintf(json, sizeof json, text, "{\"op\":\"conv\",\"name\":\"c\",\"out\":1,\"kernel\":16384,\"padding\":16384}");
    write_file("model.json", json, strlen(json));
    refused(ESP_ERROR_MODEL, "trunk: layer c");
    snprintf(json, sizeof json, text, "{\"op\":\"linear\",\"name\":\"c\",\"out\":65536}");
    write_file("model.json", json, strlen(json));
    refused(ESP_ERROR_MODEL, "trunk: layer c: more weights");
}
END_TEST

/* A small model.json that asks for much is refused before memory is taken for it. */
START_TEST(test_promised_weights)
{
    static const char *const json =
        "{\"format\":1,\"name\":\"t\",\"version\":\"1\",\"input\":{\"channels\":3,\"height\":8,\""
        "width\":8,\"mean\":[0,0,0],\"std\":[1,1,1]},\"trunk\":{\"layers\":[{\"op\":\"conv\",\"na"
        "me\":\"a\",\"out\":8192,\"kernel\":1},{\"op\":\"conv\",\"name\":\"b\",\"out\":8192,\"ker"
        "nel\":1}],\"children\":[{\"name\":\"x\",\"layers\":[]}]}}";
    uint64_t before = esp_allocated_bytes();

    write_file("model.json", json, strlen(json));
    write_file("model.safetensors", "\2\0\0\0\0\0\0\0{}", 10);
    refused(ESP_ERROR_MODEL, "no tensor trunk:a.weight");
    ck_assert_uint_lt(esp_allocated_bytes() - before, 1 << 20);
}
END_TEST

/* A body and a shortcut share the prefix of their tensors, so a name that stands in both would tie their weights. */
START_TEST(test_tensor_used_twice)
{
    static const char *const json =
        "{\"format\":1,\"name\":\"t\",\"version\":\"1\",\"input\":{\"channels\":3,\"height\":8,\""
        "width\":8,\"mean\":[0,0,0],\"std\":[1,1,1]},\"trunk\":{\"layers\":[{\"op\":\"residual\","
        "\"name\":\"r\",\"body\":[{\"op\":\"conv\",\"name\":\"c\",\"out\":3,\"kernel\":1,\"bias\""
        ":false}],\"shortcut\":[{\"op\":\"conv\",\"name\":\"c\",\"out\":3,\"kernel\":1,\"bias\":f"
        "alse}]}],\"children\":[{\"name\":\"x\",\"layers\":[]}]}}";
    static const char header[] =
        "{\"trunk:r.c.weight\":{\"dtype\":\"F32\",\"shape\":[3,3,1,1],\"data_offsets\":[0,36]},\""
        "x:head.weight\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[36,48]},\"x:head.bias"
        "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[48,52]}}";
    char bytes[8 + sizeof header - 1 + 52] = {(char)((sizeof header - 1) & 255), (char)((sizeof header - 1) >> 8)};

    memcpy(bytes + 8, header, sizeof header - 1);
    write_file("model.json", json, strlen(json));
    write_file("model.safetensors", bytes, sizeof bytes);
    refused(ESP_ERROR_MODEL, "tensor trunk:r.c.weight is used by two layers");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model");
    TCase *tests = tcase_create("loader");

    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, make_directory, remove_directory);
    tcase_add_test(tests, test_missing_files);
    tcase_add_test(tests, test_messages_name_node_and_tensor);
    tcase_add_test(tests, test_not_finite_weights);
    tcase_add_test(tests, test_truncated_at_many_places);
    tcase_add_test(tests, test_random_damage);
    tcase_add_test(tests, test_failing_allocations);
    tcase_add_test(tests, test_kernels_by_name);
    tcase_add_test(tests, test_too_large_networks);
    tcase_add_test(tests, test_promised_weights);
    tcase_add_test(tests, test_tensor_used_twice);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
