/* An array of JSON numbers, read one by one: flat, or nested just as its shape says. Allocates nothing; used by one
 * thread at a time. */
#ifndef SERVER_V2_NUMBERS_H
#define SERVER_V2_NUMBERS_H

#include "server/v2/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct numbers {
    const char *at, *end;
    size_t index, total;               /* the next element; how many there are */
    size_t levels;                     /* of brackets: 1 for a flat array */
    size_t strides[V2_DIMENSIONS_MAX]; /* elements in a bracket of each level */
};

enum numbers_result {
    NUMBERS_TAKEN,
    NUMBERS_NO_NUMBER,  /* something else stands there */
    NUMBERS_OTHER_SHAPE /* there are other brackets than the shape has, or more or fewer numbers */
};

/* `text` is the array, brackets included, and has to live on. No extent of the shape is 0. */
void numbers_open(struct numbers *numbers, const char *text, size_t size, const size_t *shape, size_t dimensions);

/* The next element; to be called no more than `total` times. With the last one, the array has to be over. */
enum numbers_result numbers_next(struct numbers *numbers, double *number);

#endif
