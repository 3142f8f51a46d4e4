#include "server/bench/print.h"
#include "server/figures.h"

#include <string.h>

enum { NAME_COLUMNS = 40, PREFIX_MAX = 160, LOSSES = 5 };

/* What the lines of the table have in common. */
struct table {
    FILE *out;
    const struct bench *bench;
    const struct bench_result *result;
    double whole; /* seconds of everything in the table: what shares are of */
    bool colour;
};

/* ---- lines ---- */

const char *bench_shape(const struct esp_profile_row *row, char *text)
{
    char kernel[32] = "", channels[24], groups[24] = "";

    if (row->kernel_height)
        snprintf(kernel, sizeof kernel, "%u×%u", row->kernel_height, row->kernel_width);
    if (row->stride > 1)
        snprintf(kernel + strlen(kernel), sizeof kernel - strlen(kernel), "/%u", row->stride);
    if (row->groups > 1)
        snprintf(groups, sizeof groups, ", %u groups", row->groups);
    snprintf(channels, sizeof channels, row->in.channels == row->out.channels && !*kernel ? "%u" : "%u→%u",
             row->in.channels, row->out.channels);
    snprintf(text, BENCH_SHAPE_MAX, "%s%s%s, %u×%u%s", kernel, *kernel ? ", " : "", channels, row->out.height,
             row->out.width, groups);
    return text;
}

/* `name` stands in the first column after `prefix`; `note` comes last. */
static void print_line(const struct table *table, const char *prefix, const char *name, bool bold, struct bench_sum sum,
                       const char *note)
{
    int padding = NAME_COLUMNS - figure_columns(prefix) - figure_columns(name);
    char macs[FIGURE_MAX];

    bold = bold && table->colour;
    fprintf(table->out, "%s%s%s%s%*s%10s%11.1f%8.1f %%", prefix, bold ? "\033[1m" : "", name, bold ? "\033[0m" : "",
            padding > 0 ? padding : 0, "", sum.macs ? figure_write(sum.macs, macs) : "", 1e6 * sum.seconds,
            100 * sum.seconds / table->whole);
    if (sum.macs)
        fprintf(table->out, "%9.1f%7.1f %%", bench_gflops(sum), 100 * bench_share(sum, table->result));
    else if (*note)
        fprintf(table->out, "%18s", "");
    fprintf(table->out, *note ? "   %s\n" : "\n", note);
}

static void print_layers(const struct table *table, const char *prefix, size_t node)
{
    const struct bench_result *result = table->result;
    char shape[BENCH_SHAPE_MAX];

    for (size_t i = result->first[node]; i < result->first[node + 1]; i++) {
        const struct bench_row *row = &result->rows[i];
        print_line(table, prefix, row->is->name, false, bench_row_sum(row),
                   bench_shape(row->is, shape));
    }
}

/* ---- the tree: what ran of it ---- */

static size_t next_child(const struct table *table, size_t child, size_t end)
{
    while (child < end && !esp_cutout_runs(table->bench->cutout, child))
        child = esp_model_node(table->bench->model, child)->subtree_end;
    return child;
}

/* How many of a node's children ran, where all of those are categories that cost the same; 0 otherwise. */
static size_t children_alike(const struct table *table, size_t node)
{
    const esp_model *model = table->bench->model;
    size_t end = esp_model_node(model, node)->subtree_end, first = next_child(table, node + 1, end), count = 0;

    for (size_t child = first; child < end; child = next_child(table, child + 1, end), count++)
        if (esp_model_node(model, child)->category == SIZE_MAX ||
            bench_add(table->result, child, child + 1).macs != bench_add(table->result, first, first + 1).macs)
            return 0;
    return count;
}

static void print_alike(const struct table *table, const char *prefix, size_t node, size_t count)
{
    struct bench_sum sum = bench_add(table->result, node + 1, esp_model_node(table->bench->model, node)->subtree_end);
    char branches[PREFIX_MAX], name[32], note[64], macs[FIGURE_MAX];

    snprintf(branches, sizeof branches, "%s└─ ", prefix);
    snprintf(name, sizeof name, "%zu categories", count);
    snprintf(note, sizeof note, "each %s in %.1f µs", figure_write(sum.macs / count, macs),
             1e6 * sum.seconds / (double)count);
    print_line(table, branches, name, false, sum, note);
}

/* A node's own line, its layers, and what hangs below it. `prefix` is that of its line, `deeper` that of all others. */
static void print_node(const struct table *table, const char *prefix, const char *deeper, size_t node)
{
    const struct esp_node_info *info = esp_model_node(table->bench->model, node);
    size_t end = info->subtree_end, child = next_child(table, node + 1, end), alike = children_alike(table, node);
    char layers[PREFIX_MAX], branches[PREFIX_MAX], below[PREFIX_MAX];

    snprintf(layers, sizeof layers, "%s%s", deeper, child < end ? "│    " : "     ");
    print_line(table, prefix, info->name, true, bench_add(table->result, node, node + 1), "");
    print_layers(table, layers, node);
    if (alike > 1) {
        print_alike(table, deeper, node, alike);
        return;
    }
    for (size_t next; child < end; child = next) {
        next = next_child(table, esp_model_node(table->bench->model, child)->subtree_end, end);
        snprintf(branches, sizeof branches, "%s%s", deeper, next < end ? "├─ " : "└─ ");
        snprintf(below, sizeof below, "%s%s", deeper, next < end ? "│  " : "   ");
        print_node(table, branches, below, child);
    }
}

/* ---- before and after the tree ---- */

static void print_engine(const struct table *table)
{
    const struct bench *bench = table->bench;
    const struct bench_result *result = table->result;
    struct bench_sum run = bench_add(result, 0, esp_model_info(bench->model)->nodes);

    run.seconds = result->median;

    fprintf(table->out, "  engine     %.3f ms median of %zu runs, %.3f ms the fastest; %.1f GFLOP/s, %.1f %% of ",
            1e3 * result->median, bench->runs, 1e3 * result->fastest, bench_gflops(run),
            100 * bench_share(run, result) / (double)bench->threads);
    if (bench->threads > 1)
        fprintf(table->out, "%zu threads' peak\n", bench->threads);
    else
        fprintf(table->out, "the peak\n");
}

static void print_summary(const struct table *table)
{
    const struct bench *bench = table->bench;
    const struct bench_result *result = table->result;
    const struct esp_model_info *info = esp_model_info(bench->model);
    char macs[FIGURE_MAX];

    fprintf(table->out, "%s, version %s: %zu of %zu categories, %s MACs", info->name, info->version,
            result->cost.categories, info->categories, figure_write(result->cost.macs, macs));
    if (bench->batch > 1)
        fprintf(table->out, " for each of %zu images that run together", bench->batch);
    fprintf(table->out, "\n  kernels    %s, %s; their innermost loop makes %.1f GFLOP/s on one thread: the peak\n",
            info->kernels, info->precision, 2 * result->peak / 1e9);
    print_engine(table);
    if (bench->jpeg)
        fprintf(table->out, "  picture    %u x %u pixels, %.1f kB\n", result->picture.width, result->picture.height,
                (double)bench->jpeg_size / 1e3);
    else
        fprintf(table->out, "  picture    none: random values, so no decoding and no preprocessing\n");
    fprintf(table->out,
            "\nLayer by layer, on one thread%s; medians of %zu more runs, which look at the clock for each row\n\n",
            bench->batch > 1 ? ", for the whole batch" : "", result->profiled);
}

/* A step that the image takes before the engine. */
static void print_image_step(const struct table *table, const char *name, double seconds)
{
    struct bench_sum sum = {.seconds = seconds * (double)table->bench->batch};
    char note[64] = "";

    if (table->bench->batch > 1)
        snprintf(note, sizeof note, "each image %.1f µs", 1e6 * seconds);
    print_line(table, "", name, true, sum, note);
}

static void print_total(const struct table *table, struct bench_sum engine)
{
    const struct bench_result *result = table->result;

    fprintf(table->out, "\n");
    print_line(table, "", "engine", true, engine, "");
    if (table->bench->jpeg) {
        print_image_step(table, "JPEG decoding", result->decode);
        print_image_step(table, "preprocessing", result->preprocess);
        print_line(table, "", "total", true, (struct bench_sum){.seconds = table->whole}, "");
    }
    fprintf(table->out, "\n");
}

void bench_print_table(FILE *out, const struct bench *bench, const struct bench_result *result, bool colour)
{
    struct bench_sum engine = bench_add(result, 0, esp_model_info(bench->model)->nodes);
    struct table table = {out, bench, result, .colour = colour};

    table.whole = engine.seconds + (result->decode + result->preprocess) * (double)bench->batch;
    print_summary(&table);
    fprintf(out, "%-*s      MACs   time, µs     share  GFLOP/s  of peak   kernel, channels, output\n", NAME_COLUMNS,
            "");
    print_node(&table, "", "", 0);
    print_total(&table, engine);
    bench_print_losses(out, bench, result, LOSSES);
}
