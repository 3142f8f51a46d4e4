/* What model.json says: the tree with the layers of its nodes, before weights and shapes. */
#ifndef ESP_CORE_TREE_SPEC_H
#define ESP_CORE_TREE_SPEC_H

#include "core/layer.h"
#include "espalier/model.h"

struct esp_node_spec {
    char *path, *name, *label;
    char *id; /* NULL without one */
    size_t parent, subtree_end;
    unsigned depth;
    bool head, leaf;
    bool calibrated;
    struct esp_calibration calibration; /* where calibrated */
    struct esp_layers layers;
};

struct esp_tree_spec {
    char *name, *version;
    struct esp_input_info input;
    struct esp_node_spec *nodes; /* depth-first; 0 is the trunk */
    size_t count, room;
    bool calibrated; /* all leaves are; otherwise none is */
};

/* Reads and checks `<directory>/model.json`. Whatever it returns, esp_tree_spec_release frees what `spec` holds. */
enum esp_status esp_tree_spec_read(struct esp_tree_spec *spec, const char *directory, struct esp_error *err);

/* The same from text in memory. */
enum esp_status esp_tree_spec_parse(struct esp_tree_spec *spec, const char *text, size_t length, struct esp_error *err);

void esp_tree_spec_release(struct esp_tree_spec *spec);

/* Whether a network, or its version, may be called so. */
bool esp_is_model_name(const char *text);

#endif
