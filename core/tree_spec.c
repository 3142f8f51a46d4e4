#include "core/tree_spec.h"

#include "core/file.h"
#include "core/layer_spec.h"
#include "core/memory.h"
#include "core/strict_json.h"
#include "espalier/limits.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum esp_status no_memory(struct esp_error *err)
{
    return esp_fail(err, ESP_ERROR_MEMORY, "no memory for the tree of the model");
}

static enum esp_status read_normalisation(const json_t *input, const char *member, float *values, bool positive,
                                          struct esp_error *err)
{
    const json_t *list = json_object_get(input, member);

    if (json_array_size(list) != 3)
        return esp_fail(err, ESP_ERROR_MODEL, "model.json: input.%s has to be three numbers", member);
    for (size_t i = 0; i < 3; i++) {
        values[i] = (float)json_number_value(json_array_get(list, i));
        if (!json_is_number(json_array_get(list, i)) || !isfinite(values[i]) || (positive && !(values[i] > 1e-6f)))
            return esp_fail(err, ESP_ERROR_MODEL, "model.json: input.%s has to be three%s numbers", member,
                            positive ? " positive" : "");
    }
    return ESP_OK;
}

static enum esp_status read_input(struct esp_input_info *input, const json_t *object, struct esp_error *err)
{
    static const char *const members[] = {"channels", "height", "width", "mean", "std", NULL};
    struct esp_shape *shape = &input->shape;

    if (!esp_json_members(object, members, "model.json: input", err) ||
        !esp_json_extent(object, "channels", 3, 3, 3, &shape->channels, "model.json: input", err) ||
        !esp_json_extent(object, "height", 1, ESP_INPUT_EXTENT_MAX, 0, &shape->height, "model.json: input", err) ||
        !esp_json_extent(object, "width", 1, ESP_INPUT_EXTENT_MAX, 0, &shape->width, "model.json: input", err))
        return ESP_ERROR_MODEL;
    enum esp_status status = read_normalisation(object, "mean", input->mean, false, err);
    return status != ESP_OK ? status : read_normalisation(object, "std", input->std, true, err);
}

static bool is_name(const char *text)
{
    size_t length = strlen(text);
    return length > 0 && length <= ESP_NAME_MAX && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") == length;
}

static enum esp_status add_node(struct esp_tree_spec *spec, struct esp_node_spec **node, struct esp_error *err)
{
    if (spec->count == ESP_NODES_MAX)
        return esp_fail(err, ESP_ERROR_MODEL, "model.json: the tree has more than %d nodes", ESP_NODES_MAX);
    if (spec->count == spec->room) {
        size_t room = spec->room ? 2 * spec->room : 64;
        struct esp_node_spec *nodes = esp_alloc(room, sizeof *nodes);
        if (!nodes)
            return no_memory(err);
        if (spec->count)
            memcpy(nodes, spec->nodes, spec->count * sizeof *nodes);
        esp_free(spec->nodes);
        spec->nodes = nodes;
        spec->room = room;
    }
    *node = &spec->nodes[spec->count++];
    **node = (struct esp_node_spec){0};
    return ESP_OK;
}

/* The node's name, checked against its earlier siblings, and its path. */
static enum esp_status name_node(struct esp_tree_spec *spec, size_t index, const json_t *object, struct esp_error *err)
{
    struct esp_node_spec *node = &spec->nodes[index];
    const char *parent = spec->nodes[node->parent].path, *name = json_string_value(json_object_get(object, "name"));
    char path[ESP_PATH_MAX + 1];

    if (!name || !is_name(name) || strcmp(name, "trunk") == 0)
        return esp_fail(err, ESP_ERROR_MODEL,
                        "model.json: a child of %s has no proper name: [a-z0-9_]+, at most %d letters, not \"trunk\"",
                        parent, ESP_NAME_MAX);
    for (size_t i = node->parent + 1; i < index; i = spec->nodes[i].subtree_end)
        if (strcmp(spec->nodes[i].name, name) == 0)
            return esp_fail(err, ESP_ERROR_MODEL, "model.json: %s has two children called %s", parent, name);
    int length =
        node->depth == 1 ? snprintf(path, sizeof path, "%s", name) : snprintf(path, sizeof path, "%s/%s", parent, name);
    if (length < 0 || (size_t)length >= sizeof path)
        return esp_fail(err, ESP_ERROR_MODEL, "model.json: the path of %s is longer than %d bytes", name, ESP_PATH_MAX);
    node->name = esp_strdup(name);
    node->path = esp_strdup(path);
    return node->name && node->path ? ESP_OK : no_memory(err);
}

static enum esp_status label_node(struct esp_node_spec *node, const json_t *object, struct esp_error *err)
{
    const json_t *label = json_object_get(object, "label");

    if (label &&
        (!json_is_string(label) || json_string_length(label) > ESP_LABEL_MAX || json_string_length(label) == 0))
        return esp_fail(err, ESP_ERROR_MODEL, "model.json: %s: label has to be a text of 1 to %d bytes", node->path,
                        ESP_LABEL_MAX);
    node->label = esp_strdup(label ? json_string_value(label) : node->name);
    return node->label ? ESP_OK : no_memory(err);
}

/* What the branch is called elsewhere. */
static enum esp_status read_id(struct esp_node_spec *node, const json_t *object, struct esp_error *err)
{
    const json_t *id = json_object_get(object, "id");

    if (!id)
        return ESP_OK;
    if (!json_is_string(id) || !esp_is_model_name(json_string_value(id)))
        return esp_fail(err, ESP_ERROR_MODEL, "model.json: %s: id has to be 1 to %d of [A-Za-z0-9._-]", node->path,
                        ESP_NAME_MAX);
    node->id = esp_strdup(json_string_value(id));
    return node->id ? ESP_OK : no_memory(err);
}

static enum esp_status read_subtree(struct esp_tree_spec *spec, size_t parent, unsigned depth, const json_t *object,
                                    struct esp_error *err);

static enum esp_status read_children(struct esp_tree_spec *spec, size_t index, const json_t *object,
                                     struct esp_error *err)
{
    const json_t *children = json_object_get(object, "children");
    struct esp_node_spec *node = &spec->nodes[index];
    unsigned depth = node->depth;

    node->leaf = !children;
    if (children && json_array_size(children) == 0)
        return esp_fail(err, ESP_ERROR_MODEL, "model.json: %s: children has to be a list that is not empty",
                        node->path);
    for (size_t i = 0; i < json_array_size(children); i++) { /* adding nodes moves them: no pointer is kept */
        enum esp_status status = read_subtree(spec, index, depth + 1, json_array_get(children, i), err);
        if (status != ESP_OK)
            return status;
    }
    spec->nodes[index].subtree_end = spec->count;
    return ESP_OK;
}

/* An inner node says whether it has a head; a leaf always has one, the trunk never. */
static enum esp_status read_head(struct esp_node_spec *node, const json_t *object, struct esp_error *err)
{
    const json_t *head = json_object_get(object, "head");

    if (head && !json_is_boolean(head))
        return esp_fail(err, ESP_ERROR_MODEL, "model.json: %s: head has to be true or false", node->path);
    if (node->leaf && json_is_false(head))
        return esp_fail(err, ESP_ERROR_MODEL, "model.json: %s has no children, so it is a category and needs a head",
                        node->path);
    node->head = node->leaf || json_is_true(head);
    return ESP_OK;
}

static bool read_real(const json_t *object, const char *member, double *value)
{
    const json_t *number = json_object_get(object, member);

    *value = json_number_value(number);
    return json_is_number(number) && isfinite(*value);
}

static enum esp_status read_calibration(struct esp_node_spec *node, const json_t *object, struct esp_error *err)
{
    static const char *const members[] = {"slope", "offset", NULL};
    const json_t *calibration = json_object_get(object, "calibration");
    char where[ESP_PATH_MAX + 32];

    if (!calibration)
        return ESP_OK;
    snprintf(where, sizeof where, "model.json: %s: calibration", node->path);
    if (!node->leaf)
        return esp_fail(err, ESP_ERROR_MODEL, "%s: only categories have one, which are nodes without children", where);
    if (!esp_json_members(calibration, members, where, err))
        return ESP_ERROR_MODEL;
    if (!read_real(calibration, "slope", &node->calibration.slope) || node->calibration.slope <= 0)
        return esp_fail(err, ESP_ERROR_MODEL, "%s: slope has to be a number above 0", where);
    if (!read_real(calibration, "offset", &node->calibration.offset))
        return esp_fail(err, ESP_ERROR_MODEL, "%s: offset has to be a number", where);
    node->calibrated = true;
    return ESP_OK;
}

/* A confidence that some answers have and others lack would help nobody. */
static enum esp_status check_calibrations(struct esp_tree_spec *spec, struct esp_error *err)
{
    const struct esp_node_spec *with = NULL, *without = NULL;

    for (size_t i = 0; i < spec->count; i++)
        if (spec->nodes[i].leaf)
            *(spec->nodes[i].calibrated ? &with : &without) = &spec->nodes[i];
    if (with && without)
        return esp_fail(err, ESP_ERROR_MODEL,
                        "model.json: %.200s has a calibration and %.200s has none: give all categories one, or none",
                        with->path, without->path);
    spec->calibrated = with != NULL;
    return ESP_OK;
}

static int by_id(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* An id that two branches share would name neither. */
static enum esp_status check_ids(const struct esp_tree_spec *spec, struct esp_error *err)
{
    const char **ids = esp_alloc(spec->count, sizeof *ids), *twice = NULL;
    size_t count = 0;

    if (!ids)
        return no_memory(err);
    for (size_t i = 0; i < spec->count; i++)
        if (spec->nodes[i].id)
            ids[count++] = spec->nodes[i].id;
    qsort(ids, count, sizeof *ids, by_id);
    for (size_t i = 1; i < count && !twice; i++)
        if (strcmp(ids[i - 1], ids[i]) == 0)
            twice = ids[i];
    enum esp_status status =
        twice ? esp_fail(err, ESP_ERROR_MODEL, "model.json: two branches have the id %s", twice) : ESP_OK;
    esp_free(ids);
    return status;
}

static enum esp_status read_node(struct esp_tree_spec *spec, size_t index, const json_t *object, struct esp_error *err)
{
    struct esp_node_spec *node = &spec->nodes[index];
    enum esp_status status = esp_layers_read(&node->layers, json_object_get(object, "layers"), node->path, err);

    if (status == ESP_OK)
        status = read_children(spec, index, object, err);
    return status;
}

static enum esp_status read_subtree(struct esp_tree_spec *spec, size_t parent, unsigned depth, const json_t *object,
                                    struct esp_error *err)
{
    static const char *const members[] = {"name", "label", "id", "head", "calibration", "layers", "children", NULL};
    size_t index = spec->count;
    struct esp_node_spec *node = NULL;

    if (depth > ESP_DEPTH_MAX)
        return esp_fail(err, ESP_ERROR_MODEL, "model.json: below %s the tree is deeper than %d levels",
                        spec->nodes[parent].path, ESP_DEPTH_MAX);
    enum esp_status status = add_node(spec, &node, err);
    if (status != ESP_OK)
        return status;
    node->parent = parent;
    node->depth = depth;
    if ((status = name_node(spec, index, object, err)) != ESP_OK ||
        (status = label_node(&spec->nodes[index], object, err)) != ESP_OK ||
        (status = read_id(&spec->nodes[index], object, err)) != ESP_OK)
        return status;
    if (!esp_json_members(object, members, spec->nodes[index].path, err))
        return ESP_ERROR_MODEL;
    if ((status = read_node(spec, index, object, err)) != ESP_OK ||
        (status = read_head(&spec->nodes[index], object, err)) != ESP_OK)
        return status;
    return read_calibration(&spec->nodes[index], object, err);
}

static enum esp_status read_trunk(struct esp_tree_spec *spec, const json_t *object, struct esp_error *err)
{
    static const char *const members[] = {"layers", "children", NULL};
    struct esp_node_spec *trunk = NULL;

    if (!esp_json_members(object, members, "model.json: trunk", err))
        return ESP_ERROR_MODEL;
    enum esp_status status = add_node(spec, &trunk, err);
    if (status != ESP_OK)
        return status;
    trunk->name = esp_strdup("trunk");
    trunk->path = esp_strdup("trunk");
    trunk->label = esp_strdup("trunk");
    if (!trunk->name || !trunk->path || !trunk->label)
        return no_memory(err);
    if (!json_object_get(object, "children"))
        return esp_fail(err, ESP_ERROR_MODEL, "model.json: the trunk has no children");
    return read_node(spec, 0, object, err);
}

bool esp_is_model_name(const char *text)
{
    size_t length = strlen(text);
    return length > 0 && length <= ESP_NAME_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == length;
}

static enum esp_status read_identity(struct esp_tree_spec *spec, const json_t *object, struct esp_error *err)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    const char *version = json_string_value(json_object_get(object, "version"));

    if (!name || !esp_is_model_name(name))
        return esp_fail(err, ESP_ERROR_MODEL, "model.json: name has to be 1 to %d of [A-Za-z0-9._-]", ESP_NAME_MAX);
    if (!version || !esp_is_model_name(version))
        return esp_fail(err, ESP_ERROR_MODEL, "model.json: version has to be 1 to %d of [A-Za-z0-9._-]", ESP_NAME_MAX);
    spec->name = esp_strdup(name);
    spec->version = esp_strdup(version);
    return spec->name && spec->version ? ESP_OK : no_memory(err);
}

static enum esp_status read_model(struct esp_tree_spec *spec, const json_t *object, struct esp_error *err)
{
    static const char *const members[] = {"format", "name", "version", "input", "trunk", NULL};
    const json_t *format = json_object_get(object, "format");
    enum esp_status status;

    if (!esp_json_members(object, members, "model.json", err))
        return ESP_ERROR_MODEL;
    if (!json_is_integer(format) || json_integer_value(format) != 1)
        return esp_fail(err, ESP_ERROR_MODEL, "model.json: format has to be 1");
    if ((status = read_identity(spec, object, err)) != ESP_OK ||
        (status = read_input(&spec->input, json_object_get(object, "input"), err)) != ESP_OK)
        return status;
    if ((status = read_trunk(spec, json_object_get(object, "trunk"), err)) != ESP_OK ||
        (status = check_ids(spec, err)) != ESP_OK)
        return status;
    return check_calibrations(spec, err);
}

enum esp_status esp_tree_spec_parse(struct esp_tree_spec *spec, const char *text, size_t length, struct esp_error *err)
{
    json_error_t problem;
    json_t *object = json_loadb(text, length, JSON_REJECT_DUPLICATES, &problem);

    *spec = (struct esp_tree_spec){0};
    if (!object)
        return esp_fail(err, ESP_ERROR_MODEL, "model.json is not valid JSON: line %d: %s", problem.line, problem.text);
    enum esp_status status = read_model(spec, object, err);
    json_decref(object);
    return status;
}

enum esp_status esp_tree_spec_read(struct esp_tree_spec *spec, const char *directory, struct esp_error *err)
{
    uint8_t *bytes;
    size_t size;

    *spec = (struct esp_tree_spec){0};
    enum esp_status status = esp_file_read(directory, "model.json", ESP_MODEL_JSON_MAX, &bytes, &size, err);
    if (status != ESP_OK)
        return status;
    status = esp_tree_spec_parse(spec, (const char *)bytes, size, err);
    esp_free(bytes);
    return status;
}

void esp_tree_spec_release(struct esp_tree_spec *spec)
{
    for (size_t i = 0; i < spec->count; i++) {
        esp_free(spec->nodes[i].path);
        esp_free(spec->nodes[i].name);
        esp_free(spec->nodes[i].label);
        esp_free(spec->nodes[i].id);
        esp_layers_release(&spec->nodes[i].layers);
    }
    esp_free(spec->nodes);
    esp_free(spec->name);
    esp_free(spec->version);
    *spec = (struct esp_tree_spec){0};
}
