/* What an inference request is answered with. */
#include "server/answer.h"
#include "server/json_body.h"
#include "server/problem.h"
#include "server/v2/infer.h"
#include "server/work/job.h"

#include <jansson.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values go onto the wire as they are in memory");

/* ---- results ---- */

enum { PARTS = 3 };

/* Where an output's values stand among those of a picture; the categories have none. */
static size_t part_of(enum infer_output_name name)
{
    return name == OUTPUT_SCORES ? 0 : name == OUTPUT_PROBABILITIES ? 1 : 2;
}

static bool keep(struct infer *infer, float value)
{
    return bytes_append(&infer->results, &value, sizeof value);
}

bool infer_keep(struct infer *infer, const struct esp_job *ran, struct esp_prediction *predictions)
{
    size_t count = esp_predict_in_order(ran, predictions);
    bool good = true;

    infer->categories = count;
    infer->images++;
    for (size_t i = 0; i < count; i++)
        good = good && keep(infer, predictions[i].score);
    for (size_t i = 0; i < count; i++)
        good = good && keep(infer, (float)predictions[i].probability);
    for (size_t i = 0; i < count; i++)
        good = good && keep(infer, (float)predictions[i].confidence);
    infer->cost.macs += ran->cost.macs;
    infer->cost.parameters = ran->cost.parameters;
    infer->cost.branches = ran->cost.branches;
    infer->cost.categories = ran->cost.categories;
    return good;
}

void infer_close(struct infer *infer)
{
    bytes_free(&infer->results);
    *infer = (struct infer){0};
}

static const float *values_of(const struct infer *infer, size_t image, enum infer_output_name name)
{
    return (const float *)infer->results.data + (image * PARTS + part_of(name)) * infer->categories;
}

/* ---- outputs as JSON ---- */

static json_t *shape_json(const struct infer *infer, enum infer_output_name name)
{
    if (name == OUTPUT_CATEGORIES)
        return json_pack("[I]", (json_int_t)infer->categories);
    return json_pack("[I, I]", (json_int_t)infer->images, (json_int_t)infer->categories);
}

/* Paths stand in the model, and live as long as the answer is written. */
static const char *path_of(const struct job *job, const struct esp_prediction *predictions, size_t i)
{
    return esp_model_node(job->network->model, predictions[i].node)->path;
}

/* NULL where a value is no number, which JSON cannot say. */
static json_t *data_json(const struct job *job, const struct esp_prediction *predictions, enum infer_output_name name)
{
    const struct infer *infer = &job->infer;
    size_t images = name == OUTPUT_CATEGORIES ? 1 : infer->images;
    json_t *array = json_array();
    bool good = array != NULL;

    for (size_t image = 0; image < images; image++)
        for (size_t i = 0; i < infer->categories && good; i++)
            good = !json_array_append_new(array, name == OUTPUT_CATEGORIES
                                                     ? json_string(path_of(job, predictions, i))
                                                     : json_real((double)values_of(infer, image, name)[i]));
    if (good)
        return array;
    json_decref(array);
    return NULL;
}

/* ---- outputs as bytes ---- */

static size_t binary_size(const struct job *job, const struct esp_prediction *predictions, enum infer_output_name name)
{
    const struct infer *infer = &job->infer;
    size_t size = 0;

    if (name != OUTPUT_CATEGORIES)
        return infer->images * infer->categories * sizeof(float);
    for (size_t i = 0; i < infer->categories; i++)
        size += 4 + strlen(path_of(job, predictions, i));
    return size;
}

static bool append_texts(const struct job *job, const struct esp_prediction *predictions, struct response *response)
{
    bool good = true;

    for (size_t i = 0; i < job->infer.categories && good; i++) {
        const char *path = path_of(job, predictions, i);
        uint32_t length = (uint32_t)strlen(path);
        good = response_append(response, &length, sizeof length) && response_append(response, path, length);
    }
    return good;
}

static bool append_binary(const struct job *job, const struct esp_prediction *predictions, enum infer_output_name name,
                          struct response *response)
{
    const struct infer *infer = &job->infer;
    bool good = true;

    if (name == OUTPUT_CATEGORIES)
        return append_texts(job, predictions, response);
    for (size_t image = 0; image < infer->images && good; image++)
        good = response_append(response, values_of(infer, image, name), infer->categories * sizeof(float));
    return good;
}

static json_t *output_json(const struct job *job, const struct esp_prediction *predictions,
                           const struct infer_output *output)
{
    const char *datatype = output->name == OUTPUT_CATEGORIES ? "BYTES" : "FP32";
    json_t *object = json_pack("{s:s, s:s, s:o}", "name", infer_output_text(output->name), "datatype", datatype,
                               "shape", shape_json(&job->infer, output->name));
    json_t *more = output->binary
                       ? json_pack("{s:I}", "binary_data_size", (json_int_t)binary_size(job, predictions, output->name))
                       : data_json(job, predictions, output->name);

    if (object && !json_object_set_new(object, output->binary ? "parameters" : "data", more))
        return object;
    json_decref(object);
    return NULL;
}

static json_t *outputs_json(const struct job *job, const struct esp_prediction *predictions)
{
    json_t *array = json_array();

    for (size_t i = 0; i < job->infer.output_count; i++) {
        if (json_array_append_new(array, output_json(job, predictions, &job->infer.outputs[i]))) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

/* ---- the answer ---- */

/* Flat, as the protocol has parameters: the cost of /classify, of all pictures together, and the times. */
static json_t *parameters_json(const struct job *job)
{
    const struct infer *infer = &job->infer;
    json_t *parameters = answer_cost_json(job->network->model, &infer->cost, infer->images, infer->batch);
    json_t *more =
        json_pack("{s:s*, s:I}", "request_id", job->exchange->request.id, "images", (json_int_t)infer->images);
    static const char *const stages[][2] = {{"queue", "queue_ms"},           {"decode", "decode_ms"},
                                            {"preprocess", "preprocess_ms"}, {"trunk", "trunk_ms"},
                                            {"branches", "branches_ms"},     {"total", "total_ms"}};
    json_t *times = answer_times_json(&infer->times);

    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        json_object_set(more, stages[i][1], json_object_get(times, stages[i][0]));
    json_decref(times);
    if (!parameters || json_object_update(parameters, more)) {
        json_decref(parameters);
        parameters = NULL;
    }
    json_decref(more);
    return parameters;
}

static json_t *head_json(const struct job *job, const struct esp_prediction *predictions)
{
    const struct esp_model_info *info = job->network->info;

    return json_pack("{s:s, s:s, s:s*, s:o, s:o}", "model_name", info->name, "model_version", info->version, "id",
                     job->infer.id, "parameters", parameters_json(job), "outputs", outputs_json(job, predictions));
}

static bool any_binary(const struct infer *infer)
{
    for (size_t i = 0; i < infer->output_count; i++)
        if (infer->outputs[i].binary)
            return true;
    return false;
}

static bool write(const struct job *job, const struct esp_prediction *predictions, const json_t *head,
                  struct response *response)
{
    const struct infer *infer = &job->infer;
    bool binary = any_binary(infer);

    if (!json_body(response, 200, binary ? "application/octet-stream" : "application/json", head))
        return false;
    if (binary)
        response_header(response, "Inference-Header-Content-Length", "%zu", response->size);
    for (size_t i = 0; i < infer->output_count; i++)
        if (infer->outputs[i].binary && !append_binary(job, predictions, infer->outputs[i].name, response))
            return false;
    answer_time_header(&infer->times, response);
    return true;
}

void infer_answer(const struct job *job, const struct esp_prediction *predictions, struct response *response)
{
    json_t *head = head_json(job, predictions);

    if (!write(job, predictions, head, response))
        problem(response, 500, "the answer could not be written: out of memory, or a score is no number");
    json_decref(head);
}
