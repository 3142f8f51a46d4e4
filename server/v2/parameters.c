#include "server/v2/parameters.h"

#include "server/problem.h"

#include <jansson.h>
#include <string.h>

bool parameter_is_foreign(const char *name)
{
    /* What Triton keeps for itself, and its clients send: to stateful networks, to a queue with priorities (the timeout
     * there is one of microseconds), and headers that went through a gateway. */
    static const char *const foreign[] = {"sequence_id", "sequence_start", "sequence_end", "priority",
                                          "timeout",     "headers",        "content_type" /* MLServer's */};
    static const char reserved[] = "triton_"; /* likewise, with whatever follows */

    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (!strcmp(foreign[i], name))
            return true;
    return !strncmp(reserved, name, sizeof reserved - 1);
}

bool parameters_check(json_t *parameters, const char *known, const char *what, const char *name,
                      struct response *response)
{
    const char *each;
    json_t *value;

    if (parameters && !json_is_object(parameters))
        return problem(response, 422, "the parameters of the %s '%.64s' have to be an object", what, name);
    json_object_foreach(parameters, each, value)
    {
        if (strcmp(each, known) && !parameter_is_foreign(each))
            return problem(response, 422, "the %s '%.64s' cannot have a parameter '%.64s'; it may have %s", what, name,
                           each, known);
    }
    return true;
}
