#include "core/profile.h"

#include "core/instance.h"
#include "core/memory.h"

enum { OTHER_PARTS = ESP_PROFILE_PATCHES }; /* the rows of a node beside its steps */

static const double PEAK_SECONDS = 0.05;

/* ---- rows ---- */

/* What a step without tensors is called. */
static const char *step_name(const struct esp_step *step)
{
    if (step->tensor)
        return step->tensor;
    switch (step->op) {
    case ESP_STEP_CONV: break;
    case ESP_STEP_MAX_POOL: return "max pool";
    case ESP_STEP_AVG_POOL: return "average pool";
    case ESP_STEP_GLOBAL_AVG_POOL: return "mean";
    case ESP_STEP_ADD: return "sum";
    case ESP_STEP_GATE: return "gate";
    case ESP_STEP_ACTIVATION: return "activation";
    }
    return "convolution";
}

/* Multiplications for one of a step's MACs. */
static double products_of(const struct esp_model *model, const struct esp_step *step)
{
    return step->op == ESP_STEP_CONV && model->kernels->conv_products ? model->kernels->conv_products(&step->conv) : 1;
}

static struct esp_profile_row step_row(const struct esp_model *model, size_t node, const struct esp_step *step)
{
    const struct esp_window *window = &step->conv.window;

    return (struct esp_profile_row){.part = ESP_PROFILE_LAYER,
                                    .node = node,
                                    .name = step_name(step),
                                    .in = step->conv.in,
                                    .out = step->conv.out,
                                    .kernel_height = window->kernel_h,
                                    .kernel_width = window->kernel_w,
                                    .stride = window->stride_h,
                                    .groups = step->conv.groups,
                                    .products = products_of(model, step)};
}

static struct esp_profile_row part_row(size_t node, struct esp_shape output, enum esp_profile_part part)
{
    static const char *const names[] = {[ESP_PROFILE_ATTENTION] = "attention",
                                        [ESP_PROFILE_HEAD] = "head",
                                        [ESP_PROFILE_PATCHES] = "patches for its children"};
    struct esp_shape score = {1, 1, 1};

    return (struct esp_profile_row){.part = part,
                                    .node = node,
                                    .name = names[part],
                                    .in = output,
                                    .products = 1,
                                    .out = part == ESP_PROFILE_HEAD ? score : output};
}

static void fill_rows(struct esp_profile *profile)
{
    for (size_t i = 0; i < profile->model->info.nodes; i++) {
        const struct esp_node *node = &profile->model->nodes[i];
        struct esp_profile_row *row = &profile->rows[profile->first[i]];
        for (size_t s = 0; s < node->program.count; s++)
            *row++ = step_row(profile->model, i, &node->program.steps[s]);
        for (size_t part = ESP_PROFILE_ATTENTION; part <= OTHER_PARTS; part++)
            *row++ = part_row(i, node->info.output, (enum esp_profile_part)part);
    }
}

/* Gives how many rows there are. */
static size_t number_rows(struct esp_profile *profile)
{
    size_t nodes = profile->model->info.nodes, rows = 0;

    for (size_t i = 0; i < nodes; i++) {
        profile->first[i] = rows;
        rows += profile->model->nodes[i].program.count + OTHER_PARTS;
    }
    return profile->first[nodes] = rows;
}

/* ---- life ---- */

enum esp_status esp_profile_create(esp_profile **profile, const esp_model *model, struct esp_error *err)
{
    struct esp_profile *made = esp_alloc(1, sizeof *made);

    *profile = NULL;
    if (made) {
        made->model = model;
        made->first = esp_alloc(model->info.nodes + 1, sizeof *made->first);
    }
    if (made && made->first)
        made->rows = esp_alloc(number_rows(made), sizeof *made->rows);
    if (!made || !made->rows) {
        esp_profile_destroy(&made);
        return esp_fail(err, ESP_ERROR_MEMORY, "no memory for a profile");
    }
    fill_rows(made);
    *profile = made;
    return ESP_OK;
}

void esp_profile_destroy(esp_profile **profile)
{
    if (!*profile)
        return;
    esp_free((*profile)->first);
    esp_free((*profile)->rows);
    esp_free(*profile);
    *profile = NULL;
}

/* ---- filling in ---- */

void esp_instance_profile(esp_instance *instance, esp_profile *profile)
{
    instance->profile = profile;
}

void esp_profile_add(struct esp_profile *profile, size_t row, uint64_t macs, double start)
{
    struct esp_profile_row *its = &profile->rows[row];

    its->seconds += esp_clock_seconds() - start;
    its->macs += macs;
    its->images++;
}

void esp_profile_reset(esp_profile *profile)
{
    for (size_t i = 0; i < esp_profile_rows(profile); i++) {
        struct esp_profile_row *row = &profile->rows[i];
        row->macs = row->images = 0;
        row->seconds = 0;
    }
}

/* ---- reading ---- */

size_t esp_profile_rows(const esp_profile *profile)
{
    return profile->first[profile->model->info.nodes];
}

const struct esp_profile_row *esp_profile_row(const esp_profile *profile, size_t row)
{
    return &profile->rows[row];
}

double esp_model_peak(const esp_model *model)
{
    double begin = esp_clock_seconds(), now = begin, best = 0;

    while (now - begin < PEAK_SECONDS) {
        double start = now;
        uint64_t macs = model->kernels->burst();
        now = esp_clock_seconds();
        if ((double)macs / (now - start) > best)
            best = (double)macs / (now - start);
    }
    return best;
}
