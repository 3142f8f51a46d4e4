#include "tests/support/searching.h"

esp_model *model;
esp_instance *instance;
esp_cutout *cutout;
float input[SEARCHING_INPUT];

void open_tree(const struct tree_node *nodes, size_t count, const char *kernels, uint64_t *random)
{
    model = load_tree(nodes, count, kernels, random);
    instance = make_instance(model, 1);
    ck_assert_int_eq(esp_cutout_create(&cutout, model, NULL), ESP_OK);
}

void close_tree(void)
{
    esp_cutout_destroy(&cutout);
    esp_instance_destroy(&instance);
    esp_model_destroy(&model);
}

uint64_t segment(size_t node)
{
    return esp_model_node(model, node)->macs;
}

uint64_t with_head(size_t node)
{
    return segment(node) + esp_model_node(model, node)->head_macs;
}

size_t parent(size_t node)
{
    return esp_model_node(model, node)->parent;
}

bool inner(size_t node)
{
    return esp_model_node(model, node)->category == SIZE_MAX;
}
