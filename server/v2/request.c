/* What an inference request says. */
#include "server/json_whole.h"
#include "server/options_text.h"
#include "server/problem.h"
#include "server/v2/infer.h"
#include "server/v2/parameters.h"
#include "server/v2/tensor.h"
#include "server/work/job.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BINARY_LENGTH_DIGITS = 18,
    LEVELS = 4 /* of JSON that have members of the protocol: {"inputs": [{"parameters": {...}}]} */
};

/* The request while it is read. */
struct reader {
    struct job *job;
    struct cuts cuts;
    struct binary binary;
    bool binary_outputs; /* unless an output says otherwise */
    unsigned seen;       /* a bit for each input */
    struct response *response;
};

/* ---- where the JSON ends ---- */

/* Without the header all of the body is JSON. */
static bool split(struct reader *reader, const struct request *request, size_t *json)
{
    const char *text = request->inference_header;
    size_t digits = strspn(text, "0123456789");

    *json = request->size;
    if (!*text)
        return true;
    *json = (size_t)strtoull(text, NULL, 10);
    if (text[digits] || digits == 0 || digits > BINARY_LENGTH_DIGITS || *json > request->size)
        return problem(reader->response, 400,
                       "Inference-Header-Content-Length has to be the length of the JSON: a number of bytes, no more "
                       "than the body has (%zu)",
                       request->size);
    reader->binary = (struct binary){request->body + *json, request->size - *json};
    return true;
}

/* Many clients write every member that there could be, and null for those that there are not. */
static void drop_nulls(json_t *value, int levels)
{
    const char *name;
    json_t *member;
    void *next;

    if (levels == 0)
        return;
    json_object_foreach_safe(value, next, name, member)
    {
        if (json_is_null(member))
            json_object_del(value, name);
        else
            drop_nulls(member, levels - 1);
    }
    for (size_t i = 0; i < json_array_size(value); i++)
        drop_nulls(json_array_get(value, i), levels - 1);
}

static bool open_json(struct reader *reader, const struct request *request)
{
    struct bytes rest = {0};
    size_t json;

    if (request->size == 0)
        return problem(reader->response, 400, "the body is empty; send an inference request as JSON");
    if (!split(reader, request, &json))
        return false;
    bool good =
        cuts_make(&reader->cuts, (const char *)request->body, json, &rest, reader->response) &&
        document_open(&reader->job->document, rest.data ? (const char *)rest.data : "", rest.size, reader->response);
    bytes_free(&rest);
    drop_nulls(reader->job->document.root, LEVELS);
    return good;
}

/* ---- parameters: the options that are no inputs ---- */

/* The protocol has strings, numbers and booleans as parameters, so that what /classify takes as an object or an array
 * is a string here. */
struct option_form {
    const char *name, *kind, *example; /* as JSON */
    bool number;                       /* or its digits as a text */
};

/* NULL where it is none. */
static const struct option_form *find_option(const char *name)
{
    static const struct option_form options[] = {{"categories", "string", "\"cat,dog\"", false},
                                                 {"attention", "string", "\"cat:2.0,food:0\"", false},
                                                 {"search", "string", "\"beam:2\"", false},
                                                 {"budget", "string", "\"macs:90000000\"", false},
                                                 {"timeout_ms", "whole number from 1", "500", true}};

    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (!strcmp(options[i].name, name))
            return &options[i];
    return NULL;
}

static bool read_option(struct reader *reader, const struct option_form *option, const json_t *value)
{
    struct field field = {option->name, strlen(option->name), json_string_value(value), json_string_length(value)};
    char digits[24];
    uint64_t number;

    if (option->number && json_whole(value, &number)) {
        field.length = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, number);
        field.value = digits;
    }
    if (!field.value)
        return problem(reader->response, 422, "the parameter %s has to be a %s, as in \"%s\": %s", option->name,
                       option->kind, option->name, option->example);
    return options_text(&reader->job->options, &field, reader->response);
}

static bool read_parameter(struct reader *reader, const char *name, const json_t *value)
{
    const struct option_form *option = find_option(name);

    if (option)
        return read_option(reader, option, value);
    if (parameter_is_foreign(name))
        return true;
    if (strcmp(name, "binary_data_output"))
        return problem(reader->response, 422,
                       "there is no parameter '%.64s'; there are categories, attention, search, budget, timeout_ms and "
                       "binary_data_output",
                       name);
    reader->binary_outputs = json_is_true(value);
    return json_is_boolean(value) ||
           problem(reader->response, 422, "the parameter binary_data_output has to be true or false");
}

static bool read_parameters(struct reader *reader, json_t *parameters)
{
    const char *name;
    json_t *value;

    if (parameters && !json_is_object(parameters))
        return problem(reader->response, 422, "parameters has to be an object");
    json_object_foreach(parameters, name, value)
    {
        if (!read_parameter(reader, name, value))
            return false;
    }
    return true;
}

/* ---- inputs: pictures ---- */

static const struct esp_shape *shape_of(const struct reader *reader)
{
    return &reader->job->network->info->input.shape;
}

/* Which of the two kinds of the input "image" the tensor is. */
static bool is_image(const struct reader *reader, const struct tensor *tensor, bool values)
{
    const struct esp_shape *shape = shape_of(reader);
    const size_t *is = tensor->shape;

    if (tensor->dimensions != 4 || is[0] < 1 || is[0] > V2_IMAGES_MAX)
        return false;
    if (values)
        return !strcmp(tensor->datatype, "FP32") && is[1] == 3 && is[2] == shape->height && is[3] == shape->width;
    return !strcmp(tensor->datatype, "UINT8") && is[1] == shape->height && is[2] == shape->width && is[3] == 3;
}

static bool claim_pictures(struct reader *reader)
{
    return !reader->job->pictures.count ||
           problem(reader->response, 422, "there are pictures in both inputs, image and jpeg; use one of them");
}

static bool take_binary_images(struct reader *reader, const struct tensor *tensor, size_t bytes)
{
    struct pictures *pictures = &reader->job->pictures;

    if (tensor->size != pictures->count * bytes)
        return problem(reader->response, 422,
                       "the input image has binary_data_size %zu; its shape takes %zu pictures of %zu bytes",
                       tensor->size, pictures->count, bytes);
    for (size_t i = 0; i < pictures->count; i++)
        pictures->list[i] = (struct picture){tensor->bytes + i * bytes, bytes};
    return true;
}

static bool take_image_numbers(struct reader *reader, const struct tensor *tensor, size_t numbers)
{
    struct pictures *pictures = &reader->job->pictures;

    numbers_open(&pictures->numbers, (const char *)tensor->bytes, tensor->size, tensor->shape, tensor->dimensions);
    return tensor->elements == pictures->count * numbers ||
           problem(reader->response, 422, "the data of the input image has %zu numbers; its shape takes %zu",
                   tensor->elements, pictures->count * numbers);
}

static bool read_image(struct reader *reader, const struct tensor *tensor)
{
    const struct esp_shape *shape = shape_of(reader);
    struct pictures *pictures = &reader->job->pictures;
    bool values = is_image(reader, tensor, true);
    size_t numbers = (size_t)3 * shape->height * shape->width;
    char text[TENSOR_TEXT_MAX];

    if (!values && !is_image(reader, tensor, false))
        return problem(
            reader->response, 422,
            "the input image has to be UINT8 [n, %u, %u, 3] or FP32 [n, 3, %u, %u] with n from 1 to %d; it is "
            "%s. Pictures of other sizes can be sent as jpeg",
            shape->height, shape->width, shape->height, shape->width, V2_IMAGES_MAX, tensor_write(tensor, text));
    if (!claim_pictures(reader))
        return false;
    pictures->count = tensor->shape[0];
    if (tensor->binary) {
        pictures->form = values ? PICTURE_VALUES : PICTURE_PIXELS;
        return take_binary_images(reader, tensor, values ? numbers * sizeof(float) : numbers);
    }
    pictures->form = values ? PICTURE_VALUE_NUMBERS : PICTURE_PIXEL_NUMBERS;
    return take_image_numbers(reader, tensor, numbers);
}

/* What the bytes are counts. Of base64 it is known when it is decoded. */
static bool check_jpeg(const struct reader *reader, size_t index, const char *bytes, size_t size)
{
    if (size == 0)
        return problem(reader->response, 422, "element %zu of the input jpeg is empty", index);
    if (reader->job->pictures.form == PICTURE_BASE64 || esp_image_is_jpeg((const uint8_t *)bytes, size))
        return true;
    const char *format = esp_image_format((const uint8_t *)bytes, size);
    return problem(reader->response, 415, "element %zu of the input jpeg is %s%s; send a JPEG", index,
                   format ? "a " : "none", format ? format : "");
}

static bool take_jpegs(struct reader *reader, struct elements *elements)
{
    struct pictures *pictures = &reader->job->pictures;

    if (elements->count == 0)
        return problem(reader->response, 422, "the input jpeg is empty; send 1 to %d pictures", V2_IMAGES_MAX);
    for (size_t i = 0; i < elements->count; i++) {
        const char *text;
        size_t length;
        if (!elements_next(elements, &text, &length, reader->response) || !check_jpeg(reader, i, text, length))
            return false;
        pictures->list[i] = (struct picture){(const uint8_t *)text, length};
    }
    pictures->count = elements->count;
    return true;
}

static bool read_jpeg(struct reader *reader, const struct tensor *tensor)
{
    struct elements elements;

    if (!claim_pictures(reader))
        return false;
    reader->job->pictures.form = tensor->binary ? PICTURE_JPEG : PICTURE_BASE64;
    bool good = elements_open(&elements, tensor, ELEMENTS_COLUMN, V2_IMAGES_MAX, reader->response) &&
                take_jpegs(reader, &elements);
    document_keep(&reader->job->document, elements.array); /* the texts are read later */
    elements_close(&elements);
    return good;
}

/* ---- inputs: options ---- */

static bool read_names(struct reader *reader, const struct tensor *tensor,
                       bool (*take)(struct options *options, const char *text, size_t length,
                                    struct response *response))
{
    struct options *options = &reader->job->options;
    struct elements elements;
    enum option_id option;
    const char *text;
    size_t length;
    bool good = options_name(options, tensor->name, strlen(tensor->name), &option, reader->response);

    if (!good)
        return false;
    good = elements_open(&elements, tensor, ELEMENTS_ROW, V2_NAMES_MAX, reader->response);
    for (size_t i = 0; i < elements.count && good; i++)
        good =
            elements_next(&elements, &text, &length, reader->response) && take(options, text, length, reader->response);
    elements_close(&elements);
    return good;
}

static bool read_categories(struct reader *reader, const struct tensor *tensor)
{
    if (tensor->shape[tensor->dimensions - 1] == 0)
        return problem(reader->response, 422, "the input categories is empty; leave it out for all categories");
    return read_names(reader, tensor, options_select);
}

static bool read_attention(struct reader *reader, const struct tensor *tensor)
{
    return read_names(reader, tensor, options_weight_text);
}

/* ---- inputs ---- */

static bool read_input(struct reader *reader, const json_t *input)
{
    static const struct {
        const char *name;
        bool (*read)(struct reader *reader, const struct tensor *tensor);
    } inputs[] = {
        {"image", read_image}, {"jpeg", read_jpeg}, {"categories", read_categories}, {"attention", read_attention}};
    struct tensor tensor;

    if (!tensor_read(&tensor, input, &reader->cuts, &reader->binary, reader->response))
        return false;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        if (strcmp(inputs[i].name, tensor.name))
            continue;
        if (reader->seen & 1u << i)
            return problem(reader->response, 422, "the input %s is given twice", tensor.name);
        reader->seen |= 1u << i;
        return inputs[i].read(reader, &tensor);
    }
    return problem(reader->response, 422,
                   "there is no input '%.64s'; there are image or jpeg, and categories and attention", tensor.name);
}

static bool read_inputs(struct reader *reader, const json_t *inputs)
{
    if (!json_is_array(inputs))
        return problem(reader->response, 400, "inputs has to be an array, with the input image or jpeg");
    for (size_t i = 0; i < json_array_size(inputs); i++)
        if (!read_input(reader, json_array_get(inputs, i)))
            return false;
    if (!reader->job->pictures.count)
        return problem(reader->response, 400, "there is no picture; send the input image or jpeg");
    return reader->binary.left == 0 ||
           problem(reader->response, 400, "the body has %zu bytes that belong to no input", reader->binary.left);
}

/* ---- outputs ---- */

const char *infer_output_text(enum infer_output_name name)
{
    static const char *const texts[INFER_OUTPUTS] = {[OUTPUT_SCORES] = "scores",
                                                     [OUTPUT_PROBABILITIES] = "probabilities",
                                                     [OUTPUT_CATEGORIES] = "categories",
                                                     [OUTPUT_CONFIDENCES] = "confidences"};
    return texts[name];
}

static bool is_asked(const struct infer *infer, enum infer_output_name name)
{
    for (size_t i = 0; i < infer->output_count; i++)
        if (infer->outputs[i].name == name)
            return true;
    return false;
}

static bool add_output(struct reader *reader, enum infer_output_name name, bool binary)
{
    struct infer *infer = &reader->job->infer;

    if (name == OUTPUT_CONFIDENCES && !reader->job->network->info->calibrated)
        return problem(reader->response, 422, "there are no confidences: this network has no calibration");
    if (is_asked(infer, name))
        return problem(reader->response, 422, "the output %s is asked for twice", infer_output_text(name));
    infer->outputs[infer->output_count++] = (struct infer_output){name, binary};
    return true;
}

static bool read_binary_data(struct reader *reader, json_t *parameters, const char *name, bool *binary)
{
    const json_t *wanted = json_object_get(parameters, "binary_data");

    if (json_object_get(parameters, "classification"))
        return problem(reader->response, 422,
                       "the output '%.64s' cannot be had as a classification; take the largest of its values, or ask "
                       "/classify, which has the option top",
                       name);
    if (!parameters_check(parameters, "binary_data", "output", name, reader->response))
        return false;
    *binary = wanted ? json_is_true(wanted) : reader->binary_outputs;
    return !wanted || json_is_boolean(wanted) ||
           problem(reader->response, 422, "binary_data of the output '%.64s' has to be true or false", name);
}

static bool read_output(struct reader *reader, const json_t *output)
{
    const char *name = json_string_value(json_object_get(output, "name"));
    json_t *parameters = json_object_get(output, "parameters");
    bool binary = false;

    if (!name || json_object_size(output) != (parameters ? 2 : 1))
        return problem(reader->response, 422,
                       "each output has to be an object with a name and, if need be, parameters");
    if (!read_binary_data(reader, parameters, name, &binary))
        return false;
    for (int i = 0; i < INFER_OUTPUTS; i++)
        if (!strcmp(infer_output_text((enum infer_output_name)i), name))
            return add_output(reader, (enum infer_output_name)i, binary);
    return problem(reader->response, 422,
                   "there is no output '%.64s'; there are scores, probabilities, categories and, where the network is "
                   "calibrated, confidences",
                   name);
}

/* None asked for means all. */
static bool read_outputs(struct reader *reader, const json_t *outputs)
{
    bool calibrated = reader->job->network->info->calibrated;

    if (outputs && !json_is_array(outputs))
        return problem(reader->response, 422, "outputs has to be an array");
    for (size_t i = 0; i < json_array_size(outputs); i++)
        if (!read_output(reader, json_array_get(outputs, i)))
            return false;
    for (int i = 0; i < INFER_OUTPUTS && json_array_size(outputs) == 0; i++)
        if (i != OUTPUT_CONFIDENCES || calibrated)
            add_output(reader, (enum infer_output_name)i, reader->binary_outputs);
    return true;
}

/* ---- the request ---- */

static bool read_id(struct reader *reader, const json_t *id)
{
    reader->job->infer.id = json_string_value(id);
    return !id || json_is_string(id) || problem(reader->response, 422, "id has to be a string");
}

/* Some clients repeat what the path says. */
static bool repeats(struct reader *reader, const char *name, const json_t *value, const char *ours)
{
    if (json_is_string(value) && !strcmp(json_string_value(value), ours))
        return true;
    return problem(reader->response, 422, "%s is not that of the path, '%s'; leave it out", name, ours);
}

static bool check_members(struct reader *reader, json_t *root)
{
    const struct esp_model_info *info = reader->job->network->info;
    const char *name;
    json_t *value;

    json_object_foreach(root, name, value)
    {
        if (!strcmp(name, "id") || !strcmp(name, "parameters") || !strcmp(name, "inputs") || !strcmp(name, "outputs"))
            continue;
        bool is_name = !strcmp(name, "model_name");
        if (!is_name && strcmp(name, "model_version"))
            return problem(reader->response, 422,
                           "there is no member '%.64s'; there are id, parameters, inputs and outputs", name);
        if (!repeats(reader, name, value, is_name ? info->name : info->version))
            return false;
    }
    return true;
}

/* Where a search goes differs from picture to picture, and the outputs of all have to be of one shape. */
static bool check_search(const struct reader *reader)
{
    return reader->job->pictures.count == 1 || !esp_cutout_chooses(reader->job->options.cutout) ||
           problem(reader->response, 422,
                   "a search goes another way for each picture: send one picture in each request");
}

bool infer_read(struct job *job, const struct request *request, struct response *response)
{
    struct reader reader = {.job = job, .response = response};

    if (request->query_count)
        return problem(response, 422,
                       "the options of an inference request are parameters or inputs; it takes no query");
    if (!open_json(&reader, request))
        return false;
    json_t *root = job->document.root;
    job->infer.asked = true;
    return check_members(&reader, root) && read_id(&reader, json_object_get(root, "id")) &&
           read_parameters(&reader, json_object_get(root, "parameters")) &&
           read_inputs(&reader, json_object_get(root, "inputs")) &&
           read_outputs(&reader, json_object_get(root, "outputs")) && options_finish(&job->options, response) &&
           check_search(&reader);
}
