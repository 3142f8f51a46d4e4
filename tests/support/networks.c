#include "tests/support/networks.h"

#include "tests/support/support.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void make_directory(char directory[DIRECTORY_MAX])
{
    strcpy(directory, "/tmp/espalier-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
}

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
    char command[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    ck_assert_int_eq(system(command), 0);
}

void remove_directory(const char *directory)
{
    ck_assert_int_eq(strncmp(directory, "/tmp/espalier-test-", 19), 0);
    shell("rm -r '%s'", directory);
}

static void calibrate(json_t *node, bool calibrated, int *leaves)
{
    json_t *children = json_object_get(node, "children");

    for (size_t i = 0; i < json_array_size(children); i++)
        calibrate(json_array_get(children, i), calibrated, leaves);
    if (children)
        return;
    json_object_del(node, "calibration");
    if (calibrated)
        json_object_set_new(node, "calibration",
                            json_pack("{s:f, s:f}", "slope", 0.3 + 0.1 * *leaves, "offset", 0.7 - 0.2 * *leaves));
    ++*leaves;
}

void copy_network(const char *source, const char *directory, bool calibrated)
{
    char path[512];
    int leaves = 0;

    snprintf(path, sizeof path, "%s/model.json", source);
    json_t *description = json_load_file(project_path(path), 0, NULL);
    ck_assert_ptr_nonnull(description);
    calibrate(json_object_get(description, "trunk"), calibrated, &leaves);
    snprintf(path, sizeof path, "%s/model.json", directory);
    ck_assert_int_eq(json_dump_file(description, path, JSON_INDENT(1)), 0);
    json_decref(description);
    shell("cp '%s/model.safetensors' '%s/'", project_path(source), directory);
}
