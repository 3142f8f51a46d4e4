#include "core/names.h"

#include "core/memory.h"
#include "espalier/limits.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *path_of(const struct esp_model *model, size_t node)
{
    return model->nodes[node].info.path;
}

static const char *name_of(const struct esp_model *model, size_t node)
{
    return model->nodes[node].info.name;
}

typedef const char *(*key_function)(const struct esp_model *, size_t);

struct sort_context {
    const struct esp_model *model;
    key_function key;
};

static int compare_nodes(const void *a, const void *b, void *context)
{
    const struct sort_context *sort = context;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    int order = strcmp(sort->key(sort->model, x), sort->key(sort->model, y));
    return order ? order : (x > y) - (x < y);
}

static size_t *sorted(const struct esp_model *model, key_function key)
{
    struct sort_context context = {model, key};
    size_t *order = esp_alloc(model->info.nodes, sizeof *order);

    if (!order)
        return NULL;
    for (size_t i = 0; i < model->info.nodes; i++)
        order[i] = i;
    qsort_r(order, model->info.nodes, sizeof *order, compare_nodes, &context);
    return order;
}

bool esp_names_index(struct esp_model *model)
{
    model->by_path = sorted(model, path_of);
    model->by_name = sorted(model, name_of);
    return model->by_path && model->by_name;
}

/* strcmp of a key with `length` bytes of a name that need not end with 0. */
static int compare_key(const char *key, const char *name, size_t length)
{
    int order = strncmp(key, name, length);
    if (order == 0 && memchr(name, 0, length))
        return -1; /* a name with a zero byte in it is nobody's */
    return order ? order : key[length] != 0;
}

/* The first position in `order` whose key is not below the name. */
static size_t lower_bound(const struct esp_model *model, const size_t *order, key_function key, const char *name,
                          size_t length)
{
    size_t low = 0, high = model->info.nodes;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_key(key(model, order[middle]), name, length) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool matches(const struct esp_model *model, const size_t *order, size_t position, key_function key,
                    const char *name, size_t length)
{
    return position < model->info.nodes && compare_key(key(model, order[position]), name, length) == 0;
}

/* How much of an unknown name a message repeats. */
static int shown(size_t length)
{
    return length > 80 ? 80 : (int)length;
}

static enum esp_status unknown(const struct esp_model *model, const char *name, size_t length, struct esp_error *err)
{
    char offers[ESP_SUGGESTIONS_MAX * 96] = "";
    size_t nodes[ESP_SUGGESTIONS_MAX], count = esp_model_suggest(model, name, length, nodes), used = 0;

    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(offers + used, sizeof offers - used, "%s%.80s", i ? ", " : "; did you mean ",
                                 path_of(model, nodes[i]));
    return esp_fail(err, ESP_ERROR_UNKNOWN_NAME, "no category or group is called \"%.*s\"%s%s", shown(length), name,
                    offers, count ? "?" : "; GET /categories or `espalier inspect` lists them all");
}

static enum esp_status ambiguous(const struct esp_model *model, size_t first, const char *name, size_t length,
                                 struct esp_error *err)
{
    return esp_fail(err, ESP_ERROR_NAME, "\"%.*s\" is the name of several categories: say %.150s or %.150s",
                    shown(length), name, path_of(model, model->by_name[first]),
                    path_of(model, model->by_name[first + 1]));
}

enum esp_status esp_model_find(const esp_model *model, const char *name, size_t length, size_t *node,
                               struct esp_error *err)
{
    size_t position = lower_bound(model, model->by_path, path_of, name, length);

    if (matches(model, model->by_path, position, path_of, name, length)) {
        *node = model->by_path[position];
        return ESP_OK;
    }
    position = lower_bound(model, model->by_name, name_of, name, length);
    if (!matches(model, model->by_name, position, name_of, name, length))
        return unknown(model, name, length, err);
    if (matches(model, model->by_name, position + 1, name_of, name, length))
        return ambiguous(model, position, name, length, err);
    *node = model->by_name[position];
    return ESP_OK;
}

/* "Egyptian cat" is near to egyptian_cat: case, spaces and dashes don't count. */
static char fold(char c)
{
    return c == ' ' || c == '-' ? '_' : (char)tolower((unsigned char)c);
}

enum { NEAR_MAX = 2 * ESP_NAME_MAX };

/* Levenshtein distance of two texts of at most NEAR_MAX bytes, case and spaces folded. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t row[NEAR_MAX + 1];

    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t changed = diagonal + (fold(a[i - 1]) != fold(b[j - 1]));
            size_t moved = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = changed < moved ? changed : moved;
        }
    }
    return row[b_length];
}

/* Whether the folded `part` stands in `whole`: "bus" in school_bus. */
static bool stands_in(const char *part, size_t part_length, const char *whole, size_t whole_length)
{
    for (size_t start = 0; start + part_length <= whole_length; start++) {
        size_t same = 0;
        while (same < part_length && fold(part[same]) == fold(whole[start + same]))
            same++;
        if (same == part_length)
            return true;
    }
    return false;
}

/* How far a node's key is from what was said; SIZE_MAX for too far. */
static size_t farness(const char *said, size_t length, const char *key)
{
    size_t key_length = strlen(key);

    if (key_length > NEAR_MAX)
        return SIZE_MAX;
    if (length >= 3 && stands_in(said, length, key, key_length))
        return 1;
    size_t far = distance(said, length, key, key_length);
    return far <= (length < 6 ? 2 : length / 3) && far < length ? far : SIZE_MAX;
}

size_t esp_model_suggest(const esp_model *model, const char *name, size_t length, size_t *nodes)
{
    size_t far[ESP_SUGGESTIONS_MAX], count = 0;
    key_function key = memchr(name, '/', length) ? path_of : name_of;

    if (length == 0 || length > NEAR_MAX)
        return 0;
    for (size_t i = 1; i < model->info.nodes; i++) {
        size_t distance = farness(name, length, key(model, i)), position = count;
        if (distance == SIZE_MAX)
            continue;
        for (; position > 0 && far[position - 1] > distance; position--)
            if (position < ESP_SUGGESTIONS_MAX) {
                far[position] = far[position - 1];
                nodes[position] = nodes[position - 1];
            }
        if (position < ESP_SUGGESTIONS_MAX) {
            far[position] = distance;
            nodes[position] = i;
            count += count < ESP_SUGGESTIONS_MAX;
        }
    }
    return count;
}
