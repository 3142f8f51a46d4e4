/* An input of a request, and where its data lies: in the JSON, or in the binary part behind it. Everything points into
 * the request. */
#ifndef SERVER_V2_TENSOR_H
#define SERVER_V2_TENSOR_H

#include "server/v2/cut.h"

struct json_t;

struct tensor {
    const char *name, *datatype;
    size_t shape[V2_DIMENSIONS_MAX], dimensions;
    bool binary;
    const uint8_t *bytes; /* [size], the binary data, or the JSON array */
    size_t size;
    size_t elements; /* of the JSON array */
};

/* The binary part of the body, of which each tensor takes its data in turn. */
struct binary {
    const uint8_t *at;
    size_t left;
};

/* Reads a member of "inputs". Answers and gives false where it is none, or its data is not there. */
bool tensor_read(struct tensor *tensor, const struct json_t *input, const struct cuts *cuts, struct binary *binary,
                 struct response *response);

enum { TENSOR_TEXT_MAX = 160 };

/* Writes "FP32 [1, 3, 64, 64]" to `text`, which has TENSOR_TEXT_MAX bytes; returns it. */
const char *tensor_write(const struct tensor *tensor, char *text);

/* ---- the elements of a tensor of the datatype BYTES ---- */

/* Which shapes there are for n elements, besides [n]. */
enum elements_form {
    ELEMENTS_COLUMN, /* [n, 1]: a batch of n, with one element each */
    ELEMENTS_ROW     /* [1, n]: a batch of one with all of them. [n, 1] would be other elements for each of a batch */
};

struct elements {
    const struct tensor *tensor;
    struct json_t *array; /* of those in JSON: the texts live as long */
    size_t row;           /* of those in JSON that is nested: elements of each row, else 0 */
    const uint8_t *at;    /* of those in binary */
    size_t left;          /* bytes */
    size_t index, count;
};

/* Answers and gives false where the tensor is not BYTES of such a shape, n is more than `most`, or the data has other
 * than n elements. elements_close is due either way. */
bool elements_open(struct elements *elements, const struct tensor *tensor, enum elements_form form, size_t most,
                   struct response *response);
void elements_close(struct elements *elements);

/* Takes the next one, `count` times. Answers and gives false where it is none. With the last one, the data has to be
 * over.
 */
bool elements_next(struct elements *elements, const char **text, size_t *length, struct response *response);

#endif
