#include "server/evaluate/report.h"
#include "server/evaluate/statistics.h"
#include "server/figures.h"

#include <math.h>

enum { NAMES_SHOWN = 10 };

static void print_share(FILE *out, int width, int digits, double value)
{
    if (isnan(value))
        fprintf(out, "%*s  ", width, "-");
    else
        fprintf(out, "%*.*f %%", width, digits, 100 * value);
}

static void print_head(FILE *out, const struct evaluation *evaluation)
{
    const struct esp_model_info *info = esp_model_info(evaluation->model);
    struct accuracy accuracy = statistics_accuracy(evaluation);
    char macs[FIGURE_MAX], macs_full[FIGURE_MAX], parameters[FIGURE_MAX], parameters_full[FIGURE_MAX];
    double paid, used;

    statistics_cost(evaluation, &paid, &used);
    fprintf(out, "%s, version %s (%s, %s)\n", info->name, info->version, info->kernels, info->precision);
    fprintf(out, "  pictures     %zu", evaluation->count - evaluation->faults);
    if (accuracy.pictures != evaluation->count - evaluation->faults)
        fprintf(out, ", %zu of them of the categories asked for", accuracy.pictures);
    fputs("\n  top-1      ", out);
    print_share(out, 6, 2, accuracy.top1);
    fputs("\n  top-5      ", out);
    print_share(out, 6, 2, accuracy.top5);
    if (!isnan(paid))
        fprintf(out, "\n  cost         %s of %s MACs, %s of %s parameters, in the mean",
                figure_write((uint64_t)(paid + 0.5), macs), figure_write(info->macs, macs_full),
                figure_write((uint64_t)(used + 0.5), parameters), figure_write(info->parameters, parameters_full));
    fprintf(out, "\n  time         %.1f s, %.0f pictures/s\n", evaluation->seconds,
            (double)evaluation->count / evaluation->seconds);
}

static void print_groups(FILE *out, const struct evaluation *evaluation)
{
    const struct esp_model_info *info = esp_model_info(evaluation->model);

    fprintf(out, "\n%-40s %9s %9s %15s\n", "group", "pictures", "top-1", "first answer in");
    for (size_t node = 1; node < info->nodes; node++) {
        const struct esp_node_info *about = esp_model_node(evaluation->model, node);
        if (about->category != SIZE_MAX)
            continue;
        struct group_accuracy group = statistics_group(evaluation, node);
        if (!group.pictures)
            continue;
        fprintf(out, "%-40s %9zu ", about->path, group.pictures);
        print_share(out, 7, 2, group.top1);
        print_share(out, 14, 2, group.group);
        fputc('\n', out);
    }
}

static void print_calibration(FILE *out, const struct calibration *calibration, const char *what, const char *of)
{
    fprintf(out, "\n%-19s %13s %9s %9s\n", what, of, "mean", "so");
    for (int i = 0; i < CALIBRATION_BINS; i++)
        if (calibration->bins[i].count) {
            fprintf(out, "%3d %% to %3d %%       %12zu ", 10 * i, 10 * (i + 1), calibration->bins[i].count);
            print_share(out, 7, 2, calibration->bins[i].mean);
            print_share(out, 8, 2, calibration->bins[i].right);
            fputc('\n', out);
        }
    fputs("expected error  ", out);
    print_share(out, 7, 3, calibration->error);
    fputc('\n', out);
}

/* What a search did not run for a picture was told no confidence. */
static void print_confidence(FILE *out, const struct evaluation *evaluation)
{
    struct calibration calibration;

    statistics_confidence(evaluation, &calibration);
    print_calibration(out, &calibration, "confidence", evaluation->searched ? "answers given" : "pairs");
}

static void print_single(FILE *out, const struct evaluation *evaluation)
{
    struct single singles[CONFIDENCE_LIMITS];

    statistics_single(evaluation, singles);
    fprintf(out, "\n%-20s %17s %17s %17s\n", "one category asked", "something else", "the category", "right, of those");
    for (int i = 0; i < CONFIDENCE_LIMITS; i++) {
        fprintf(out, "confident over %2.0f %%  ", 100 * singles[i].limit);
        print_share(out, 15, 3, singles[i].others);
        print_share(out, 16, 2, singles[i].own);
        print_share(out, 16, 2, singles[i].correct);
        fputc('\n', out);
    }
}

static void print_sweep(FILE *out, const struct evaluation *evaluation)
{
    fprintf(out, "\n%-10s %10s %12s %18s\n", "attention", "recall", "precision", "false positives");
    for (size_t w = 0; w < evaluation->sweep.weights_count; w++) {
        struct attended attended = statistics_attended(evaluation, w);
        fprintf(out, "%-10g ", evaluation->sweep.weights[w]);
        print_share(out, 8, 2, attended.recall);
        print_share(out, 11, 2, attended.precision);
        print_share(out, 17, 3, attended.false_positives);
        fputc('\n', out);
    }
}

void report_text(FILE *out, const struct evaluation *evaluation)
{
    bool calibrated = esp_model_info(evaluation->model)->calibrated;
    struct calibration calibration;

    print_head(out, evaluation);
    print_groups(out, evaluation);
    statistics_probability(evaluation, &calibration);
    print_calibration(out, &calibration, "probability", "pictures");
    if (calibrated)
        print_confidence(out, evaluation);
    if (calibrated && !evaluation->searched)
        print_single(out, evaluation);
    if (evaluation->sweep.weights_count)
        print_sweep(out, evaluation);
}

static void print_unknown(FILE *out, const struct unknown_label *unknown)
{
    if (*unknown->name)
        fprintf(out, "left out: %zu pictures in \"%s\", which is no category's name, path or id\n", unknown->pictures,
                unknown->name);
    else
        fprintf(out, "left out: %zu pictures that lie in no folder, whose name would say what they show\n",
                unknown->pictures);
}

void report_left_out(FILE *out, const struct evaluation *evaluation)
{
    size_t shown = 0;

    for (size_t i = 0; i < evaluation->count && shown < NAMES_SHOWN; i++)
        if (evaluation->pictures[i]->fault) {
            fprintf(out, "left out: %s: %s\n", evaluation->pictures[i]->name, evaluation->pictures[i]->fault);
            shown++;
        }
    if (evaluation->faults > shown)
        fprintf(out, "left out: %zu more that cannot be read\n", evaluation->faults - shown);
    for (size_t i = 0; i < evaluation->unknown_count && i < NAMES_SHOWN; i++)
        print_unknown(out, &evaluation->unknown[i]);
    if (evaluation->unknown_count > NAMES_SHOWN)
        fprintf(out, "left out: %zu more folders like that\n", evaluation->unknown_count - NAMES_SHOWN);
    if (evaluation->closed_folders)
        fprintf(out, "left out: what lies in %zu folders that cannot be looked into: %s%s\n",
                evaluation->closed_folders, evaluation->closed_why, evaluation->closed_folders > 1 ? ", ..." : "");
    if (evaluation->others)
        fprintf(out, "left out: %zu files that are not called .jpg, .jpeg or .jpe, or are links\n", evaluation->others);
}
