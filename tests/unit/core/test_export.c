/* Cutouts as networks of their own: the same bits on every kernel set, nothing lost, and nothing left where it fails.
 */
#include "core/export/folder.h"
#include "core/export/text.h"
#include "core/memory.h"
#include "core/safetensors.h"
#include "espalier/export.h"
#include "tests/support/networks.h"
#include "tests/support/support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUNDLED "deploy/models/tiny-imagenet-200"
#define NESTED  "tests/golden/layers/nested_layers"
#define EVERY   "tests/golden/layers/every_layer"

static char work[DIRECTORY_MAX]; /* where all networks of a test lie */

static void setup(void)
{
    make_directory(work);
}

static void teardown(void)
{
    remove_directory(work);
}

/* The path of something in the working directory, in one of several static buffers. */
static const char *in_work(const char *name)
{
    static char paths[64][256];
    static int next;
    char *path = paths[next++ % 64];

    snprintf(path, sizeof paths[0], "%s/%s", work, name);
    return path;
}

/* A calibrated copy of one of the project's small networks. */
static const char *calibrated_copy(const char *source, const char *name)
{
    const char *path = in_work(name);

    ck_assert_int_eq(mkdir(path, 0777), 0);
    copy_network(source, path, true);
    return path;
}

static esp_model *load(const char *directory, const char *kernels)
{
    struct esp_model_options options = {.kernels = kernels};
    struct esp_error err = {0};
    esp_model *model;

    if (esp_model_load(&model, directory, &options, &err) != ESP_OK)
        ck_abort_msg("%s: %s", directory, err.text);
    return model;
}

static struct esp_exported export_names(const char *source, const char *const *names, const char *target)
{
    esp_model *model = load(source, "auto");
    esp_cutout *cutout = make_cutout(model, names);
    struct esp_export export = {.source = source, .directory = target};
    struct esp_exported exported;
    struct esp_error err = {0};

    if (esp_cutout_export(cutout, &export, &exported, &err) != ESP_OK)
        ck_abort_msg("%s", err.text);
    esp_cutout_destroy(&cutout);
    esp_model_destroy(&model);
    return exported;
}

static esp_cutout *with_groups(const esp_model *model, const char *const *names)
{
    esp_cutout *cutout = make_cutout(model, names);

    esp_cutout_groups(cutout, true);
    ck_assert_int_eq(esp_cutout_close(cutout, NULL), ESP_OK);
    return cutout;
}

static void check_node(const struct esp_node_info *part, const struct esp_node_info *whole)
{
    ck_assert_str_eq(part->path, whole->path);
    ck_assert_str_eq(part->label, whole->label);
    ck_assert_int_eq(part->head, whole->head);
    ck_assert_uint_eq(part->macs, whole->macs);
    ck_assert_uint_eq(part->parameters, whole->parameters);
    ck_assert_mem_eq(&part->calibration, &whole->calibration, sizeof part->calibration);
}

/* Each node that the whole network's cutout runs is the next one of the part, with the same bits. */
static void check_scores(const esp_model *part, const float *of_part, const esp_cutout *cutout, const float *of_whole)
{
    const esp_model *whole = esp_cutout_model(cutout);
    size_t node = 0;

    for (size_t i = 0; i < esp_model_info(whole)->nodes; i++) {
        if (!esp_cutout_runs(cutout, i))
            continue;
        ck_assert_uint_lt(node, esp_model_info(part)->nodes);
        check_node(esp_model_node(part, node), esp_model_node(whole, i));
        if (esp_cutout_scores(cutout, i) && memcmp(&of_part[node], &of_whole[i], sizeof *of_part) != 0)
            ck_abort_msg("%s on %s: %.9g in the whole network's cutout, %.9g in the network cut out",
                         esp_model_node(whole, i)->path, esp_model_info(whole)->kernels, (double)of_whole[i],
                         (double)of_part[node]);
        node++;
    }
    ck_assert_uint_eq(node, esp_model_info(part)->nodes);
}

static void check_bits(const char *whole_directory, const char *part_directory, const char *const *names,
                       const char *kernels)
{
    esp_model *whole = load(whole_directory, kernels), *part = load(part_directory, kernels);
    esp_instance *of_whole = make_instance(whole, 1), *of_part = make_instance(part, 1);
    esp_cutout *cutout = with_groups(whole, names), *all = with_groups(part, NULL);
    const struct esp_shape *shape = &esp_model_info(whole)->input.shape;
    size_t count = (size_t)shape->channels * shape->height * shape->width;
    float *input = malloc(count * sizeof *input);
    struct esp_cost whole_cost, part_cost;
    uint64_t random = 7;

    for (int round = 0; round < 2; round++) {
        random_floats(&random, input, count);
        float *expected = run_one(of_whole, cutout, input, &whole_cost);
        float *scores = run_one(of_part, all, input, &part_cost);
        check_scores(part, scores, cutout, expected);
        ck_assert_mem_eq(&part_cost, &whole_cost, sizeof part_cost);
        free(expected);
        free(scores);
    }
    free(input);
    esp_cutout_destroy(&cutout);
    esp_cutout_destroy(&all);
    esp_instance_destroy(&of_whole);
    esp_instance_destroy(&of_part);
    esp_model_destroy(&whole);
    esp_model_destroy(&part);
}

static void check_bits_everywhere(const char *source, const char *const *names, const char *target)
{
    export_names(source, names, target);
    for (const char *const *kernels = esp_kernels_names(); *kernels; kernels++)
        check_bits(source, target, names, *kernels);
}

START_TEST(test_bits_of_small_networks)
{
    static const char *const nested[][4] = {
        {"alone"}, {"wider_than_input"}, {"kernels"}, {"deepest"}, {"nested/deep/deepest/b", "whole_input", "alone"},
        {"trunk"}};
    static const char *const every[][4] = {
        {"below_trunk"}, {"flattened"}, {"pools"}, {"gates", "relu6", "max_not_square"}};
    const char *small = calibrated_copy(NESTED, "nested");
    char target[16];

    for (size_t i = 0; i < sizeof nested / sizeof *nested; i++) {
        snprintf(target, sizeof target, "n%zu", i);
        check_bits_everywhere(small, nested[i], in_work(target));
    }
    small = calibrated_copy(EVERY, "every");
    for (size_t i = 0; i < sizeof every / sizeof *every; i++) {
        snprintf(target, sizeof target, "e%zu", i);
        check_bits_everywhere(small, every[i], in_work(target));
    }
}
END_TEST

START_TEST(test_bits_of_the_bundled_network)
{
    static const char *const selections[][4] = {{"tabby"}, {"cat"}, {"fruit_or_vegetable", "tabby", "school_bus"}};
    const char *source = calibrated_copy(BUNDLED, "whole");

    for (size_t i = 0; i < sizeof selections / sizeof *selections; i++) {
        char target[16];
        snprintf(target, sizeof target, "b%zu", i);
        check_bits_everywhere(source, selections[i], in_work(target));
    }
}
END_TEST

static char *read_bytes(const char *directory, const char *name, size_t *size)
{
    char path[512];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "no %s", path);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *bytes = calloc(1, *size + 1);
    ck_assert_uint_eq(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static void check_same_file(const char *one, const char *other, const char *name)
{
    size_t size, other_size;
    char *bytes = read_bytes(one, name, &size), *others = read_bytes(other, name, &other_size);

    ck_assert_uint_eq(size, other_size);
    ck_assert_mem_eq(bytes, others, size);
    free(bytes);
    free(others);
}

/* Numbers as Python writes them. */
START_TEST(test_numbers)
{
    static const char *const same[] = {"[1, -10.0, 100.0, 0.1, 0.00015, 393786448.0]\n", "[0.7001, -9.4378]\n", NULL};

    for (const char *const *line = same; *line; line++) {
        struct esp_text text = {0};
        json_t *value = json_loads(*line, 0, NULL);
        esp_text_json(&text, value);
        ck_assert_uint_eq(text.length, strlen(*line));
        ck_assert_mem_eq(text.bytes, *line, text.length);
        esp_free(text.bytes);
        json_decref(value);
    }
}
END_TEST

/* All of a network, written anew: what its exporter in Python had written, to the last byte. */
START_TEST(test_all_is_a_copy)
{
    static const char *const names[] = {"trunk", NULL};
    char source[512];

    snprintf(source, sizeof source, "%s", project_path(BUNDLED));
    const char *target = in_work("all");
    esp_model *model = load(source, "auto");
    esp_cutout *cutout = make_cutout(model, names);
    struct esp_export export = {.source = source, .directory = target, .name = esp_model_info(model)->name};
    struct esp_exported exported;
    ck_assert_int_eq(esp_cutout_export(cutout, &export, &exported, NULL), ESP_OK);
    check_same_file(source, target, "model.json");
    check_same_file(source, target, "model.safetensors");
    ck_assert_uint_eq(exported.bytes, exported.bytes_full);
    esp_cutout_destroy(&cutout);
    esp_model_destroy(&model);
}
END_TEST

START_TEST(test_a_cutout_of_a_cutout)
{
    static const char *const first[] = {"kernels", "deepest", NULL};
    static const char *const second[] = {"whole_input", "nested/deep/deepest/a", NULL};
    const char *source = calibrated_copy(NESTED, "whole");

    struct esp_exported exported = export_names(source, first, in_work("first"));
    ck_assert_str_eq(exported.name, "nested-layers-cutout");
    exported = export_names(in_work("first"), second, in_work("second"));
    ck_assert_str_eq(exported.name, "nested-layers-cutout");
    export_names(source, second, in_work("direct"));
    check_same_file(in_work("second"), in_work("direct"), "model.json");
    check_same_file(in_work("second"), in_work("direct"), "model.safetensors");
}
END_TEST

/* Writes the network's header anew, with metadata. */
static void add_metadata(const char *directory)
{
    static const char metadata[] = "{\"__metadata__\":{\"format\":\"pt\"},";
    size_t size, added = sizeof metadata - 2;
    char *bytes = read_bytes(directory, "model.safetensors", &size), path[512];
    uint64_t length;

    snprintf(path, sizeof path, "%s/model.safetensors", directory);
    memcpy(&length, bytes, 8);
    length += added;
    FILE *file = fopen(path, "wb");
    fwrite(&length, 1, 8, file);
    fwrite(metadata, 1, added + 1, file);
    fwrite(bytes + 9, 1, size - 9, file);
    ck_assert_int_eq(fclose(file), 0);
    free(bytes);
}

/* Of each dtype and in a file that an exporter has said something in: the tensors that stay are the same bytes. */
START_TEST(test_tensors_keep_their_bytes)
{
    static const char *const names[] = {"kernels", "deepest", NULL};
    const char *source = calibrated_copy(NESTED, "whole"), *target = in_work("part");
    struct esp_safetensors whole, part;
    unsigned dtypes = 0;

    add_metadata(source);
    struct esp_exported exported = export_names(source, names, target);
    ck_assert_int_eq(esp_safetensors_read(&whole, source, "model.safetensors", NULL), ESP_OK);
    ck_assert_int_eq(esp_safetensors_read(&part, target, "model.safetensors", NULL), ESP_OK);
    ck_assert_uint_lt(part.count, whole.count);
    ck_assert_uint_lt(exported.bytes, exported.bytes_full);
    for (size_t i = 0; i < part.count; i++) {
        struct esp_tensor *tensor = &part.tensors[i], *old = esp_safetensors_find(&whole, tensor->name);
        ck_assert_int_eq(tensor->dtype, old->dtype);
        ck_assert_uint_eq(tensor->end - tensor->begin, old->end - old->begin);
        ck_assert_mem_eq(part.bytes + tensor->begin, whole.bytes + old->begin, old->end - old->begin);
        dtypes |= 1u << tensor->dtype;
    }
    ck_assert_uint_eq(dtypes, 1u << ESP_F32 | 1u << ESP_F16 | 1u << ESP_BF16);
    ck_assert_uint_eq(part.data % 8, 0);
    ck_assert_ptr_nonnull(memmem(part.bytes, part.data, "\"format\":\"pt\"", 13));
    esp_safetensors_release(&whole);
    esp_safetensors_release(&part);
}
END_TEST

/* ---- what goes wrong ---- */

static esp_model *model;
static esp_cutout *cutout;
static const char *source;

static void open_small(void)
{
    static const char *const names[] = {"kernels", NULL};

    source = calibrated_copy(NESTED, "whole");
    model = load(source, "auto");
    cutout = make_cutout(model, names);
}

static void close_small(void)
{
    esp_cutout_destroy(&cutout);
    esp_model_destroy(&model);
}

static size_t entries(const char *path)
{
    DIR *directory = opendir(path);
    size_t count = 0;

    while (readdir(directory))
        count++;
    closedir(directory);
    return count - 2;
}

static void refused(const char *target, const char *name, enum esp_status status, const char *part)
{
    struct esp_export export = {.source = source, .directory = target, .name = name};
    struct esp_exported exported;
    struct esp_error err = {0};
    size_t before = entries(work);

    ck_assert_int_eq(esp_cutout_export(cutout, &export, &exported, &err), status);
    if (!strstr(err.text, part))
        ck_abort_msg("\"%s\" does not say \"%s\"", err.text, part);
    ck_assert_uint_eq(entries(work), before);
}

static void put_file(const char *path)
{
    FILE *file = fopen(path, "w");

    fputs("mine", file);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(test_places_that_will_not_do)
{
    open_small();
    put_file(in_work("file"));
    refused(in_work("file"), NULL, ESP_ERROR_IO, "is there already");
    refused(in_work("whole"), NULL, ESP_ERROR_IO, "not an empty directory");
    ck_assert_int_eq(symlink("/nonexistent", in_work("link")), 0);
    refused(in_work("link"), NULL, ESP_ERROR_IO, "is there already");
    refused(in_work("no/where"), NULL, ESP_ERROR_IO, "make the one above it first");
    refused(in_work("file/below"), NULL, ESP_ERROR_IO, "Not a directory");
    refused("", NULL, ESP_ERROR_IO, "missing");
    ck_assert_uint_eq(entries(in_work("whole")), 2);
    close_small();
}
END_TEST

START_TEST(test_an_empty_directory_will_do)
{
    open_small();
    ck_assert_int_eq(mkdir(in_work("empty"), 0777), 0);
    struct esp_export export = {.source = source, .directory = in_work("empty//")};
    struct esp_exported exported;
    ck_assert_int_eq(esp_cutout_export(cutout, &export, &exported, NULL), ESP_OK);
    ck_assert_uint_eq(entries(in_work("empty")), 2);
    ck_assert_uint_eq(entries(work), 2); /* and the whole network */
    close_small();
}
END_TEST

START_TEST(test_an_empty_directory_that_fills_meanwhile)
{
    const char *target = in_work("empty");
    const struct esp_piece piece = {"ours", 4};
    struct esp_error err = {0};
    struct esp_folder folder;

    ck_assert_int_eq(mkdir(target, 0777), 0);
    ck_assert_int_eq(esp_folder_begin(&folder, target, &err), ESP_OK);
    ck_assert_int_eq(esp_folder_write(&folder, "first", &piece, 1, &err), ESP_OK);
    ck_assert_int_eq(esp_folder_write(&folder, "second", &piece, 1, &err), ESP_OK);
    put_file(in_work("empty/first"));
    ck_assert_int_eq(esp_folder_finish(&folder, &err), ESP_ERROR_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "is there already"));
    esp_folder_abandon(&folder);
    ck_assert_uint_eq(entries(target), 1); /* what came, and it is still what it was */
    char text[8] = {0};
    FILE *file = fopen(in_work("empty/first"), "r");
    ck_assert_uint_eq(fread(text, 1, sizeof text - 1, file), 4);
    fclose(file);
    ck_assert_str_eq(text, "mine");
}
END_TEST

static void named(const char *name, const char *expected)
{
    struct esp_export export = {.source = source, .directory = in_work("named"), .name = name};
    struct esp_exported exported;

    ck_assert_int_eq(esp_cutout_export(cutout, &export, &exported, NULL), ESP_OK);
    ck_assert_str_eq(exported.name, expected);
    esp_model *made = load(in_work("named"), "auto");
    ck_assert_str_eq(esp_model_info(made)->name, expected);
    ck_assert_str_eq(esp_model_info(made)->version, esp_model_info(model)->version);
    esp_model_destroy(&made);
    remove_directory(in_work("named"));
}

START_TEST(test_names)
{
    open_small();
    named(NULL, "nested-layers-cutout");
    named("Cats.2_b-", "Cats.2_b-");
    refused(in_work("out"), "", ESP_ERROR_ARGUMENT, "name");
    refused(in_work("out"), "a b", ESP_ERROR_ARGUMENT, "name");
    refused(in_work("out"), "../a", ESP_ERROR_ARGUMENT, "name");
    refused(in_work("out"), "a1234567890123456789012345678901234567890123456789012345678901234", ESP_ERROR_ARGUMENT,
            "1 to 64");
    esp_cutout_reset(cutout);
    refused(in_work("out"), NULL, ESP_ERROR_ARGUMENT, "closed");
    close_small();
}
END_TEST

/* The cutout was made for files that others have taken the place of. */
START_TEST(test_a_source_that_was_replaced)
{
    open_small();
    copy_network(EVERY, source, true);
    refused(in_work("out"), NULL, ESP_ERROR_MODEL, "replaced");
    ck_assert_int_eq(truncate(in_work("whole/model.json"), 40), 0);
    refused(in_work("out"), NULL, ESP_ERROR_MODEL, "replaced");
    copy_network(NESTED, source, true);
    unlink(in_work("whole/model.safetensors"));
    refused(in_work("out"), NULL, ESP_ERROR_IO, "model.safetensors");
    close_small();
}
END_TEST

/* Every allocation fails once: an error, nothing left on the disk, no leak (the sanitizer build looks). */
START_TEST(test_failing_allocations)
{
    enum esp_status status = ESP_ERROR_MEMORY;
    struct esp_exported exported;
    uint64_t failing;

    open_small();
    struct esp_export export = {.source = source, .directory = in_work("out")};
    for (failing = 1; status != ESP_OK; failing++) {
        struct esp_error err = {0};
        esp_fail_allocation(failing);
        status = esp_cutout_export(cutout, &export, &exported, &err);
        esp_fail_allocation(0);
        ck_assert(status == ESP_OK || status == ESP_ERROR_MEMORY);
        ck_assert(status == ESP_OK || strstr(err.text, "no memory") != NULL);
        ck_assert_uint_eq(entries(work), status == ESP_OK ? 2 : 1);
    }
    ck_assert_uint_gt(failing, 20);
    close_small();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("export");
    TCase *tests = tcase_create("export");

    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_bits_of_small_networks);
    tcase_add_test(tests, test_bits_of_the_bundled_network);
    tcase_add_test(tests, test_numbers);
    tcase_add_test(tests, test_all_is_a_copy);
    tcase_add_test(tests, test_a_cutout_of_a_cutout);
    tcase_add_test(tests, test_tensors_keep_their_bytes);
    tcase_add_test(tests, test_places_that_will_not_do);
    tcase_add_test(tests, test_an_empty_directory_will_do);
    tcase_add_test(tests, test_an_empty_directory_that_fills_meanwhile);
    tcase_add_test(tests, test_names);
    tcase_add_test(tests, test_a_source_that_was_replaced);
    tcase_add_test(tests, test_failing_allocations);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
