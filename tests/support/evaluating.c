#include "tests/support/evaluating.h"

#include "tests/support/tree_directory.h"

#include <locale.h>
#include <stdio.h>

static const struct tree_node nodes[] = {{0, 2, false, 0}, {1, 2, true, 0}, {2, 2, false, 0}, {2, 2, false, 0},
                                         {1, 2, true, 0},  {2, 2, true, 0}, {3, 2, false, 0}, {3, 2, false, 0},
                                         {2, 2, false, 0}, {1, 2, false, 0}};
static const struct tree_name names[] = {{NULL, NULL},    {"animal", NULL}, {"cat", "id-cat"},       {"dog", "id-dog"},
                                         {"thing", NULL}, {"small", NULL},  {"cat", "id-small-cat"}, {"pin", NULL},
                                         {"bus", "dog"},  {"sky", NULL}};

esp_model *model;
char directory[DIRECTORY_MAX];

void start_evaluating(void)
{
    ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C.UTF-8")); /* as in the program */
    model = load_named_tree(nodes, names, sizeof nodes / sizeof nodes[0]);
    ck_assert_uint_eq(esp_model_info(model)->categories, CATEGORIES);
    make_directory(directory);
}

void stop_evaluating(void)
{
    remove_directory(directory);
    esp_model_destroy(&model);
}

const char *path_of(const char *name)
{
    static char path[PATH];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

const char *write_file(const char *name, const void *bytes, size_t size)
{
    const char *path = path_of(name);
    FILE *file = fopen(path, "wb");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}
