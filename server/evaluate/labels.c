#include "server/evaluate/labels.h"

#include "espalier/limits.h"
#include "server/file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_BYTES_MAX = 64 << 20 };

struct label {
    const char *name;
    size_t category;
};

struct labels {
    const esp_model *model;
    struct label *listed, *ids; /* sorted by name */
    size_t listed_count, ids_count;
    char *text; /* of the list */
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

static enum esp_status no_memory(struct esp_error *err)
{
    return esp_fail(err, ESP_ERROR_MEMORY, "no memory for the labels");
}

static bool category_called(const esp_model *model, const char *name, size_t length, size_t *category)
{
    size_t node;

    if (esp_model_find(model, name, length, &node, NULL) != ESP_OK)
        return false;
    *category = esp_model_node(model, node)->category;
    return *category != SIZE_MAX;
}

/* ---- the list ---- */

static enum esp_status add_line(struct labels *labels, char *line, size_t number, struct esp_error *err)
{
    char *tab = strchr(line, '\t');
    struct label *label = &labels->listed[labels->listed_count];

    if (!tab)
        return esp_fail(err, ESP_ERROR_ARGUMENT,
                        "line %zu of the labels: a folder's name, a tab and a category are wanted", number);
    *tab = 0;
    label->name = line;
    if (!category_called(labels->model, tab + 1, strcspn(tab + 1, "\t"), &label->category))
        return esp_fail(err, ESP_ERROR_ARGUMENT, "line %zu of the labels: no category is called \"%.100s\"", number,
                        tab + 1);
    labels->listed_count++;
    return ESP_OK;
}

/* Sorted, a folder that is listed twice stands beside itself. */
static enum esp_status refuse_doubles(const struct labels *labels, struct esp_error *err)
{
    for (size_t i = 1; i < labels->listed_count; i++)
        if (strcmp(labels->listed[i - 1].name, labels->listed[i].name) == 0)
            return esp_fail(err, ESP_ERROR_ARGUMENT, "the labels list the folder \"%.100s\" twice",
                            labels->listed[i].name);
    return ESP_OK;
}

static enum esp_status read_list(struct labels *labels, const char *path, struct esp_error *err)
{
    struct esp_error fault = {0};
    size_t size = 0, lines = 1;
    enum esp_status status = ESP_OK;

    labels->text = (char *)file_read(path, LIST_BYTES_MAX, &size, &fault);
    if (!labels->text || size > LIST_BYTES_MAX)
        return esp_fail(err, ESP_ERROR_IO, "%.200s: %.200s", path, labels->text ? "is too large" : fault.text);
    labels->text[size] = 0;
    for (size_t i = 0; i < size; i++)
        lines += labels->text[i] == '\n';
    labels->listed = calloc(lines, sizeof *labels->listed);
    if (!labels->listed)
        return no_memory(err);
    size_t number = 1;
    for (char *rest = labels->text, *line; status == ESP_OK && (line = strsep(&rest, "\n")); number++) {
        line[strcspn(line, "\r")] = 0;
        if (*line)
            status = add_line(labels, line, number, err);
    }
    if (status != ESP_OK)
        return status;
    qsort(labels->listed, labels->listed_count, sizeof *labels->listed, by_name);
    return refuse_doubles(labels, err);
}

/* ---- ids ---- */

static enum esp_status collect_ids(struct labels *labels, struct esp_error *err)
{
    size_t categories = esp_model_info(labels->model)->categories;

    labels->ids = calloc(categories, sizeof *labels->ids);
    if (!labels->ids)
        return no_memory(err);
    for (size_t i = 0; i < categories; i++) {
        const char *id = esp_model_node(labels->model, esp_model_category_node(labels->model, i))->id;
        if (id)
            labels->ids[labels->ids_count++] = (struct label){id, i};
    }
    qsort(labels->ids, labels->ids_count, sizeof *labels->ids, by_name);
    return ESP_OK;
}

enum esp_status labels_create(struct labels **labels, const esp_model *model, const char *list, struct esp_error *err)
{
    struct labels *made = calloc(1, sizeof *made);

    *labels = made;
    if (!made)
        return no_memory(err);
    made->model = model;
    enum esp_status status = collect_ids(made, err);
    return status == ESP_OK && list ? read_list(made, list, err) : status;
}

void labels_destroy(struct labels **labels)
{
    if (*labels) {
        free((*labels)->listed);
        free((*labels)->ids);
        free((*labels)->text);
        free(*labels);
    }
    *labels = NULL;
}

/* ---- looking up ---- */

static bool find(const struct label *labels, size_t count, const char *name, size_t *category)
{
    struct label key = {.name = name};
    const struct label *found = count ? bsearch(&key, labels, count, sizeof key, by_name) : NULL;

    if (found)
        *category = found->category;
    return found != NULL;
}

/* The last folders of the path as a category's name or path. */
static bool find_by_path(const struct labels *labels, const char *path, const char *end, size_t *category)
{
    for (const char *begin = end; begin-- > path;)
        if ((begin == path || begin[-1] == '/') &&
            category_called(labels->model, begin, (size_t)(end - begin), category))
            return true;
    return false;
}

static size_t find_written(const struct labels *labels, const char *path)
{
    const char *end = strrchr(path, '/'), *begin = end;
    char folder[ESP_PATH_MAX + 1];
    size_t category = SIZE_MAX;

    if (!end)
        return SIZE_MAX;
    while (begin > path && begin[-1] != '/')
        begin--;
    if ((size_t)(end - begin) > ESP_PATH_MAX)
        return SIZE_MAX;
    memcpy(folder, begin, (size_t)(end - begin));
    folder[end - begin] = 0;
    if (find(labels->listed, labels->listed_count, folder, &category) ||
        find(labels->ids, labels->ids_count, folder, &category) || find_by_path(labels, path, end, &category))
        return category;
    return SIZE_MAX;
}

/* Every folder as a node's name: lower case, with _ for what is no letter or digit of ASCII, but not at the ends. */
static void spell_as_names(char *path)
{
    char *to = path;
    bool gap = false;

    for (const char *from = path; *from; from++) {
        bool slash = *from == '/', begun = to > path && to[-1] != '/';
        if (slash || isalnum((unsigned char)*from)) {
            if (gap && begun && !slash)
                *to++ = '_';
            *to++ = (char)tolower((unsigned char)*from);
        }
        gap = !slash && !isalnum((unsigned char)*from);
    }
    *to = 0;
}

size_t labels_find(const struct labels *labels, const char *path)
{
    size_t category = find_written(labels, path);

    if (category != SIZE_MAX)
        return category;
    char *spelled = strdup(path);
    if (spelled) {
        spell_as_names(spelled);
        category = find_written(labels, spelled);
    }
    free(spelled);
    return category;
}
