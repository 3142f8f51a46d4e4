/* Which category a picture shows, as its folder's name says. A name is looked for among the folders of a list, if there
 * is one, then among the ids of the network, and then as a category's name or path: the last folder, the last two as a
 * path, and so on. What is not found as it is written is looked for spelled as a name: "Golden Retriever" is
 * golden_retriever. deploy/models/espalier_models/recipe.py finds the same. Thread-safe once made. */
#ifndef SERVER_EVALUATE_LABELS_H
#define SERVER_EVALUATE_LABELS_H

#include "espalier/model.h"

struct labels;

/* `list` is a file with lines of a folder's name, a tab, and a category's name or path; NULL for none. The model must
 * outlive the labels. Free them with labels_destroy, which sets the pointer to NULL. ESP_ERROR_IO, ESP_ERROR_ARGUMENT:
 * what is wrong in the list. */
enum esp_status labels_create(struct labels **labels, const esp_model *model, const char *list, struct esp_error *err);
void labels_destroy(struct labels **labels);

/* The category's number for a picture's path; SIZE_MAX where no folder says one. */
size_t labels_find(const struct labels *labels, const char *path);

#endif
