#include "server/evaluate/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The header of NumPy's format 1.0, padded so that the numbers begin at a multiple of 64. */
static void write_header(FILE *file, size_t rows, size_t columns)
{
    char text[192];
    int length =
        snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }", rows, columns);
    unsigned padded = ((10u + (unsigned)length + 1 + 63) / 64) * 64 - 10;

    fwrite("\x93NUMPY\x01\x00", 1, 8, file);
    fputc((int)(padded & 255), file);
    fputc((int)(padded >> 8), file);
    fprintf(file, "%-*s\n", (int)padded - 1, text);
}

static enum esp_status close_file(FILE *file, const char *path, struct esp_error *err)
{
    bool good = !ferror(file);

    if (fclose(file) == 0 && good)
        return ESP_OK;
    return esp_fail(err, ESP_ERROR_IO, "%.300s: could not be written: %s", path, strerror(errno));
}

static FILE *open_file(const char *path, struct esp_error *err)
{
    FILE *file = fopen(path, "wb");

    if (!file)
        esp_fail(err, ESP_ERROR_IO, "%.300s: %s", path, strerror(errno));
    return file;
}

static enum esp_status write_numbers(const char *path, const struct evaluation *evaluation, struct esp_error *err)
{
    size_t categories = esp_model_info(evaluation->model)->categories;
    FILE *file = open_file(path, err);

    if (!file)
        return ESP_ERROR_IO;
    write_header(file, evaluation->count, categories);
    for (size_t i = 0; i < evaluation->count; i++)
        fwrite(evaluation->pictures[i]->scores, sizeof(float), categories, file); /* x86: little-endian */
    return close_file(file, path, err);
}

static enum esp_status write_lines(const char *path, const struct evaluation *evaluation, struct esp_error *err)
{
    FILE *file = open_file(path, err);

    if (!file)
        return ESP_ERROR_IO;
    fputs("picture\tcategory\tmacs\n", file);
    for (size_t i = 0; i < evaluation->count; i++) {
        const struct evaluated *picture = evaluation->pictures[i];
        size_t node = esp_model_category_node(evaluation->model, picture->truth);
        fprintf(file, "%s\t%s\t%" PRIu64 "\n", picture->name, esp_model_node(evaluation->model, node)->path,
                picture->macs);
    }
    return close_file(file, path, err);
}

/* The name of the file beside it, for the caller to free; NULL: no memory. */
static char *name_beside(const char *path, struct esp_error *err)
{
    char *beside = strdup(path);

    if (beside)
        strcpy(beside + strlen(path) - strlen(REPORT_SCORES_ENDING), ".tsv");
    else
        esp_fail(err, ESP_ERROR_MEMORY, "no memory for a name");
    return beside;
}

static enum esp_status try_file(const char *path, struct esp_error *err)
{
    bool new = access(path, F_OK) != 0;
    FILE *file = fopen(path, "ab");

    if (!file)
        return esp_fail(err, ESP_ERROR_IO, "%.300s: %s", path, strerror(errno));
    fclose(file);
    if (new)
        unlink(path);
    return ESP_OK;
}

enum esp_status report_scores_try(const char *path, struct esp_error *err)
{
    char *beside = name_beside(path, err);

    if (!beside)
        return ESP_ERROR_MEMORY;
    enum esp_status status = try_file(path, err);
    if (status == ESP_OK)
        status = try_file(beside, err);
    free(beside);
    return status;
}

enum esp_status report_scores(const char *path, const struct evaluation *evaluation, struct esp_error *err)
{
    char *beside = name_beside(path, err);

    if (!beside)
        return ESP_ERROR_MEMORY;
    enum esp_status status = write_numbers(path, evaluation, err);
    if (status == ESP_OK)
        status = write_lines(beside, evaluation, err);
    free(beside);
    return status;
}
