#include "server/evaluate/sweep.h"

#include "espalier/limits.h"
#include "server/spoken.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum esp_status no_memory(struct esp_error *err)
{
    return esp_fail(err, ESP_ERROR_MEMORY, "no memory for the sweep of attention");
}

static enum esp_status read_weights(struct sweep_plan *plan, const char *text, struct esp_error *err)
{
    for (const char *next = text; next; next = strchr(next, ',') ? strchr(next, ',') + 1 : NULL) {
        char *end;
        double weight = strtod(next, &end);
        if (end == next || (*end && *end != ',') || !(weight >= 0) || weight > (double)ESP_WEIGHT_MAX)
            return esp_fail(err, ESP_ERROR_ARGUMENT, "--weights \"%.100s\": a list of numbers from 0 to %g is wanted",
                            text, (double)ESP_WEIGHT_MAX);
        if (plan->weights_count == SWEEP_WEIGHTS_MAX)
            return esp_fail(err, ESP_ERROR_ARGUMENT, "--weights: more than %d", SWEEP_WEIGHTS_MAX);
        plan->weights[plan->weights_count++] = weight;
    }
    return ESP_OK;
}

/* "cat,dog" with weight 2, after other attention: "lion:3,cat:2,dog:2". For the caller to free. */
static char *attention_text(const char *attention, const char *nodes, double weight)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    if (attention && *attention) /* "" is no attention at all */
        fprintf(out, "%s,", attention);
    for (const char *node = nodes; node; node = strchr(node, ',')) {
        node += *node == ',';
        fprintf(out, "%s%.*s:%.17g", node == nodes ? "" : ",", (int)strcspn(node, ","), node, weight);
    }
    return fclose(out) == 0 ? text : (free(text), NULL);
}

/* The cutout of `nodes`, weighted. What is wrong is what would be wrong with a request. */
static enum esp_status make_cutout(const esp_model *model, const char *nodes, const char *attention, double weight,
                                   esp_cutout **cutout, struct esp_error *err)
{
    struct options options = {0};
    struct spoken spoken = {0};
    struct esp_error fault = {0};
    char *text = attention_text(attention, nodes, weight);
    enum esp_status status = text ? esp_cutout_create(&options.cutout, model, err) : no_memory(err);

    if (status == ESP_OK) {
        spoken_say(&spoken, "categories", nodes);
        spoken_say(&spoken, "attention", text);
        if (spoken_read(&spoken, &options, &fault) != ESP_OK)
            status = esp_fail(err, fault.status, "--attention-sweep: %.400s", fault.text);
    }
    free(text);
    if (status == ESP_OK)
        *cutout = options.cutout;
    else
        esp_cutout_destroy(&options.cutout);
    return status;
}

/* The categories of the cutout, which the plain one has to run, too. */
static enum esp_status note_attended(struct sweep_plan *plan, const esp_cutout *attended, const esp_cutout *cutout,
                                     struct esp_error *err)
{
    const esp_model *model = esp_cutout_model(cutout);
    size_t categories = esp_model_info(model)->categories;

    plan->attended = calloc(categories, sizeof *plan->attended);
    if (!plan->attended)
        return no_memory(err);
    for (size_t i = 0; i < categories; i++) {
        size_t node = esp_model_category_node(model, i);
        if (!esp_cutout_scores(attended, node))
            continue;
        if (!esp_cutout_scores(cutout, node))
            return esp_fail(err, ESP_ERROR_ARGUMENT, "--attention-sweep: %.200s is not among the categories that run",
                            esp_model_node(model, node)->path);
        plan->attended[plan->attended_count++] = i;
    }
    return ESP_OK;
}

enum esp_status sweep_plan(struct sweep_plan *plan, const esp_cutout *cutout, const char *nodes, const char *weights,
                           const char *attention, struct esp_error *err)
{
    const esp_model *model = esp_cutout_model(cutout);
    esp_cutout *plain = NULL;

    *plan = (struct sweep_plan){0};
    if (esp_cutout_chooses(cutout))
        return esp_fail(err, ESP_ERROR_ARGUMENT, "--attention-sweep goes with neither --search nor --budget");
    enum esp_status status = read_weights(plan, weights, err);
    if (status == ESP_OK)
        status = make_cutout(model, nodes, attention, 1, &plain, err);
    if (status == ESP_OK)
        status = note_attended(plan, plain, cutout, err);
    esp_cutout_destroy(&plain);
    for (size_t i = 0; i < plan->weights_count && status == ESP_OK; i++)
        if (plan->weights[i] > 0)
            status = make_cutout(model, nodes, attention, plan->weights[i], &plan->cutouts[i], err);
    return status;
}

void sweep_release(struct sweep_plan *plan)
{
    for (size_t i = 0; i < plan->weights_count; i++)
        esp_cutout_destroy(&plan->cutouts[i]);
    free(plan->attended);
    *plan = (struct sweep_plan){0};
}
