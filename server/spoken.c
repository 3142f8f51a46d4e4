#include "server/spoken.h"

#include "server/options_text.h"

#include <string.h>

void spoken_say(struct spoken *spoken, const char *name, const char *value)
{
    size_t i = 0;

    while (i < spoken->count && strcmp(spoken->said[i].name, name) != 0)
        i++;
    if (i == spoken->count)
        spoken->count++;
    spoken->said[i] = (struct field){name, strlen(name), value, strlen(value)};
}

bool spoken_read(const struct spoken *spoken, struct options *options, struct response *response)
{
    bool good = true;

    options_begin(options, UINT64_MAX);
    for (size_t i = 0; good && i < spoken->count; i++)
        good = options_text(options, &spoken->said[i], response);
    return good && options_finish(options, response);
}
