#include "server/answer.h"

#include "server/figures.h"
#include "server/json_body.h"
#include "server/problem.h"

#include <jansson.h>
#include <math.h>

/* Takes over the object. */
static void give(struct response *response, json_t *object)
{
    if (!json_body(response, 200, "application/json", object))
        problem(response, 500, "the answer could not be written: out of memory, or a score is no number");
    json_decref(object);
}

/* Milliseconds, to four decimals. */
static double milliseconds(double seconds)
{
    return round(seconds * 1e7) / 1e4;
}

json_t *answer_times_json(const struct times *times)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f}", "queue", milliseconds(times->queue), "decode",
                     milliseconds(times->decode), "preprocess", milliseconds(times->preprocess), "trunk",
                     milliseconds(times->trunk), "branches", milliseconds(times->branches), "total",
                     milliseconds(times->total));
}

json_t *answer_cost_json(const esp_model *model, const struct esp_cost *cost, size_t images, size_t batch)
{
    const struct esp_model_info *info = esp_model_info(model);
    uint64_t macs_full = images * info->macs;

    return json_pack(
        "{s:I, s:I, s:f, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:s, s:s, s:i}", "macs", (json_int_t)cost->macs,
        "macs_full", (json_int_t)macs_full, "macs_excluded", figure_excluded(cost->macs, macs_full), "parameters",
        (json_int_t)cost->parameters, "parameters_full", (json_int_t)info->parameters, "parameters_excluded",
        figure_excluded(cost->parameters, info->parameters), "branches", (json_int_t)cost->branches, "branches_full",
        (json_int_t)info->branches, "categories", (json_int_t)cost->categories, "categories_full",
        (json_int_t)info->categories, "precision", info->precision, "kernels", info->kernels, "batch", (int)batch);
}

static json_t *model_json(const esp_model *model)
{
    const struct esp_model_info *info = esp_model_info(model);
    return json_pack("{s:s, s:s}", "name", info->name, "version", info->version);
}

/* NULL where the score is no number; json_pack then gives up, too. */
static json_t *prediction_json(const esp_model *model, const struct esp_prediction *prediction)
{
    const struct esp_node_info *node = esp_model_node(model, prediction->node);
    json_t *confidence = esp_model_info(model)->calibrated ? json_real(prediction->confidence) : NULL;
    return json_pack("{s:s, s:s, s:f, s:o*, s:f}", "category", node->path, "label", node->label, "probability",
                     prediction->probability, "confidence", confidence, "score", (double)prediction->score);
}

static const esp_model *model_of(const struct answer *answer)
{
    return esp_cutout_model(answer->ran->cutout);
}

static json_t *predictions_json(const struct answer *answer)
{
    json_t *array = json_array();

    for (size_t i = 0; i < answer->count; i++) {
        if (json_array_append_new(array, prediction_json(model_of(answer), &answer->predictions[i]))) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *groups_json(const struct answer *answer)
{
    const esp_model *model = model_of(answer);
    json_t *array = json_array();

    for (size_t i = 0; i < esp_model_info(model)->nodes; i++) {
        const struct esp_node_info *node = esp_model_node(model, i);
        if (node->category == SIZE_MAX && esp_job_scored(answer->ran, i))
            json_array_append_new(array, json_pack("{s:s, s:s, s:f}", "category", node->path, "label", node->label,
                                                   "score", (double)answer->ran->scores[i]));
    }
    return array;
}

/* ---- searches ---- */

static bool searches(const esp_cutout *cutout)
{
    return esp_cutout_get_beam(cutout) || esp_cutout_get_budget(cutout);
}

/* The inner branches of which `holds` is true. */
static json_t *branches_json(const struct esp_job *ran, bool (*holds)(const struct esp_job *, size_t))
{
    const esp_model *model = esp_cutout_model(ran->cutout);
    json_t *array = json_array();

    for (size_t i = 1; i < esp_model_info(model)->nodes; i++)
        if (esp_model_node(model, i)->category == SIZE_MAX && holds(ran, i))
            json_array_append_new(array, json_string(esp_model_node(model, i)->path));
    return array;
}

/* What was asked for; members are left out where it was not. */
static json_t *limits_json(const esp_cutout *cutout)
{
    size_t beam = esp_cutout_get_beam(cutout);
    uint64_t budget = esp_cutout_get_budget(cutout);
    json_t *object = json_object();

    if (beam)
        json_object_set_new(object, "beam", json_integer((json_int_t)beam));
    if (budget)
        json_object_set_new(object, "budget_macs", json_integer((json_int_t)budget));
    return object;
}

static json_t *search_json(const struct esp_job *ran)
{
    json_t *object = limits_json(ran->cutout);

    json_object_set_new(object, "branches_run", branches_json(ran, esp_job_ran));
    json_object_set_new(object, "branches_entered", branches_json(ran, esp_job_descended));
    if (esp_cutout_get_budget(ran->cutout))
        json_object_set_new(object, "branches_too_dear", branches_json(ran, esp_job_too_dear));
    return object;
}

static json_t *bounds_json(const esp_cutout *cutout)
{
    const struct esp_model_info *info = esp_model_info(esp_cutout_model(cutout));
    json_t *object = json_pack("{s:I, s:I, s:I, s:s, s:s}", "macs_at_least", (json_int_t)esp_cutout_macs_least(cutout),
                               "macs_at_most", (json_int_t)esp_cutout_macs_most(cutout), "macs_full",
                               (json_int_t)info->macs, "precision", info->precision, "kernels", info->kernels);

    if (object)
        json_object_set_new(object, "search", limits_json(cutout));
    return object;
}

/* ---- answers ---- */

void answer_time_header(const struct times *times, struct response *response)
{
    response_header(response, "Server-Timing",
                    "queue;dur=%.4f, decode;dur=%.4f, preprocess;dur=%.4f, trunk;dur=%.4f, branches;dur=%.4f, "
                    "total;dur=%.4f",
                    times->queue * 1e3, times->decode * 1e3, times->preprocess * 1e3, times->trunk * 1e3,
                    times->branches * 1e3, times->total * 1e3);
}

void answer_classify(const struct answer *answer, struct response *response)
{
    const esp_model *model = model_of(answer);
    json_t *cost = answer_cost_json(model, &answer->ran->cost, 1, answer->batch);

    if (cost)
        json_object_set_new(cost, "time_ms", answer_times_json(&answer->times));
    /* A member is left out where the text is NULL; which it is without an encoding that JSON could carry, too. */
    json_t *object = json_pack("{s:s*, s:s*, s:o, s:o, s:o}", "request_id", answer->request_id, "image", answer->image,
                               "model", model_json(model), "predictions", predictions_json(answer), "cost", cost);
    if (object && answer->groups)
        json_object_set_new(object, "groups", groups_json(answer));
    if (object && searches(answer->ran->cutout))
        json_object_set_new(object, "search", search_json(answer->ran));
    give(response, object);
    answer_time_header(&answer->times, response);
}

void answer_cost(const esp_cutout *cutout, struct response *response)
{
    struct esp_cost cost = esp_cutout_cost(cutout);
    give(response, searches(cutout) ? bounds_json(cutout) : answer_cost_json(esp_cutout_model(cutout), &cost, 1, 1));
}

/* ---- the tree ---- */

static json_t *node_json(const esp_model *model, size_t number);

static json_t *children_json(const esp_model *model, size_t number)
{
    json_t *children = json_array();
    size_t end = esp_model_node(model, number)->subtree_end;

    for (size_t child = number + 1; child < end; child = esp_model_node(model, child)->subtree_end)
        json_array_append_new(children, node_json(model, child));
    return children;
}

/* A category's head always runs with its segment; a group's only where its score is asked for. */
static json_t *node_json(const esp_model *model, size_t number)
{
    const struct esp_node_info *node = esp_model_node(model, number);
    bool leaf = node->category != SIZE_MAX;
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:b, s:I}", "path", node->path, "name", node->name, "label",
                  node->label, "macs", (json_int_t)(node->macs + (leaf ? node->head_macs : 0)), "parameters",
                  (json_int_t)(node->parameters + (leaf ? node->head_parameters : 0)), "head_macs",
                  (json_int_t)node->head_macs, "head_parameters", (json_int_t)node->head_parameters, "head",
                  (int)node->head, "categories", (json_int_t)node->categories);

    if (node->id && object)
        json_object_set_new(object, "id", json_string(node->id));
    if (!leaf && object)
        json_object_set_new(object, "children", children_json(model, number));
    return object;
}

static json_t *input_json(const struct esp_input_info *input)
{
    return json_pack("{s:i, s:i, s:i}", "channels", (int)input->shape.channels, "height", (int)input->shape.height,
                     "width", (int)input->shape.width);
}

char *answer_categories(const esp_model *model)
{
    const struct esp_model_info *info = esp_model_info(model);
    json_t *object =
        json_pack("{s:o, s:o, s:I, s:I, s:I, s:I, s:b, s:o}", "model", model_json(model), "input",
                  input_json(&info->input), "macs_full", (json_int_t)info->macs, "parameters_full",
                  (json_int_t)info->parameters, "branches_full", (json_int_t)info->branches, "categories_full",
                  (json_int_t)info->categories, "calibrated", (int)info->calibrated, "tree", node_json(model, 0));
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

    json_decref(object);
    return text;
}
