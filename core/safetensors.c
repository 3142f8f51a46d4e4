#include "core/safetensors.h"

#include "core/file.h"
#include "core/memory.h"
#include "espalier/limits.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t little_endian_64(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | bytes[i];
    return value;
}

static bool parse_dtype(const char *text, enum esp_dtype *dtype)
{
    static const char *const names[] = {[ESP_F32] = "F32", [ESP_F16] = "F16", [ESP_BF16] = "BF16", [ESP_U8] = "U8"};
    for (int i = 0; text && i < 4; i++)
        if (strcmp(text, names[i]) == 0) {
            *dtype = (enum esp_dtype)i;
            return true;
        }
    return false;
}

static size_t dtype_bytes(enum esp_dtype dtype)
{
    return dtype == ESP_F32 ? 4 : dtype == ESP_U8 ? 1 : 2;
}

static enum esp_status parse_shape(struct esp_tensor *tensor, const json_t *shape, struct esp_error *err)
{
    if (!json_is_array(shape) || json_array_size(shape) > ESP_TENSOR_RANK_MAX)
        return esp_fail(err, ESP_ERROR_MODEL, "tensor %s: shape is not a list of at most %d numbers", tensor->name,
                        ESP_TENSOR_RANK_MAX);
    tensor->rank = (unsigned)json_array_size(shape);
    tensor->elements = 1;
    for (unsigned i = 0; i < tensor->rank; i++) {
        const json_t *extent = json_array_get(shape, i);
        if (!json_is_integer(extent) || json_integer_value(extent) < 0)
            return esp_fail(err, ESP_ERROR_MODEL, "tensor %s: a shape's number has to be a whole one, 0 or more",
                            tensor->name);
        tensor->shape[i] = (uint64_t)json_integer_value(extent);
        if (__builtin_mul_overflow(tensor->elements, tensor->shape[i], &tensor->elements) ||
            tensor->elements > ESP_TENSOR_MAX)
            return esp_fail(err, ESP_ERROR_MODEL, "tensor %s: its shape has more than %zu elements", tensor->name,
                            ESP_TENSOR_MAX);
    }
    return ESP_OK;
}

static enum esp_status parse_offsets(struct esp_tensor *tensor, const json_t *offsets, size_t data, size_t size,
                                     struct esp_error *err)
{
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);

    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        return esp_fail(err, ESP_ERROR_MODEL, "tensor %s: data_offsets has to be two whole numbers", tensor->name);
    json_int_t from = json_integer_value(begin), to = json_integer_value(end);
    if (from < 0 || to < from || (uint64_t)to > size - data)
        return esp_fail(err, ESP_ERROR_MODEL,
                        "tensor %s: data_offsets [%" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
                        "] lie outside of the %zu bytes of data; is the file complete?",
                        tensor->name, from, to, size - data);
    tensor->begin = data + (size_t)from;
    tensor->end = data + (size_t)to;
    if (tensor->elements * dtype_bytes(tensor->dtype) != tensor->end - tensor->begin)
        return esp_fail(err, ESP_ERROR_MODEL, "tensor %s: its shape needs %zu bytes, its data_offsets hold %zu",
                        tensor->name, tensor->elements * dtype_bytes(tensor->dtype), tensor->end - tensor->begin);
    return ESP_OK;
}

static enum esp_status parse_tensor(struct esp_safetensors *file, const char *name, const json_t *entry,
                                    struct esp_error *err)
{
    struct esp_tensor *tensor = &file->tensors[file->count];

    tensor->name = esp_strdup(name);
    if (!tensor->name)
        return esp_fail(err, ESP_ERROR_MEMORY, "no memory for the list of tensors");
    file->count++;
    if (!json_is_object(entry))
        return esp_fail(err, ESP_ERROR_MODEL, "tensor %s: its entry is not an object", name);
    if (!parse_dtype(json_string_value(json_object_get(entry, "dtype")), &tensor->dtype))
        return esp_fail(err, ESP_ERROR_MODEL, "tensor %s: dtype has to be F32, F16, BF16 or U8", name);
    enum esp_status status = parse_shape(tensor, json_object_get(entry, "shape"), err);
    return status != ESP_OK
               ? status
               : parse_offsets(tensor, json_object_get(entry, "data_offsets"), file->data, file->size, err);
}

static int by_begin(const void *a, const void *b)
{
    const struct esp_tensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static int by_name(const void *a, const void *b)
{
    const struct esp_tensor *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* The format demands that the tensors cover the data: overlapping ones would be a trick, holes could hide anything. */
static enum esp_status check_coverage(struct esp_safetensors *file, struct esp_error *err)
{
    size_t position = file->data;

    qsort(file->tensors, file->count, sizeof *file->tensors, by_begin);
    for (size_t i = 0; i < file->count; i++) {
        if (file->tensors[i].begin != position)
            return esp_fail(err, ESP_ERROR_MODEL, "tensor %s: its data %s", file->tensors[i].name,
                            file->tensors[i].begin < position ? "overlaps another tensor's"
                                                              : "leaves a hole before it");
        position = file->tensors[i].end;
    }
    if (position != file->size)
        return esp_fail(err, ESP_ERROR_MODEL, "model.safetensors: %zu bytes at its end belong to no tensor",
                        file->size - position);
    qsort(file->tensors, file->count, sizeof *file->tensors, by_name);
    return ESP_OK;
}

static enum esp_status parse_header(struct esp_safetensors *file, json_t *header, struct esp_error *err)
{
    const char *name;
    json_t *entry;

    if (!json_is_object(header))
        return esp_fail(err, ESP_ERROR_MODEL, "model.safetensors: its header is not a JSON object");
    file->tensors = esp_alloc(json_object_size(header), sizeof *file->tensors);
    if (!file->tensors)
        return esp_fail(err, ESP_ERROR_MEMORY, "no memory for the list of tensors");
    json_object_foreach(header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        enum esp_status status = parse_tensor(file, name, entry, err);
        if (status != ESP_OK)
            return status;
    }
    return check_coverage(file, err);
}

enum esp_status esp_safetensors_parse(struct esp_safetensors *file, uint8_t *bytes, size_t size, struct esp_error *err)
{
    json_error_t problem;

    *file = (struct esp_safetensors){.bytes = bytes, .size = size};
    if (size < 8)
        return esp_fail(err, ESP_ERROR_MODEL, "model.safetensors: %zu bytes are too few for a safetensors file", size);
    uint64_t length = little_endian_64(bytes);
    if (length > size - 8 || length > ESP_MODEL_JSON_MAX)
        return esp_fail(err, ESP_ERROR_MODEL,
                        "model.safetensors: its header's length, %" PRIu64 ", goes beyond the file or the limit",
                        length);
    json_t *header = json_loadb((const char *)bytes + 8, (size_t)length, JSON_REJECT_DUPLICATES, &problem);
    if (!header)
        return esp_fail(err, ESP_ERROR_MODEL, "model.safetensors: its header is not valid JSON: %s", problem.text);
    file->data = 8 + (size_t)length;
    enum esp_status status = parse_header(file, header, err);
    json_decref(header);
    return status;
}

enum esp_status esp_safetensors_read(struct esp_safetensors *file, const char *directory, const char *name,
                                     struct esp_error *err)
{
    uint8_t *bytes;
    size_t size;

    *file = (struct esp_safetensors){0};
    enum esp_status status = esp_file_read(directory, name, ESP_MODEL_FILE_MAX, &bytes, &size, err);
    return status != ESP_OK ? status : esp_safetensors_parse(file, bytes, size, err);
}

void esp_safetensors_release(struct esp_safetensors *file)
{
    for (size_t i = 0; i < file->count; i++)
        esp_free(file->tensors[i].name);
    esp_free(file->tensors);
    esp_free(file->bytes);
    *file = (struct esp_safetensors){0};
}

struct esp_tensor *esp_safetensors_find(struct esp_safetensors *file, const char *name)
{
    struct esp_tensor key = {.name = (char *)name};
    if (file->count == 0)
        return NULL;
    return bsearch(&key, file->tensors, file->count, sizeof key, by_name);
}

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
static float from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half >> 15) << 31, exponent = half >> 10 & 31, fraction = half & 1023;

    if (exponent == 0) { /* subnormal: fraction * 2^-24, exact in FP32 */
        float magnitude = (float)fraction * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    if (exponent == 31)
        return from_bits(sign | 0x7f800000u | fraction << 13);
    return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

static float element(const uint8_t *data, enum esp_dtype dtype, size_t index)
{
    if (dtype == ESP_F32) {
        const uint8_t *p = data + 4 * index;
        return from_bits((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
    }
    if (dtype == ESP_U8)
        return data[index];
    uint16_t bits = (uint16_t)(data[2 * index] | data[2 * index + 1] << 8);
    return dtype == ESP_F16 ? from_half(bits) : from_bits((uint32_t)bits << 16);
}

bool esp_tensor_floats(const struct esp_safetensors *file, const struct esp_tensor *tensor, float *floats)
{
    bool finite = true;
    for (size_t i = 0; i < tensor->elements; i++) {
        floats[i] = element(file->bytes + tensor->begin, tensor->dtype, i);
        finite = finite && isfinite(floats[i]);
    }
    return finite;
}
