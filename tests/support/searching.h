/* What the tests of searches share: a small tree, an instance and a cutout of it, one of each at a time. */
#ifndef TESTS_SEARCHING_H
#define TESTS_SEARCHING_H

#include "tests/support/support.h"
#include "tests/support/tree_directory.h"

enum { SEARCHING_INPUT = 3 * TREE_EXTENT * TREE_EXTENT };

extern esp_model *model;
extern esp_instance *instance;
extern esp_cutout *cutout;
extern float input[SEARCHING_INPUT];

/* As load_tree, whose arguments these are. */
void open_tree(const struct tree_node *nodes, size_t count, const char *kernels, uint64_t *random);
void close_tree(void);

/* MACs of a node, without and with its head. */
uint64_t segment(size_t node);
uint64_t with_head(size_t node);

size_t parent(size_t node);
bool inner(size_t node);

#endif
