/* Model directories of small trees, written for a test: every branch is a 3 x 3 convolution with ReLU and, where it is
 * to have one, a head. */
#ifndef ESP_TESTS_TREE_DIRECTORY_H
#define ESP_TESTS_TREE_DIRECTORY_H

#include "espalier/model.h"

enum { TREE_NODES_MAX = 256, TREE_EXTENT = 6 }; /* pictures are of 3 x TREE_EXTENT x TREE_EXTENT */

struct tree_node {
    unsigned depth;    /* 0 for the trunk, which comes first; then depth-first, each at most one deeper than the last */
    unsigned channels; /* of its convolution: what it costs */
    bool head;         /* of an inner branch; categories always have one, the trunk never */
    float score;       /* what its head says of any picture, where the weights are not random */
};

/* What a node is called, in the place of n1, n2, ... */
struct tree_name {
    const char *name, *id; /* id may be NULL */
};

/* Writes a directory for the tree, whose nodes are called n1, n2, ... in their order, loads it with the kernels, and
 * removes it. `random` is NULL for heads that say the scores above; otherwise all weights are drawn from it. */
esp_model *load_tree(const struct tree_node *nodes, size_t count, const char *kernels, uint64_t *random);

/* The same with names of the nodes and the scores above. `names` has `count`; that of the trunk is not read. */
esp_model *load_named_tree(const struct tree_node *nodes, const struct tree_name *names, size_t count);

#endif
