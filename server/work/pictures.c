#include "server/work/pictures.h"

#include "server/base64.h"
#include "server/clock.h"
#include "server/problem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A buffer for base64 that an unusually large picture has blown up further is given back after it. */
enum { KEPT_BYTES_MAX = 4 << 20 };

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "values are taken from the wire as they are in memory");

/* ---- what is wrong with it ---- */

/* "image 3: ", where there are several. */
struct place {
    char text[32];
};

static struct place place_of(const struct pictures *pictures, size_t index)
{
    struct place place = {""};
    if (pictures->count > 1)
        snprintf(place.text, sizeof place.text, "image %zu: ", index);
    return place;
}

static bool refuse(const struct pictures *pictures, size_t index, unsigned status, const char *text,
                   struct response *response)
{
    return problem(response, status, "%s%s", place_of(pictures, index).text, text);
}

static bool refuse_engine(const struct pictures *pictures, size_t index, const struct esp_error *err,
                          struct response *response)
{
    struct esp_error placed = {0};

    esp_fail(&placed, err->status, "%s%s", place_of(pictures, index).text, err->text);
    return problem_engine(response, &placed);
}

/* ---- JPEG ---- */

static bool make_room(struct picture_reader *reader, size_t size)
{
    if (size <= reader->capacity)
        return true;
    free(reader->bytes);
    reader->bytes = malloc(size);
    reader->capacity = reader->bytes ? size : 0;
    return reader->bytes != NULL;
}

/* Replaces base64 text by the bytes it stands for. */
static bool decode_text(struct picture_reader *reader, const struct pictures *pictures, size_t index,
                        struct picture *picture, struct response *response)
{
    size_t size;

    if (!make_room(reader, base64_bytes_max(picture->size)))
        return problem(response, 500, "out of memory");
    if (!base64_decode((const char *)picture->bytes, picture->size, reader->bytes, &size))
        return refuse(pictures, index, 400, "image is not base64: the standard alphabet with padding, without spaces",
                      response);
    *picture = (struct picture){reader->bytes, size};
    return true;
}

static bool read_jpeg(struct picture_reader *reader, const struct pictures *pictures, size_t index,
                      const struct esp_input_info *input, float *out, struct times *times, struct response *response)
{
    struct picture picture = pictures->list[index];
    struct esp_image_report report;
    struct esp_error err = {0};
    uint64_t begin = clock_now();

    if (pictures->form == PICTURE_BASE64 && !decode_text(reader, pictures, index, &picture, response))
        return false;
    times->decode = clock_seconds(begin, clock_now());
    if (esp_decoder_decode(reader->decoder, picture.bytes, picture.size, input, out, &report, &err) != ESP_OK)
        return refuse_engine(pictures, index, &err, response);
    times->decode += report.decode_seconds;
    times->preprocess = report.preprocess_seconds;
    return true;
}

/* ---- pixels and values ---- */

static size_t values_of(const struct esp_input_info *input)
{
    return (size_t)input->shape.channels * input->shape.height * input->shape.width;
}

static bool check_values(const struct pictures *pictures, size_t index, const float *values, size_t count,
                         struct response *response)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabsf(values[i]) <= V2_VALUE_MAX))
            return refuse(pictures, index, 422, "a value is not a number, or too large for a normalised picture",
                          response);
    return true;
}

/* Pixels go through a buffer, as their channels lie apart in the input. */
static bool read_numbers(struct picture_reader *reader, struct pictures *pictures, size_t index, size_t count,
                         float *values, struct response *response)
{
    bool pixels = pictures->form == PICTURE_PIXEL_NUMBERS;

    if (pixels && !make_room(reader, count))
        return problem(response, 500, "out of memory");
    for (size_t i = 0; i < count; i++) {
        double number = 0;
        enum numbers_result result = numbers_next(&pictures->numbers, &number);
        if (result == NUMBERS_OTHER_SHAPE)
            return refuse(pictures, index, 422, "the data is neither flat nor nested as its shape says", response);
        if (result == NUMBERS_NO_NUMBER)
            return refuse(pictures, index, 422, "the data has something that is not a number", response);
        if (pixels && !(number >= 0 && number <= 255 && number == floor(number)))
            return refuse(pictures, index, 422, "a pixel is not a whole number from 0 to 255", response);
        if (pixels)
            reader->bytes[i] = (uint8_t)number;
        else
            values[i] = (float)number;
    }
    return true;
}

static bool read_values(struct picture_reader *reader, struct pictures *pictures, size_t index,
                        const struct esp_input_info *input, float *out, struct times *times, struct response *response)
{
    size_t count = values_of(input);
    uint64_t begin = clock_now();

    if (pictures->form == PICTURE_VALUES)
        memcpy(out, pictures->list[index].bytes, count * sizeof *out);
    else if (!read_numbers(reader, pictures, index, count, out, response))
        return false;
    times->decode = clock_seconds(begin, clock_now());
    return check_values(pictures, index, out, count, response);
}

static bool read_pixels(struct picture_reader *reader, struct pictures *pictures, size_t index,
                        const struct esp_input_info *input, float *out, struct times *times, struct response *response)
{
    const uint8_t *pixels = pictures->form == PICTURE_PIXELS ? pictures->list[index].bytes : NULL;
    uint64_t begin = clock_now();

    if (!pixels) {
        if (!read_numbers(reader, pictures, index, values_of(input), NULL, response))
            return false;
        pixels = reader->bytes;
    }
    uint64_t read = clock_now();
    esp_image_from_pixels(pixels, input, out);
    times->decode = clock_seconds(begin, read);
    times->preprocess = clock_seconds(read, clock_now());
    return true;
}

bool picture_read(struct picture_reader *reader, struct pictures *pictures, size_t index,
                  const struct esp_input_info *input, float *out, struct times *times, struct response *response)
{
    switch (pictures->form) {
    case PICTURE_JPEG:
    case PICTURE_BASE64: return read_jpeg(reader, pictures, index, input, out, times, response);
    case PICTURE_PIXELS:
    case PICTURE_PIXEL_NUMBERS: return read_pixels(reader, pictures, index, input, out, times, response);
    case PICTURE_VALUES:
    case PICTURE_VALUE_NUMBERS: return read_values(reader, pictures, index, input, out, times, response);
    }
    return problem(response, 500, "a picture has no form");
}

/* ---- life ---- */

enum esp_status picture_reader_open(struct picture_reader *reader, const struct esp_image_limits *limits,
                                    struct esp_error *err)
{
    *reader = (struct picture_reader){0};
    return esp_decoder_create(&reader->decoder, limits, err);
}

void picture_reader_trim(struct picture_reader *reader)
{
    if (reader->capacity <= KEPT_BYTES_MAX)
        return;
    free(reader->bytes);
    reader->bytes = NULL;
    reader->capacity = 0;
}

void picture_reader_close(struct picture_reader *reader)
{
    esp_decoder_destroy(&reader->decoder);
    free(reader->bytes);
    *reader = (struct picture_reader){0};
}
