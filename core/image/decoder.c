/* From bytes to a network's input. The only file that knows the JPEG library. */
#include "core/clock.h"
#include "core/image/buffer.h"
#include "core/image/geometry.h"
#include "core/image/jpeg_header.h"
#include "core/image/pixels.h"
#include "core/image/resample.h"
#include "core/memory.h"
#include "espalier/image.h"
#include "espalier/limits.h"

#include <string.h>
#include <turbojpeg.h>

enum {
    KEEP_BYTES = 4 << 20, /* a larger buffer goes back after its picture */
    OVERSIZE = 2,         /* the decoded picture is at least so many times the resized one */
    COSTLIER_SCANS = 4,   /* progressive and multi-scan files may have so many times fewer pixels */
    MEGA = 1000 * 1000,
};

struct esp_decoder {
    struct esp_image_limits limits;
    struct esp_buffer pixels; /* the decoded picture */
    struct esp_resampler resampler;
};

/* All that is known about the picture in work. */
struct job {
    const uint8_t *bytes; /* borrowed */
    size_t size;
    struct esp_jpeg_header header;
    struct esp_fit fit;
    tjscalingfactor scale;
    uint32_t width, height; /* as decoded */
};

void esp_image_limits_default(struct esp_image_limits *limits)
{
    *limits = (struct esp_image_limits){.bytes = (size_t)32 << 20, .pixels = 100 * (uint64_t)MEGA};
}

enum esp_status esp_decoder_create(esp_decoder **decoder, const struct esp_image_limits *limits, struct esp_error *err)
{
    *decoder = esp_alloc(1, sizeof **decoder);
    if (!*decoder)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory for an image decoder");
    esp_image_limits_default(&(*decoder)->limits);
    if (limits)
        (*decoder)->limits = *limits;
    return ESP_OK;
}

static void trim(esp_decoder *decoder, size_t keep)
{
    esp_buffer_trim(&decoder->pixels, keep);
    esp_resampler_trim(&decoder->resampler, keep);
}

void esp_decoder_destroy(esp_decoder **decoder)
{
    if (*decoder)
        trim(*decoder, 0);
    esp_free(*decoder);
    *decoder = NULL;
}

/* --- What is refused before the library sees it --- */

static enum esp_status check_bytes(const struct esp_image_limits *limits, const struct job *job, struct esp_error *err)
{
    const char *format;

    if (job->size > limits->bytes)
        return esp_fail(err, ESP_ERROR_TOO_LARGE, "the image has %zu bytes; the limit is %zu", job->size,
                        limits->bytes);
    if (job->size == 0)
        return esp_fail(err, ESP_ERROR_NOT_JPEG, "the image is empty (0 bytes); a JPEG is needed");
    if (esp_image_is_jpeg(job->bytes, job->size))
        return ESP_OK;
    format = esp_image_format(job->bytes, job->size);
    if (format)
        return esp_fail(err, ESP_ERROR_NOT_JPEG, "the image is not a JPEG but looks like %s; convert it to JPEG",
                        format);
    return esp_fail(err, ESP_ERROR_NOT_JPEG, "the image is not a JPEG: it does not begin with the bytes FF D8 FF");
}

static enum esp_status check_pixels(const struct esp_image_limits *limits, const struct esp_jpeg_header *header,
                                    struct esp_error *err)
{
    bool costlier = header->progressive || header->multi_scan;
    uint64_t pixels = (uint64_t)header->width * header->height;
    uint64_t limit = costlier ? limits->pixels / COSTLIER_SCANS : limits->pixels;

    if (pixels <= limit)
        return ESP_OK;
    return esp_fail(err, ESP_ERROR_TOO_LARGE,
                    "the picture is %ux%u, that is %.1f million pixels; the limit is %.4g million%s", header->width,
                    header->height, (double)pixels / MEGA, (double)limit / MEGA,
                    costlier ? " for progressive and multi-scan JPEGs" : "");
}

static enum esp_status check_input(const struct esp_input_info *input, struct esp_error *err)
{
    struct esp_shape shape = input->shape;

    if (shape.channels == 3 && shape.height >= 1 && shape.height <= ESP_INPUT_EXTENT_MAX && shape.width >= 1 &&
        shape.width <= ESP_INPUT_EXTENT_MAX)
        return ESP_OK;
    return esp_fail(err, ESP_ERROR_ARGUMENT,
                    "an input of %ux%ux%u can't be made from an image (3 channels, up to %dx%d)", shape.channels,
                    shape.height, shape.width, ESP_INPUT_EXTENT_MAX, ESP_INPUT_EXTENT_MAX);
}

/* --- Decoding --- */

static uint32_t scaled(uint32_t extent, tjscalingfactor scale)
{
    return (uint32_t)TJSCALED((int)extent, scale); /* at most 65535 * 16: fits */
}

/* Whether the picture decoded at `scale` leaves the last step of the resizing, and so the quality, to our filter. */
static bool is_enough(const struct job *job, tjscalingfactor scale)
{
    return scaled(job->header.width, scale) >= OVERSIZE * (uint64_t)job->fit.x.resized &&
           scaled(job->header.height, scale) >= OVERSIZE * (uint64_t)job->fit.y.resized;
}

/* The smallest scale that is enough; the full size where none is. Only halves, quarters and eighths: for what lies
 * between, the library has no fast code, so that 5/8 to 7/8 take longer than the full size. */
static void choose_scale(struct job *job)
{
    int count = 0;
    const tjscalingfactor *scales = tjGetScalingFactors(&count);

    job->scale = (tjscalingfactor){1, 1};
    for (int i = 0; i < count; i++) {
        bool smaller = scales[i].num == 1 && scales[i].denom > job->scale.denom;
        if (smaller && is_enough(job, scales[i]))
            job->scale = scales[i];
    }
    job->width = scaled(job->header.width, job->scale);
    job->height = scaled(job->header.height, job->scale);
}

static enum esp_status library_error(tjhandle library, const struct job *job, struct esp_error *err)
{
    const char *message = tjGetErrorStr2(library);

    if (strstr(message, "Insufficient memory"))
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory for a picture of %ux%u", job->header.width,
                        job->header.height);
    return esp_fail(err, ESP_ERROR_UNDECODABLE,
                    "the JPEG (%ux%u by its header) is broken, cut off or of an unsupported kind: %s",
                    job->header.width, job->header.height, message);
}

/* Were the library to see another size than we do, the limit would not hold and a part of the buffer would keep an
 * earlier picture. It reports failure, too, for samplings that it has no name for but can decode: only the size counts.
 */
static enum esp_status check_size(tjhandle library, const struct job *job, struct esp_error *err)
{
    int width = 0, height = 0, sampling, colours;

    tjDecompressHeader3(library, job->bytes, job->size, &width, &height, &sampling, &colours);
    if (width == (int)job->header.width && height == (int)job->header.height)
        return ESP_OK;
    return library_error(library, job, err);
}

/* Anything but 0 means that the pixels can't be trusted: warnings stand for data that is missing or made up. */
static enum esp_status decompress(tjhandle library, const struct job *job, uint8_t *pixels, struct esp_error *err)
{
    int format = job->header.components == 4 ? TJPF_CMYK : TJPF_RGB;
    enum esp_status status = check_size(library, job, err);

    if (status != ESP_OK)
        return status;
    if (tjDecompress2(library, job->bytes, job->size, pixels, (int)job->width, 0, (int)job->height, format,
                      TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS) != 0)
        return library_error(library, job, err);
    return ESP_OK;
}

/* product / 255 to the nearest, for products of two bytes. */
static uint8_t multiply(unsigned a, unsigned b)
{
    unsigned product = a * b + 128;
    return (uint8_t)((product + (product >> 8)) >> 8);
}

/* In place, four bytes to three. The stored values are taken as Adobe's, which count light and not ink. */
static void convert_cmyk(uint8_t *pixels, size_t count)
{
    const uint8_t *from = pixels;

    for (uint8_t *to = pixels; count > 0; count--, from += 4, to += 3) {
        unsigned black = from[3];
        to[0] = multiply(from[0], black);
        to[1] = multiply(from[1], black);
        to[2] = multiply(from[2], black);
    }
}

/* The library's handle is made anew for each picture: it would keep Huffman and quantisation tables, and a file without
 * tables of its own would be decoded with those of an earlier picture. */
static enum esp_status decode(esp_decoder *decoder, const struct job *job, struct esp_error *err)
{
    size_t channels = job->header.components == 4 ? 4 : 3, count = (size_t)job->width * job->height;
    tjhandle library;
    enum esp_status status;

    if (!esp_buffer_reserve(&decoder->pixels, count, channels))
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory for a picture of %ux%u", job->width, job->height);
    library = tjInitDecompress();
    if (!library)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory for the JPEG decoder");
    status = decompress(library, job, decoder->pixels.data, err);
    tjDestroy(library);
    if (status == ESP_OK && channels == 4)
        convert_cmyk(decoder->pixels.data, count);
    return status;
}

/* --- From pixels to the input --- */

/* Where the crop's pixels go, so that writing them turns the picture upright. */
static struct esp_planes upright_planes(const struct esp_fit *fit, const struct esp_shape *shape, float *out)
{
    ptrdiff_t width = (ptrdiff_t)shape->width;
    struct esp_planes planes = {out, fit->swapped ? width : 1, fit->swapped ? 1 : width,
                                width * (ptrdiff_t)shape->height};

    if (fit->mirrored_x) {
        planes.origin += (ptrdiff_t)(fit->x.count - 1) * planes.step_x;
        planes.step_x = -planes.step_x;
    }
    if (fit->mirrored_y) {
        planes.origin += (ptrdiff_t)(fit->y.count - 1) * planes.step_y;
        planes.step_y = -planes.step_y;
    }
    return planes;
}

static enum esp_status preprocess(esp_decoder *decoder, const struct job *job, const struct esp_input_info *input,
                                  float *out, struct esp_error *err)
{
    struct esp_planes planes = upright_planes(&job->fit, &input->shape, out);
    struct esp_pixels pixels = {
        .rgb = decoder->pixels.data,
        .width = job->width,
        .height = job->height,
        .extent_x = (double)job->header.width * job->scale.num / job->scale.denom,
        .extent_y = (double)job->header.height * job->scale.num / job->scale.denom,
    };

    if (!esp_resample(&decoder->resampler, &pixels, &job->fit, &planes))
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory for resizing a picture of %ux%u", job->width,
                        job->height);
    esp_normalise(out, input);
    return ESP_OK;
}

/* --- All of it --- */

/* Everything that can be known without decoding. */
static enum esp_status plan(const esp_decoder *decoder, struct job *job, const struct esp_input_info *input,
                            struct esp_image_report *report, struct esp_error *err)
{
    enum esp_status status = check_input(input, err);

    if (status == ESP_OK)
        status = check_bytes(&decoder->limits, job, err);
    if (status == ESP_OK)
        status = esp_jpeg_header_read(&job->header, job->bytes, job->size, err);
    if (status != ESP_OK)
        return status;
    report->width = job->header.width;
    report->height = job->header.height;
    report->orientation = job->header.orientation;
    return check_pixels(&decoder->limits, &job->header, err);
}

static enum esp_status run(esp_decoder *decoder, struct job *job, const struct esp_input_info *input, float *out,
                           struct esp_image_report *report, struct esp_error *err)
{
    double start = esp_clock_seconds(), decoded;
    enum esp_status status = plan(decoder, job, input, report, err);

    if (status != ESP_OK)
        return status;
    esp_fit_picture(&job->fit, job->header.width, job->header.height, job->header.orientation, input->shape.width,
                    input->shape.height);
    choose_scale(job);
    report->decoded_width = job->width;
    report->decoded_height = job->height;
    status = decode(decoder, job, err);
    decoded = esp_clock_seconds();
    report->decode_seconds = decoded - start;
    if (status == ESP_OK)
        status = preprocess(decoder, job, input, out, err);
    report->preprocess_seconds = esp_clock_seconds() - decoded;
    return status;
}

enum esp_status esp_decoder_decode(esp_decoder *decoder, const uint8_t *bytes, size_t size,
                                   const struct esp_input_info *input, float *out, struct esp_image_report *report,
                                   struct esp_error *err)
{
    struct esp_image_report unwanted;
    struct job job = {.bytes = bytes, .size = size};

    if (!report)
        report = &unwanted;
    *report = (struct esp_image_report){.orientation = 1};
    enum esp_status status = run(decoder, &job, input, out, report, err);
    trim(decoder, KEEP_BYTES);
    return status;
}
