#include "server/bench/print.h"

#include <jansson.h>
#include <math.h>

/* Four decimals: tenths of a microsecond, where it is milliseconds. */
static double rounded(double value)
{
    return round(value * 1e4) / 1e4;
}

/* The figures of a row of the table. */
static void set_figures(json_t *object, struct bench_sum sum, const struct bench_result *result)
{
    json_object_set_new(object, "macs", json_integer((json_int_t)sum.macs));
    json_object_set_new(object, "ms", json_real(rounded(1e3 * sum.seconds)));
    json_object_set_new(object, "gflops", json_real(rounded(bench_gflops(sum))));
    json_object_set_new(object, "share", json_real(rounded(bench_share(sum, result))));
}

static json_t *layers_json(const struct bench_result *result, size_t node)
{
    json_t *layers = json_array();
    char shape[BENCH_SHAPE_MAX];

    for (size_t i = result->first[node]; i < result->first[node + 1]; i++) {
        const struct bench_row *row = &result->rows[i];
        json_t *layer = json_pack("{s:s, s:s}", "name", row->is->name, "shape", bench_shape(row->is, shape));
        set_figures(layer, bench_row_sum(row), result);
        json_array_append_new(layers, layer);
    }
    return layers;
}

static json_t *segments_json(const struct bench *bench, const struct bench_result *result)
{
    json_t *segments = json_array();

    for (size_t node = 0; node < esp_model_info(bench->model)->nodes; node++) {
        if (!esp_cutout_runs(bench->cutout, node))
            continue;
        json_t *segment = json_pack("{s:s}", "path", esp_model_node(bench->model, node)->path);
        set_figures(segment, bench_add(result, node, node + 1), result);
        json_object_set_new(segment, "layers", layers_json(result, node));
        json_array_append_new(segments, segment);
    }
    return segments;
}

/* Without a picture nothing was decoded. */
static json_t *milliseconds_or_null(const struct bench *bench, double seconds)
{
    return bench->jpeg ? json_real(rounded(1e3 * seconds)) : json_null();
}

char *bench_json(const struct bench *bench, const struct bench_result *result)
{
    const struct esp_model_info *info = esp_model_info(bench->model);
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:o, s:o, s:o}", "model", info->name, "kernels",
        info->kernels, "precision", info->precision, "batch", (json_int_t)bench->batch, "threads",
        (json_int_t)bench->threads, "runs", (json_int_t)bench->runs, "macs", (json_int_t)result->cost.macs,
        "peak_gflops", rounded(2 * result->peak / 1e9), "median_ms", rounded(1e3 * result->median), "fastest_ms",
        rounded(1e3 * result->fastest), "decode_ms", milliseconds_or_null(bench, result->decode), "preprocess_ms",
        milliseconds_or_null(bench, result->preprocess), "segments", segments_json(bench, result));
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;

    json_decref(object);
    return text;
}
