#include "server/spoken.h"

#include "server/options_text.h"
#include "server/problem.h"

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

enum esp_status spoken_read(const struct spoken *spoken, struct options *options, struct esp_error *err)
{
    struct response response = {0};
    char text[ESP_ERROR_TEXT];
    bool good = true;

    options_begin(options, UINT64_MAX);
    for (size_t i = 0; good && i < spoken->count; i++)
        good = options_text(options, &spoken->said[i], &response);
    good = good && options_finish(options, &response);
    if (!good)
        problem_text(&response, text, sizeof text);
    response_clear(&response);
    return good ? ESP_OK : esp_fail(err, ESP_ERROR_ARGUMENT, "%s", text);
}
