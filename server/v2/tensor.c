#include "server/v2/tensor.h"

#include "server/json_whole.h"
#include "server/problem.h"
#include "server/v2/parameters.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* ---- an input ---- */

static bool read_shape(struct tensor *tensor, const json_t *shape, struct response *response)
{
    if (!json_is_array(shape) || json_array_size(shape) < 1 || json_array_size(shape) > V2_DIMENSIONS_MAX)
        return problem(response, 422, "the shape of the input '%.64s' has to be an array of 1 to %d extents",
                       tensor->name, V2_DIMENSIONS_MAX);
    tensor->dimensions = json_array_size(shape);
    for (size_t i = 0; i < tensor->dimensions; i++) {
        uint64_t extent;
        if (!json_whole(json_array_get(shape, i), &extent))
            return problem(response, 422, "the shape of the input '%.64s' has to be made of whole numbers",
                           tensor->name);
        tensor->shape[i] = (size_t)extent;
    }
    return true;
}

static bool take_binary(struct tensor *tensor, const json_t *wanted, struct binary *binary, struct response *response)
{
    uint64_t size;

    if (!json_whole(wanted, &size))
        return problem(response, 422, "binary_data_size of the input '%.64s' has to be a number of bytes",
                       tensor->name);
    if (!binary->at)
        return problem(response, 400,
                       "the input '%.64s' has binary_data_size: send the length of the JSON as "
                       "Inference-Header-Content-Length, and the data behind it",
                       tensor->name);
    if (size > binary->left)
        return problem(response, 400,
                       "the input '%.64s' has binary_data_size %" PRIu64 ", but %zu bytes are left of the body",
                       tensor->name, size, binary->left);
    tensor->binary = true;
    tensor->bytes = binary->at;
    tensor->size = (size_t)size;
    binary->at += size;
    binary->left -= (size_t)size;
    return true;
}

static bool take_json(struct tensor *tensor, const json_t *number, const struct cuts *cuts, struct response *response)
{
    json_int_t index = json_integer_value(number);

    if (!json_is_integer(number) || index < 0 || (json_int_t)cuts->count <= index)
        return problem(response, 422, "the data of the input '%.64s' has to be an array", tensor->name);
    const struct cut *cut = &cuts->list[index];
    tensor->bytes = (const uint8_t *)cut->text;
    tensor->size = cut->size;
    tensor->elements = cut->elements;
    return true;
}

static bool find_data(struct tensor *tensor, const json_t *data, json_t *parameters, const struct cuts *cuts,
                      struct binary *binary, struct response *response)
{
    const json_t *size = json_object_get(parameters, "binary_data_size");

    if (!parameters_check(parameters, "binary_data_size", "input", tensor->name, response))
        return false;
    if (!data == !size)
        return problem(response, 422, "the input '%.64s' has to have either data or the parameter binary_data_size",
                       tensor->name);
    return data ? take_json(tensor, data, cuts, response) : take_binary(tensor, size, binary, response);
}

bool tensor_read(struct tensor *tensor, const json_t *input, const struct cuts *cuts, struct binary *binary,
                 struct response *response)
{
    json_t *data = json_object_get(input, "data"), *parameters = json_object_get(input, "parameters");
    size_t known = 3 + (data != NULL) + (parameters != NULL);

    *tensor = (struct tensor){.name = json_string_value(json_object_get(input, "name")),
                              .datatype = json_string_value(json_object_get(input, "datatype"))};
    if (!tensor->name || !tensor->datatype || !json_object_get(input, "shape"))
        return problem(response, 422, "each input has to be an object with name, datatype and shape");
    if (json_object_size(input) != known)
        return problem(response, 422,
                       "the input '%.64s' has a member that is not name, datatype, shape, data or parameters",
                       tensor->name);
    return read_shape(tensor, json_object_get(input, "shape"), response) &&
           find_data(tensor, data, parameters, cuts, binary, response);
}

const char *tensor_write(const struct tensor *tensor, char *text)
{
    int at = snprintf(text, TENSOR_TEXT_MAX, "%.16s [", tensor->datatype);

    for (size_t i = 0; i < tensor->dimensions; i++) /* at most 20 digits each, so it fits */
        at += snprintf(text + at, TENSOR_TEXT_MAX - (size_t)at, "%s%zu", i ? ", " : "", tensor->shape[i]);
    snprintf(text + at, TENSOR_TEXT_MAX - (size_t)at, "]");
    return text;
}

/* ---- elements ---- */

static bool wrong_count(const struct tensor *tensor, size_t there, struct response *response)
{
    char text[TENSOR_TEXT_MAX];
    return problem(response, 422, "the input %.64s is %s, but its data has %s%zu elements", tensor->name,
                   tensor_write(tensor, text), tensor->binary ? "only " : "", there);
}

/* Flat, or as its shape says: rows of elements. */
static bool open_json(struct elements *elements, struct response *response)
{
    const struct tensor *tensor = elements->tensor;
    size_t count = elements->count;
    json_error_t error;

    if (tensor->elements != elements->count)
        return wrong_count(tensor, tensor->elements, response);
    elements->array = json_loadb((const char *)tensor->bytes, tensor->size, 0, &error);
    if (!elements->array)
        return problem(response, 400, "malformed JSON in the data of the input '%.64s': %s", tensor->name, error.text);
    if (tensor->dimensions == 2 && json_is_array(json_array_get(elements->array, 0))) {
        count = tensor->shape[0];
        elements->row = tensor->shape[1];
    }
    if (json_array_size(elements->array) == count)
        return true;
    if (!elements->row)
        return wrong_count(tensor, json_array_size(elements->array), response);
    char text[TENSOR_TEXT_MAX];
    return problem(response, 422, "the input %.64s is %s, but its data has %zu rows", tensor->name,
                   tensor_write(tensor, text), json_array_size(elements->array));
}

/* Writes how many elements the shape takes; false where it is none for elements. */
static bool count_elements(const struct tensor *tensor, enum elements_form form, size_t *count)
{
    bool row = form == ELEMENTS_ROW && tensor->dimensions == 2;

    *count = tensor->shape[row ? 1 : 0];
    return tensor->dimensions == 1 || (tensor->dimensions == 2 && tensor->shape[row ? 0 : 1] == 1);
}

bool elements_open(struct elements *elements, const struct tensor *tensor, enum elements_form form, size_t most,
                   struct response *response)
{
    char text[TENSOR_TEXT_MAX];

    *elements = (struct elements){.tensor = tensor, .at = tensor->bytes, .left = tensor->size};
    if (strcmp(tensor->datatype, "BYTES") || !count_elements(tensor, form, &elements->count) || elements->count > most)
        return problem(response, 422, "the input %.64s has to be BYTES [n] or %s with n up to %zu; it is %s",
                       tensor->name, form == ELEMENTS_ROW ? "[1, n]" : "[n, 1]", most, tensor_write(tensor, text));
    if (!tensor->binary)
        return open_json(elements, response);
    return elements->count > 0 || elements->left == 0 ||
           problem(response, 422, "the input %.64s has no elements, but %zu bytes of data", tensor->name,
                   elements->left);
}

void elements_close(struct elements *elements)
{
    json_decref(elements->array);
    elements->array = NULL;
}

static bool next_json(struct elements *elements, const char **text, size_t *length, struct response *response)
{
    size_t index = elements->index++, row = elements->row;
    const json_t *element = json_array_get(elements->array, row ? index / row : index);

    if (row)
        element = json_array_size(element) == row ? json_array_get(element, index % row) : NULL;
    *text = json_string_value(element);
    *length = json_string_length(element);
    return *text || problem(response, 422, "element %zu of the input %.64s has to be a string", elements->index - 1,
                            elements->tensor->name);
}

/* Four bytes of length, the least first, and so many bytes. */
static bool next_binary(struct elements *elements, const char **text, size_t *length, struct response *response)
{
    const uint8_t *at = elements->at;
    const struct tensor *tensor = elements->tensor;

    if (elements->left < 4)
        return wrong_count(tensor, elements->index, response);
    *length = (size_t)at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;
    if (*length > elements->left - 4)
        return problem(response, 422, "element %zu of the input %.64s has %zu bytes by its length, but %zu are left",
                       elements->index, tensor->name, *length, elements->left - 4);
    *text = (const char *)at + 4;
    elements->at += 4 + *length;
    elements->left -= 4 + *length;
    elements->index++;
    return elements->index < elements->count || elements->left == 0 ||
           problem(response, 422, "the input %.64s has %zu bytes more than its %zu elements take", tensor->name,
                   elements->left, elements->count);
}

bool elements_next(struct elements *elements, const char **text, size_t *length, struct response *response)
{
    return elements->array ? next_json(elements, text, length, response)
                           : next_binary(elements, text, length, response);
}
