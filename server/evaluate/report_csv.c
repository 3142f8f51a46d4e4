#include "server/evaluate/report.h"
#include "server/evaluate/statistics.h"

#include <math.h>

/* A value that there is not is left empty. */
static void line(FILE *out, const char *table, const char *row, const char *column, double value)
{
    if (isnan(value))
        fprintf(out, "%s,%s,%s,\n", table, row, column);
    else
        fprintf(out, "%s,%s,%s,%.12g\n", table, row, column, value);
}

static void write_accuracy(FILE *out, const struct evaluation *evaluation)
{
    struct accuracy accuracy = statistics_accuracy(evaluation);
    double macs, parameters;

    statistics_cost(evaluation, &macs, &parameters);
    line(out, "accuracy", "all", "pictures", (double)accuracy.pictures);
    line(out, "accuracy", "all", "top1", accuracy.top1);
    line(out, "accuracy", "all", "top5", accuracy.top5);
    line(out, "cost", "mean", "macs", macs);
    line(out, "cost", "mean", "parameters", parameters);
    line(out, "cost", "full", "macs", (double)esp_model_info(evaluation->model)->macs);
    line(out, "cost", "full", "parameters", (double)esp_model_info(evaluation->model)->parameters);
    line(out, "left_out", "unreadable", "pictures", (double)evaluation->faults);
    line(out, "left_out", "unselected", "pictures", (double)evaluation->unselected);
    line(out, "left_out", "unknown", "folders", (double)evaluation->unknown_count);
}

static void write_groups(FILE *out, const struct evaluation *evaluation)
{
    for (size_t node = 1; node < esp_model_info(evaluation->model)->nodes; node++) {
        const struct esp_node_info *about = esp_model_node(evaluation->model, node);
        if (about->category != SIZE_MAX)
            continue;
        struct group_accuracy group = statistics_group(evaluation, node);
        if (!group.pictures)
            continue;
        line(out, "groups", about->path, "pictures", (double)group.pictures);
        line(out, "groups", about->path, "top1", group.top1);
        line(out, "groups", about->path, "group", group.group);
    }
}

static void write_calibration(FILE *out, const char *table, const struct calibration *calibration)
{
    char row[32];

    for (int i = 0; i < CALIBRATION_BINS; i++) {
        snprintf(row, sizeof row, "%.1f", (double)i / CALIBRATION_BINS);
        line(out, table, row, "count", (double)calibration->bins[i].count);
        line(out, table, row, "mean", calibration->bins[i].mean);
        line(out, table, row, "so", calibration->bins[i].right);
    }
    line(out, table, "all", "error", calibration->error);
}

static void write_confidence(FILE *out, const struct evaluation *evaluation)
{
    struct calibration calibration;

    statistics_confidence(evaluation, &calibration);
    write_calibration(out, "confidence", &calibration);
}

static void write_single(FILE *out, const struct evaluation *evaluation)
{
    struct single singles[CONFIDENCE_LIMITS];
    char row[32];

    statistics_single(evaluation, singles);
    for (int i = 0; i < CONFIDENCE_LIMITS; i++) {
        snprintf(row, sizeof row, "%g", singles[i].limit);
        line(out, "single", row, "others", singles[i].others);
        line(out, "single", row, "own", singles[i].own);
        line(out, "single", row, "correct", singles[i].correct);
    }
}

static void write_sweep(FILE *out, const struct evaluation *evaluation)
{
    char row[32];

    for (size_t w = 0; w < evaluation->sweep.weights_count; w++) {
        struct attended attended = statistics_attended(evaluation, w);
        snprintf(row, sizeof row, "%g", evaluation->sweep.weights[w]);
        line(out, "attention", row, "recall", attended.recall);
        line(out, "attention", row, "precision", attended.precision);
        line(out, "attention", row, "false_positives", attended.false_positives);
    }
}

void report_csv(FILE *out, const struct evaluation *evaluation)
{
    bool calibrated = esp_model_info(evaluation->model)->calibrated;
    struct calibration calibration;

    fputs("table,row,column,value\n", out);
    write_accuracy(out, evaluation);
    write_groups(out, evaluation);
    statistics_probability(evaluation, &calibration);
    write_calibration(out, "probability", &calibration);
    if (calibrated)
        write_confidence(out, evaluation);
    if (calibrated && !evaluation->searched)
        write_single(out, evaluation);
    write_sweep(out, evaluation);
}
