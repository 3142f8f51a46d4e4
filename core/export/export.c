#include "espalier/export.h"

#include "core/cutout.h"
#include "core/export/folder.h"
#include "core/export/tensors.h"
#include "core/export/tree.h"
#include "core/memory.h"
#include "core/tree_spec.h"

#include <stdio.h>
#include <string.h>

#define SUFFIX "-cutout"

/* The old name with what it is behind it, once; cut where it would be too long. */
static void name_after(const char *old, char name[ESP_NAME_MAX + 1])
{
    size_t length = strlen(old), end = sizeof SUFFIX - 1;

    if (length > end && strcmp(old + length - end, SUFFIX) == 0)
        end = 0;
    snprintf(name, ESP_NAME_MAX + 1, "%.*s%s", (int)(ESP_NAME_MAX - end), old, end ? SUFFIX : "");
}

static enum esp_status choose_name(const esp_cutout *cutout, const struct esp_export *export,
                                   struct esp_exported *exported, struct esp_error *err)
{
    if (!export->name) {
        name_after(cutout->model->info.name, exported->name);
        return ESP_OK;
    }
    if (!esp_is_model_name(export->name))
        return esp_fail(err, ESP_ERROR_ARGUMENT, "a network's name has to be 1 to %d of [A-Za-z0-9._-]", ESP_NAME_MAX);
    snprintf(exported->name, sizeof exported->name, "%s", export->name);
    return ESP_OK;
}

static enum esp_status write_tree(struct esp_folder *folder, const esp_cutout *cutout, const struct esp_export *export,
                                  struct esp_exported *exported, struct esp_error *err)
{
    struct esp_text text;
    size_t bytes_full;
    enum esp_status status = esp_export_tree(cutout, export->source, exported->name, &text, &bytes_full, err);

    if (status == ESP_OK) {
        struct esp_piece piece = {text.bytes, text.length};
        exported->bytes += text.length;
        exported->bytes_full += bytes_full;
        status = esp_folder_write(folder, "model.json", &piece, 1, err);
    }
    esp_free(text.bytes);
    return status;
}

static enum esp_status write_tensors(struct esp_folder *folder, const esp_cutout *cutout,
                                     const struct esp_export *export, struct esp_exported *exported,
                                     struct esp_error *err)
{
    struct esp_export_tensors tensors;
    enum esp_status status = esp_export_tensors(&tensors, cutout, export->source, err);

    if (status == ESP_OK) {
        for (size_t i = 0; i < tensors.count; i++)
            exported->bytes += tensors.pieces[i].size;
        exported->bytes_full += tensors.file.size;
        status = esp_folder_write(folder, "model.safetensors", tensors.pieces, tensors.count, err);
    }
    esp_export_tensors_release(&tensors);
    return status;
}

/* Whether a network's nodes are those that the cutout runs. */
static bool same_tree(const esp_model *made, const esp_cutout *cutout)
{
    size_t node = 0;

    for (size_t i = 0; i < cutout->model->info.nodes; i++) {
        if (!cutout->nodes[i].runs)
            continue;
        if (node == made->info.nodes || strcmp(made->nodes[node].info.path, cutout->model->nodes[i].info.path) != 0)
            return false;
        node++;
    }
    return node == made->info.nodes;
}

/* Loads what was written: the source's files may have been replaced between the load and now. */
static enum esp_status read_back(const struct esp_folder *folder, const esp_cutout *cutout, struct esp_error *err)
{
    struct esp_error reason = {0};
    esp_model *made;
    enum esp_status status = esp_model_load(&made, folder->temporary, NULL, &reason);

    if (status == ESP_OK && !same_tree(made, cutout))
        status = esp_fail(&reason, ESP_ERROR_MODEL, "its tree is another one");
    esp_model_destroy(&made);
    if (status == ESP_OK)
        return ESP_OK;
    if (status != ESP_ERROR_MODEL)
        return esp_fail(err, status, "%s", reason.text);
    return esp_fail(err, status,
                    "the cutout is no good network, so the whole one was replaced meanwhile; try again (%s)",
                    reason.text);
}

enum esp_status esp_cutout_export(const esp_cutout *cutout, const struct esp_export *export,
                                  struct esp_exported *exported, struct esp_error *err)
{
    struct esp_folder folder;
    enum esp_status status;

    *exported = (struct esp_exported){0};
    if (!cutout->closed)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "the cutout has to be closed before it is exported");
    if ((status = choose_name(cutout, export, exported, err)) != ESP_OK ||
        (status = esp_folder_begin(&folder, export->directory, err)) != ESP_OK)
        return status;
    if ((status = write_tree(&folder, cutout, export, exported, err)) == ESP_OK &&
        (status = write_tensors(&folder, cutout, export, exported, err)) == ESP_OK &&
        (status = read_back(&folder, cutout, err)) == ESP_OK)
        status = esp_folder_finish(&folder, err);
    esp_folder_abandon(&folder);
    return status;
}
