#include "server/bench/print.h"

#include <stdlib.h>
#include <string.h>

/* Layers of one kind, name and shape at one depth of the tree: what is done to one of them helps all. */
struct loss {
    const struct esp_profile_row *is; /* the first one; NULL for decoding and preprocessing */
    const char *name;
    size_t nodes;
    struct bench_sum sum;
};

static bool same_shape(struct esp_shape a, struct esp_shape b)
{
    return a.channels == b.channels && a.height == b.height && a.width == b.width;
}

static bool alike(const esp_model *model, const struct esp_profile_row *a, const struct esp_profile_row *b)
{
    return esp_model_node(model, a->node)->depth == esp_model_node(model, b->node)->depth && a->part == b->part &&
           strcmp(a->name, b->name) == 0 && same_shape(a->in, b->in) && same_shape(a->out, b->out) &&
           a->kernel_height == b->kernel_height && a->kernel_width == b->kernel_width && a->stride == b->stride &&
           a->groups == b->groups;
}

static void add_row(struct loss *losses, size_t *count, const esp_model *model, const struct bench_row *row)
{
    size_t i = 0;

    while (i < *count && !alike(model, losses[i].is, row->is))
        i++;
    if (i == *count)
        losses[(*count)++] = (struct loss){.is = row->is, .name = row->is->name};
    losses[i].nodes++;
    losses[i].sum.macs += row->macs;
    losses[i].sum.products += bench_row_sum(row).products;
    losses[i].sum.seconds += row->seconds;
}

/* What does no multiply-accumulates loses all of its time. */
static size_t add_image_steps(struct loss *losses, const struct bench *bench, const struct bench_result *result)
{
    if (!bench->jpeg)
        return 0;
    losses[0] = (struct loss){.name = "JPEG decoding", .sum.seconds = result->decode * (double)bench->batch};
    losses[1] = (struct loss){.name = "preprocessing", .sum.seconds = result->preprocess * (double)bench->batch};
    return 2;
}

static double lost(const struct loss *loss, double peak)
{
    return loss->sum.seconds - loss->sum.products / peak;
}

static size_t worst(const struct loss *losses, size_t count, double peak)
{
    size_t found = 0;

    for (size_t i = 1; i < count; i++)
        if (lost(&losses[i], peak) > lost(&losses[found], peak))
            found = i;
    return found;
}

/* "conv1 of trunk", "conv1 of 22 groups" */
static void print_name(FILE *out, const esp_model *model, const struct loss *loss)
{
    char shape[BENCH_SHAPE_MAX];

    fputs(loss->name, out);
    if (!loss->is)
        return;
    const struct esp_node_info *node = esp_model_node(model, loss->is->node);
    if (loss->nodes == 1)
        fprintf(out, " of %s", node->path);
    else
        fprintf(out, " of %zu %s", loss->nodes, node->category == SIZE_MAX ? "groups" : "categories");
    fprintf(out, "   (%s)", bench_shape(loss->is, shape));
}

static void print_loss(FILE *out, const struct bench *bench, const struct bench_result *result, const struct loss *loss)
{
    fprintf(out, "%9.1f   ", 1e6 * lost(loss, result->peak));
    if (loss->sum.macs)
        fprintf(out, "%5.1f %%   ", 100 * bench_share(loss->sum, result));
    else
        fprintf(out, "          ");
    print_name(out, bench->model, loss);
    fprintf(out, "\n");
}

void bench_print_losses(FILE *out, const struct bench *bench, const struct bench_result *result, size_t most)
{
    struct loss *losses = calloc(result->count + 2, sizeof *losses);
    size_t count = 0;

    if (!losses)
        return;
    for (size_t i = 0; i < result->count; i++)
        add_row(losses, &count, bench->model, &result->rows[i]);
    count += add_image_steps(losses + count, bench, result);
    fprintf(out, "Most time lost against the peak; layers of the same shape together\n\n lost, µs   of peak\n");
    for (size_t i = 0; i < most && count > 0; i++) {
        size_t found = worst(losses, count, result->peak);
        print_loss(out, bench, result, &losses[found]);
        losses[found] = losses[--count];
    }
    free(losses);
}
