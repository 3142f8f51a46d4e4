/* The pictures of a request, and how they become a network's input: decoded from JPEG, or taken as pixels or as values
 * that are normalised already. */
#ifndef SERVER_WORK_PICTURES_H
#define SERVER_WORK_PICTURES_H

#include "espalier/image.h"
#include "server/http/exchange.h"
#include "server/times.h"
#include "server/v2/numbers.h"

enum picture_form {
    PICTURE_JPEG,          /* a file */
    PICTURE_BASE64,        /* base64 text of one */
    PICTURE_PIXELS,        /* [height][width][3] bytes, just of the network's size */
    PICTURE_VALUES,        /* [3][height][width] floats, normalised, the least byte first; at any address */
    PICTURE_PIXEL_NUMBERS, /* pixels as JSON numbers */
    PICTURE_VALUE_NUMBERS  /* values as JSON numbers */
};

struct picture {
    const uint8_t *bytes;
    size_t size;
};

/* All of one form; they point into the exchange or the document of their job. */
struct pictures {
    enum picture_form form;
    size_t count;
    struct picture list[V2_IMAGES_MAX]; /* [count], but for those in JSON numbers */
    struct numbers numbers;             /* of all those, one picture after the other */
};

/* What a desk reads pictures with. It keeps buffers, and nothing else, from one picture to the next. One that is all
 * zero is closed. */
struct picture_reader {
    esp_decoder *decoder;
    uint8_t *bytes; /* [capacity], a decoded base64 text */
    size_t capacity;
};

enum esp_status picture_reader_open(struct picture_reader *reader, const struct esp_image_limits *limits,
                                    struct esp_error *err);
void picture_reader_close(struct picture_reader *reader);

/* Writes the input of picture `index`, [3, height, width] of `input->shape`, to `out`, and its times. Pictures in JSON
 * numbers are to be read in their order, each once. Answers with a problem, which says which of several pictures it is,
 * and gives false where it cannot be read. */
bool picture_read(struct picture_reader *reader, struct pictures *pictures, size_t index,
                  const struct esp_input_info *input, float *out, struct times *times, struct response *response);

/* Gives back buffers that an unusually large picture has blown up. */
void picture_reader_trim(struct picture_reader *reader);

#endif
