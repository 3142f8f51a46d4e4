#include "core/export/tree.h"

#include "core/file.h"
#include "core/memory.h"
#include "espalier/limits.h"

/* Removes what does not run below a node. The nodes are numbered as the loader numbers them, depth first; returns the
 * number behind the subtree. The file may have changed since: numbers beyond the model's are nobody's. */
static size_t keep_running(json_t *node, const esp_cutout *cutout, size_t number)
{
    const esp_model *model = esp_cutout_model(cutout);
    json_t *children = json_object_get(node, "children");
    size_t next = number + 1, child = 0;

    while (child < json_array_size(children)) {
        bool known = next < esp_model_info(model)->nodes;
        if (known && esp_cutout_runs(cutout, next)) {
            next = keep_running(json_array_get(children, child++), cutout, next);
            continue;
        }
        next = known ? esp_model_node(model, next)->subtree_end : next;
        json_array_remove(children, child);
    }
    return next;
}

enum esp_status esp_export_tree(const esp_cutout *cutout, const char *source, const char *name, struct esp_text *text,
                                size_t *bytes_full, struct esp_error *err)
{
    uint8_t *bytes;
    enum esp_status status = esp_file_read(source, "model.json", ESP_MODEL_JSON_MAX, &bytes, bytes_full, err);

    *text = (struct esp_text){0};
    if (status != ESP_OK)
        return status;
    json_t *description = json_loadb((const char *)bytes, *bytes_full, JSON_REJECT_DUPLICATES, NULL);
    esp_free(bytes);
    if (!description)
        return esp_fail(err, ESP_ERROR_MODEL, "model.json cannot be read again: was it replaced meanwhile?");
    keep_running(json_object_get(description, "trunk"), cutout, 0);
    if (json_object_set_new(description, "name", json_string(name)) != 0)
        text->failed = true;
    esp_text_json(text, description);
    json_decref(description);
    return text->failed ? esp_fail(err, ESP_ERROR_MEMORY, "no memory for the cutout's model.json") : ESP_OK;
}
