/* The limits of the Open Inference Protocol's room, all in one place. How large a body may be, how much may wait and
 * how long are settings, as for any request. */
#ifndef SERVER_V2_LIMITS_H
#define SERVER_V2_LIMITS_H

#include "espalier/limits.h"

enum {
    V2_IMAGES_MAX = 64,           /* pictures of one request */
    V2_NAMES_MAX = ESP_NODES_MAX, /* elements of the inputs "categories" and "attention" */
    V2_INPUTS_MAX = 8,            /* inputs of one request, before it is known that there are fewer */
    V2_DIMENSIONS_MAX = 4,        /* of a tensor */
    V2_HEADER_MAX = 256 << 10     /* bytes of the request's JSON without the data of its inputs */
};

#define V2_VALUE_MAX 1e6f /* a normalised value; those of pictures are below 10 */

#endif
