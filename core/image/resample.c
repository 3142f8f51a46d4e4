#include "core/image/resample.h"

#include <math.h>
#include <string.h>

/* The input pixels that an output pixel is made of. */
struct span {
    uint32_t first, count;
};

static double triangle(double distance)
{
    return fmax(0.0, 1.0 - fabs(distance));
}

/* The weights of the output pixel whose middle is at `middle`, for a triangle of `support` input pixels to either side;
 * normalised, so that the picture's border is as bright as the rest. */
static struct span fill_weights(float *weights, double middle, double support, uint32_t pixels)
{
    double first = fmax(0.0, floor(middle - support + 0.5)), end = fmin(pixels, floor(middle + support + 0.5));
    struct span span = {(uint32_t)first, (uint32_t)(end - first)};
    double sum = 0.0;

    for (uint32_t i = 0; i < span.count; i++)
        sum += triangle((first + i - middle + 0.5) / support);
    for (uint32_t i = 0; i < span.count; i++)
        weights[i] = (float)(triangle((first + i - middle + 0.5) / support) / sum);
    while (span.count > 1 && weights[span.count - 1] <= 0.0f) /* where an axis keeps its size, one pixel is left */
        span.count--;
    return span;
}

static bool prepare_filter(struct esp_filter *filter, uint32_t pixels, double extent, const struct esp_fit_axis *axis)
{
    double scale = extent / axis->resized, support = fmax(1.0, scale);

    filter->taps = (size_t)ceil(support) * 2 + 1; /* no span is longer */
    if (!esp_buffer_reserve(&filter->spans, axis->count, sizeof(struct span)) ||
        !esp_buffer_reserve(&filter->weights, axis->count, filter->taps * sizeof(float)))
        return false;
    struct span *spans = filter->spans.data;
    float *weights = filter->weights.data;
    for (uint32_t i = 0; i < axis->count; i++)
        spans[i] = fill_weights(weights + i * filter->taps, (axis->offset + i + 0.5) * scale, support, pixels);
    return true;
}

/* The input pixels that any of the first `count` output pixels needs: spans move on with their pixel. */
static struct span whole_span(const struct esp_filter *filter, uint32_t count)
{
    const struct span *spans = filter->spans.data;
    struct span last = spans[count - 1];
    return (struct span){spans[0].first, last.first + last.count - spans[0].first};
}

static void add_row(float *restrict sums, const uint8_t *restrict row, size_t values, float weight)
{
    for (size_t i = 0; i < values; i++)
        sums[i] += weight * (float)row[i];
}

/* Output row `y` before it is resized along x: only the columns that are needed. */
static void resize_down(float *sums, const struct esp_pixels *pixels, const struct esp_filter *filter, uint32_t y,
                        struct span columns)
{
    struct span rows = ((const struct span *)filter->spans.data)[y];
    const float *weights = (const float *)filter->weights.data + y * filter->taps;
    size_t stride = (size_t)pixels->width * 3, values = (size_t)columns.count * 3;

    memset(sums, 0, values * sizeof *sums);
    for (uint32_t i = 0; i < rows.count; i++)
        if (weights[i] > 0.0f)
            add_row(sums, pixels->rgb + (rows.first + i) * stride + (size_t)columns.first * 3, values, weights[i]);
}

static void write_pixel(float *out, ptrdiff_t plane, const float *values, const float *weights, uint32_t count)
{
    float red = 0.0f, green = 0.0f, blue = 0.0f;

    for (uint32_t i = 0; i < count; i++) {
        red += weights[i] * values[3 * (size_t)i];
        green += weights[i] * values[3 * (size_t)i + 1];
        blue += weights[i] * values[3 * (size_t)i + 2];
    }
    out[0] = red;
    out[plane] = green;
    out[2 * plane] = blue;
}

static void resize_across(const float *sums, const struct esp_filter *filter, uint32_t count, uint32_t first_column,
                          float *out, const struct esp_planes *planes)
{
    const struct span *spans = filter->spans.data;
    const float *weights = filter->weights.data;

    for (uint32_t x = 0; x < count; x++)
        write_pixel(out + (ptrdiff_t)x * planes->step_x, planes->plane,
                    sums + (size_t)(spans[x].first - first_column) * 3, weights + x * filter->taps, spans[x].count);
}

/* Down first: that runs along the rows in memory, and one row of sums is all that has to be kept. */
bool esp_resample(struct esp_resampler *resampler, const struct esp_pixels *pixels, const struct esp_fit *fit,
                  const struct esp_planes *planes)
{
    if (!prepare_filter(&resampler->x, pixels->width, pixels->extent_x, &fit->x) ||
        !prepare_filter(&resampler->y, pixels->height, pixels->extent_y, &fit->y))
        return false;
    struct span columns = whole_span(&resampler->x, fit->x.count);
    if (!esp_buffer_reserve(&resampler->row, columns.count, 3 * sizeof(float)))
        return false;
    for (uint32_t y = 0; y < fit->y.count; y++) {
        resize_down(resampler->row.data, pixels, &resampler->y, y, columns);
        resize_across(resampler->row.data, &resampler->x, fit->x.count, columns.first,
                      planes->origin + (ptrdiff_t)y * planes->step_y, planes);
    }
    return true;
}

void esp_resampler_trim(struct esp_resampler *resampler, size_t keep)
{
    esp_buffer_trim(&resampler->x.spans, keep);
    esp_buffer_trim(&resampler->x.weights, keep);
    esp_buffer_trim(&resampler->y.spans, keep);
    esp_buffer_trim(&resampler->y.weights, keep);
    esp_buffer_trim(&resampler->row, keep);
}
