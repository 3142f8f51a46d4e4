#include "core/export/tensors.h"

#include "core/memory.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEADER_ALIGNMENT = 8
}; /* bytes: what writers of the format keep to, so that tensors lie well in a mapped file */

static enum esp_status no_memory(struct esp_error *err)
{
    return esp_fail(err, ESP_ERROR_MEMORY, "no memory for the cutout's tensors");
}

/* Whether the node that the tensor belongs to, "animal/cat:conv1.weight", runs. */
static bool runs(const esp_cutout *cutout, const struct esp_tensor *tensor)
{
    size_t node;

    return esp_model_find(esp_cutout_model(cutout), tensor->name, strcspn(tensor->name, ":"), &node, NULL) == ESP_OK &&
           esp_cutout_runs(cutout, node);
}

static int by_place(const void *a, const void *b)
{
    const struct esp_tensor *x = *(struct esp_tensor *const *)a, *y = *(struct esp_tensor *const *)b;
    return x->begin != y->begin ? (x->begin > y->begin) - (x->begin < y->begin) : (x->end > y->end) - (x->end < y->end);
}

/* The tensors that run, in the order of their data. */
static struct esp_tensor **choose(const struct esp_safetensors *file, const esp_cutout *cutout, size_t *count)
{
    struct esp_tensor **chosen = esp_alloc(file->count, sizeof *chosen);

    *count = 0;
    for (size_t i = 0; chosen && i < file->count; i++)
        if (runs(cutout, &file->tensors[i]))
            chosen[(*count)++] = &file->tensors[i];
    if (chosen)
        qsort(chosen, *count, sizeof *chosen, by_place);
    return chosen;
}

/* The old entries with new places, behind what the old header tells of itself. NULL where there is no memory. */
static json_t *make_header(const struct esp_safetensors *file, struct esp_tensor *const *chosen, size_t count)
{
    json_t *old = json_loadb((const char *)file->bytes + 8, file->data - 8, 0, NULL), *header = json_object();
    json_t *metadata = json_object_get(old, "__metadata__");
    size_t filled = 0;
    bool good = old && header && (!metadata || json_object_set(header, "__metadata__", metadata) == 0);

    for (size_t i = 0; good && i < count; i++) {
        json_t *entry = json_object_get(old, chosen[i]->name);
        size_t end = filled + chosen[i]->end - chosen[i]->begin;
        json_t *places = json_pack("[I, I]", (json_int_t)filled, (json_int_t)end);
        good = json_object_set_new(entry, "data_offsets", places) == 0 &&
               json_object_set(header, chosen[i]->name, entry) == 0;
        filled = end;
    }
    json_decref(old);
    if (good)
        return header;
    json_decref(header);
    return NULL;
}

/* The header as text with spaces behind it, as the format allows, and its length. */
static bool write_header(struct esp_export_tensors *tensors, const json_t *header)
{
    size_t size = json_dumpb(header, NULL, 0, JSON_COMPACT);
    size_t padded = (size + HEADER_ALIGNMENT - 1) / HEADER_ALIGNMENT * HEADER_ALIGNMENT;

    tensors->header = size ? esp_alloc(padded, 1) : NULL;
    if (!tensors->header || json_dumpb(header, tensors->header, size, JSON_COMPACT) != size)
        return false;
    memset(tensors->header + size, ' ', padded - size);
    for (size_t i = 0; i < sizeof tensors->length; i++)
        tensors->length[i] = (uint8_t)(padded >> 8 * i);
    tensors->pieces[0] = (struct esp_piece){tensors->length, sizeof tensors->length};
    tensors->pieces[1] = (struct esp_piece){tensors->header, padded};
    return true;
}

static bool lay_out(struct esp_export_tensors *tensors, struct esp_tensor *const *chosen, size_t count)
{
    json_t *header = make_header(&tensors->file, chosen, count);

    tensors->pieces = esp_alloc(count + 2, sizeof *tensors->pieces);
    bool good = header && tensors->pieces && write_header(tensors, header);
    json_decref(header);
    if (!good)
        return false;
    for (size_t i = 0; i < count; i++)
        tensors->pieces[i + 2] =
            (struct esp_piece){tensors->file.bytes + chosen[i]->begin, chosen[i]->end - chosen[i]->begin};
    tensors->count = count + 2;
    return true;
}

enum esp_status esp_export_tensors(struct esp_export_tensors *tensors, const esp_cutout *cutout, const char *source,
                                   struct esp_error *err)
{
    size_t count;
    enum esp_status status;

    *tensors = (struct esp_export_tensors){0};
    if ((status = esp_safetensors_read(&tensors->file, source, "model.safetensors", err)) != ESP_OK)
        return status;
    struct esp_tensor **chosen = choose(&tensors->file, cutout, &count);
    bool good = chosen && lay_out(tensors, chosen, count);
    esp_free(chosen);
    return good ? ESP_OK : no_memory(err);
}

void esp_export_tensors_release(struct esp_export_tensors *tensors)
{
    esp_safetensors_release(&tensors->file);
    esp_free(tensors->header);
    esp_free(tensors->pieces);
    *tensors = (struct esp_export_tensors){0};
}
