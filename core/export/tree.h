/* What remains of model.json in a cutout. */
#ifndef ESP_CORE_EXPORT_TREE_H
#define ESP_CORE_EXPORT_TREE_H

#include "core/export/text.h"
#include "espalier/cutout.h"

/* Writes `<source>/model.json` with the branches that the cutout runs, under the name. *bytes_full: of the whole one.
 * The text is the caller's to free, whatever is returned. */
enum esp_status esp_export_tree(const esp_cutout *cutout, const char *source, const char *name, struct esp_text *text,
                                size_t *bytes_full, struct esp_error *err);

#endif
