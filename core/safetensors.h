/* Reader of the safetensors format: 8 bytes of header length (little-endian), a JSON header, raw tensor data.
 * https://github.com/huggingface/safetensors#format
 *
 * Nothing in the file is trusted: lengths, offsets, shapes and their products are checked, and the tensors have to
 * cover the data without holes or overlaps, as the format demands. */
#ifndef ESP_CORE_SAFETENSORS_H
#define ESP_CORE_SAFETENSORS_H

#include "espalier/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ESP_TENSOR_RANK_MAX = 8 };

enum esp_dtype { ESP_F32, ESP_F16, ESP_BF16, ESP_U8 }; /* U8: pictures of golden vectors, never weights */

struct esp_tensor {
    char *name;
    enum esp_dtype dtype;
    unsigned rank;
    uint64_t shape[ESP_TENSOR_RANK_MAX];
    size_t elements;
    size_t begin, end; /* bytes of the file */
    bool used;         /* for the caller: a layer has claimed it */
};

struct esp_safetensors {
    uint8_t *bytes; /* the whole file */
    size_t size;
    size_t data;                /* where the tensors' data begin; before it are 8 bytes and the header's JSON */
    struct esp_tensor *tensors; /* sorted by name */
    size_t count;
};

/* Reads `<directory>/<name>`. Whatever it returns, esp_safetensors_release frees what `file` holds. */
enum esp_status esp_safetensors_read(struct esp_safetensors *file, const char *directory, const char *name,
                                     struct esp_error *err);

/* The same from bytes in memory, which the file owns from now on (from esp_alloc). */
enum esp_status esp_safetensors_parse(struct esp_safetensors *file, uint8_t *bytes, size_t size, struct esp_error *err);

void esp_safetensors_release(struct esp_safetensors *file);

/* The tensor called `name`, or NULL. */
struct esp_tensor *esp_safetensors_find(struct esp_safetensors *file, const char *name);

/* Writes the tensor's elements as FP32. Returns false where one is NaN or infinite. */
bool esp_tensor_floats(const struct esp_safetensors *file, const struct esp_tensor *tensor, float *floats);

#endif
