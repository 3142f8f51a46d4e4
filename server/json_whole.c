#include "server/json_whole.h"

#include <jansson.h>
#include <math.h>

/* Every double from 2^53 on is a whole number, perhaps not to the last digit the one that was written. */
static bool whole_real(double real, uint64_t *number)
{
    if (!(real >= 0) || floor(real) != real)
        return false;
    *number = real < 0x1p63 ? (uint64_t)real : (uint64_t)INT64_MAX;
    return true;
}

bool json_whole(const json_t *value, uint64_t *number)
{
    if (json_is_real(value))
        return whole_real(json_real_value(value), number);
    *number = (uint64_t)json_integer_value(value);
    return json_is_integer(value) && json_integer_value(value) >= 0;
}
