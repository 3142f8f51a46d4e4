/* What a request made the engine do, beside what the whole network would have been. */
#ifndef ESPALIER_COST_H
#define ESPALIER_COST_H

#include <stddef.h>
#include <stdint.h>

struct esp_cost {
    uint64_t macs, parameters; /* of the executed segments and heads */
    size_t branches;           /* nodes that ran, without the trunk */
    size_t categories;         /* scores that came out */
};

#endif
