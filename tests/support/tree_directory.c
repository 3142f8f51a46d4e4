#include "tests/support/tree_directory.h"

#include "tests/support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct writing {
    const struct tree_node *nodes;
    const struct tree_name *names; /* NULL for n1, n2, ... */
    size_t count;
    uint64_t *random;
    FILE *json, *header; /* of model.json and of the safetensors file */
    float *values;
    size_t used, room;
    char path[ESP_ERROR_TEXT]; /* of the node in hand */
};

static bool is_leaf(const struct writing *writing, size_t node)
{
    return node + 1 == writing->count || writing->nodes[node + 1].depth <= writing->nodes[node].depth;
}

/* ---- model.safetensors ---- */

static void add_values(struct writing *writing, size_t count, float value)
{
    while (writing->used + count > writing->room) {
        writing->room = 2 * writing->room + 1024;
        writing->values = realloc(writing->values, writing->room * sizeof(float));
        ck_assert_ptr_nonnull(writing->values);
    }
    for (size_t i = 0; i < count; i++)
        writing->values[writing->used++] = writing->random ? 0.3f * random_normalish(writing->random) : value;
}

static void add_tensor(struct writing *writing, const char *name, const char *shape, size_t count, float value)
{
    fprintf(writing->header, "%s\"%s:%s\":{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
            writing->used ? "," : "{", writing->path, name, shape, writing->used * sizeof(float),
            (writing->used + count) * sizeof(float));
    add_values(writing, count, value);
}

static void add_tensors(struct writing *writing, const struct tree_node *node, unsigned inputs, bool head)
{
    char shape[64];

    snprintf(shape, sizeof shape, "[%u,%u,3,3]", node->channels, inputs);
    add_tensor(writing, "conv.weight", shape, (size_t)node->channels * inputs * 9, 0);
    snprintf(shape, sizeof shape, "[%u]", node->channels);
    add_tensor(writing, "conv.bias", shape, node->channels, 0);
    if (!head)
        return;
    add_tensor(writing, "head.weight", shape, node->channels, 0);
    add_tensor(writing, "head.bias", "[1]", 1, node->score);
}

/* ---- model.json ---- */

/* Its names, and the path to it. */
static void name_node(struct writing *writing, size_t index, bool head)
{
    size_t length = strlen(writing->path);
    char number[32];
    const struct tree_name plain = {number, NULL}, *given = writing->names ? &writing->names[index] : &plain;

    snprintf(number, sizeof number, "n%zu", index);
    snprintf(writing->path + length, sizeof writing->path - length, "%s%s", length ? "/" : "", given->name);
    fprintf(writing->json, "\"name\":\"%s\",\"label\":\"%s\",\"head\":%s,", given->name, given->name,
            head ? "true" : "false");
    if (given->id)
        fprintf(writing->json, "\"id\":\"%s\",", given->id);
}

static size_t write_node(struct writing *writing, size_t index, unsigned inputs)
{
    const struct tree_node *node = &writing->nodes[index];
    size_t length = strlen(writing->path), next = index + 1;
    bool leaf = is_leaf(writing, index), head = index > 0 && (leaf || node->head);

    if (index > 0)
        name_node(writing, index, head);
    else
        strcpy(writing->path, "trunk");
    fprintf(writing->json,
            "\"layers\":[{\"op\":\"conv\",\"name\":\"conv\",\"out\":%u,\"kernel\":3,\"padding\":1,"
            "\"activation\":\"relu\"}]",
            node->channels);
    add_tensors(writing, node, inputs, head);
    if (index == 0)
        writing->path[0] = 0;
    fputs(leaf ? "" : ",\"children\":[", writing->json);
    for (bool first = true; next < writing->count && writing->nodes[next].depth == node->depth + 1; first = false) {
        fputs(first ? "{" : ",{", writing->json);
        next = write_node(writing, next, node->channels);
        fputs("}", writing->json);
    }
    fputs(leaf ? "" : "]", writing->json);
    writing->path[length] = 0;
    return next;
}

static void write_directory(struct writing *writing, const char *json_path, const char *weights_path)
{
    char *header;
    size_t size;
    FILE *weights = fopen(weights_path, "wb");

    writing->json = fopen(json_path, "wb");
    writing->header = open_memstream(&header, &size);
    ck_assert(writing->json && writing->header && weights);
    fprintf(writing->json,
            "{\"format\":1,\"name\":\"tree\",\"version\":\"1\",\"input\":{\"channels\":3,\"height\":%d,\"width\":%d,"
            "\"mean\":[0,0,0],\"std\":[1,1,1]},\"trunk\":{",
            TREE_EXTENT, TREE_EXTENT);
    ck_assert_uint_eq(write_node(writing, 0, 3), writing->count);
    fputs("}}", writing->json);
    fputs("}", writing->header);
    fclose(writing->header);
    for (int i = 0; i < 8; i++)
        fputc((int)(size >> 8 * i & 0xff), weights);
    fwrite(header, 1, size, weights);
    fwrite(writing->values, sizeof(float), writing->used, weights);
    ck_assert(!fclose(writing->json) && !fclose(weights));
    free(header);
}

static esp_model *load_written(struct writing *writing, const char *kernels)
{
    char directory[] = "/tmp/espalier-test-XXXXXX", json_path[64], weights_path[64];
    struct esp_model_options options;
    struct esp_error err = {0};
    esp_model *model;

    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(json_path, sizeof json_path, "%s/model.json", directory);
    snprintf(weights_path, sizeof weights_path, "%s/model.safetensors", directory);
    write_directory(writing, json_path, weights_path);
    free(writing->values);
    esp_model_options_default(&options);
    options.kernels = kernels;
    enum esp_status status = esp_model_load(&model, directory, &options, &err);
    unlink(json_path);
    unlink(weights_path);
    rmdir(directory);
    ck_assert_msg(status == ESP_OK, "%s", err.text);
    return model;
}

esp_model *load_tree(const struct tree_node *nodes, size_t count, const char *kernels, uint64_t *random)
{
    return load_written(&(struct writing){.nodes = nodes, .count = count, .random = random}, kernels);
}

esp_model *load_named_tree(const struct tree_node *nodes, const struct tree_name *names, size_t count)
{
    return load_written(&(struct writing){.nodes = nodes, .names = names, .count = count}, "plain");
}
