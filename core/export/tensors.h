/* What remains of model.safetensors in a cutout: the tensors of the nodes that run, their bytes as they were. */
#ifndef ESP_CORE_EXPORT_TENSORS_H
#define ESP_CORE_EXPORT_TENSORS_H

#include "core/export/folder.h"
#include "core/safetensors.h"
#include "espalier/cutout.h"

struct esp_export_tensors {
    struct esp_safetensors file; /* the whole network's */
    uint8_t length[8];           /* of the header */
    char *header;
    struct esp_piece *pieces; /* of the new file: length, header, and the data of each tensor, in the old order */
    size_t count;
};

/* Reads `<source>/model.safetensors` and chooses. Whatever it returns, esp_export_tensors_release frees what it holds.
 */
enum esp_status esp_export_tensors(struct esp_export_tensors *tensors, const esp_cutout *cutout, const char *source,
                                   struct esp_error *err);
void esp_export_tensors_release(struct esp_export_tensors *tensors);

#endif
