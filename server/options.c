#include "server/options.h"

#include "espalier/limits.h"
#include "server/problem.h"

#include <string.h>

enum { TOP_DEFAULT = 5, QUOTE_MAX = 64 };

#define NUMBER_MAX ((uint64_t)INT64_MAX) /* of what is repeated in an answer; more than there are means all */

static const char *const names[OPTIONS] = {
    [OPTION_CATEGORIES] = "categories", [OPTION_ATTENTION] = "attention",   [OPTION_TOP] = "top",
    [OPTION_GROUPS] = "groups",         [OPTION_SEARCH] = "search",         [OPTION_BUDGET] = "budget",
    [OPTION_MODEL] = "model",           [OPTION_TIMEOUT_MS] = "timeout_ms",
};

/* How much of a client's text an answer repeats. */
static int quoted(size_t length)
{
    return length < QUOTE_MAX ? (int)length : QUOTE_MAX;
}

void options_begin(struct options *options, uint64_t timeout_ms)
{
    esp_cutout_reset(options->cutout);
    options->seen = 0;
    options->top = TOP_DEFAULT;
    options->timeout_ms = timeout_ms;
    options->groups = false;
}

bool options_name(struct options *options, const char *name, size_t length, enum option_id *option,
                  struct response *response)
{
    for (int i = 0; i < OPTIONS; i++) {
        if (strlen(names[i]) != length || memcmp(names[i], name, length))
            continue;
        if (options->seen & 1u << i)
            return problem(response, 422, "the option %s is given twice", names[i]);
        options->seen |= 1u << i;
        *option = (enum option_id)i;
        return true;
    }
    return problem(response, 422,
                   "there is no option '%.*s'; there are categories, attention, top, groups, search, budget, model and "
                   "timeout_ms",
                   quoted(length), name);
}

static bool unknown_name(struct options *options, const char *name, size_t length, const struct esp_error *err,
                         struct response *response)
{
    const esp_model *model = esp_cutout_model(options->cutout);
    const char *paths[ESP_SUGGESTIONS_MAX];
    size_t nodes[ESP_SUGGESTIONS_MAX], count = esp_model_suggest(model, name, length, nodes);

    for (size_t i = 0; i < count; i++)
        paths[i] = esp_model_node(model, nodes[i])->path;
    return problem_suggest(response, 422, err->text, paths, count);
}

/* What the engine said about a name or its weight. */
static bool judge(struct options *options, const char *name, size_t length, const struct esp_error *err,
                  struct response *response)
{
    if (err->status == ESP_OK)
        return true;
    if (err->status == ESP_ERROR_UNKNOWN_NAME)
        return unknown_name(options, name, length, err, response);
    return problem_engine(response, err);
}

bool options_select(struct options *options, const char *name, size_t length, struct response *response)
{
    struct esp_error err = {0};

    esp_cutout_select(options->cutout, name, length, &err);
    return judge(options, name, length, &err, response);
}

bool options_attend(struct options *options, const char *name, size_t length, double weight, struct response *response)
{
    struct esp_error err = {0};

    esp_cutout_attend(options->cutout, name, length, weight, &err);
    return judge(options, name, length, &err, response);
}

bool options_beam(struct options *options, uint64_t branches, const char *example, struct response *response)
{
    esp_cutout_beam(options->cutout, (size_t)(branches < NUMBER_MAX ? branches : NUMBER_MAX));
    return branches >= 1 || problem(response, 422,
                                    "search has to say how many branches of each level it goes on with: a beam from 1, "
                                    "as in %s",
                                    example);
}

bool options_budget(struct options *options, uint64_t macs, const char *example, struct response *response)
{
    esp_cutout_budget(options->cutout, macs < NUMBER_MAX ? macs : NUMBER_MAX);
    return macs >= 1 || problem(response, 422, "budget has to be a whole number of MACs from 1, as in %s", example);
}

bool options_top(struct options *options, uint64_t top, struct response *response)
{
    options->top = top;
    return top >= 1 || problem(response, 422, "top has to be a whole number from 1");
}

bool options_model(struct options *options, const char *name, size_t length, struct response *response)
{
    const char *ours = esp_model_info(esp_cutout_model(options->cutout))->name;

    if (strlen(ours) == length && !memcmp(ours, name, length))
        return true;
    return problem(response, 404, "there is no model '%.*s'; there is '%s'", quoted(length), name, ours);
}

bool options_timeout(struct options *options, uint64_t timeout_ms, struct response *response)
{
    if (timeout_ms < options->timeout_ms)
        options->timeout_ms = timeout_ms;
    return timeout_ms >= 1 || problem(response, 422, "timeout_ms has to be a whole number from 1");
}

bool options_finish(struct options *options, struct response *response)
{
    struct esp_error err = {0};

    esp_cutout_groups(options->cutout, options->groups);
    if (esp_cutout_close(options->cutout, &err) == ESP_OK)
        return true;
    return problem_engine(response, &err);
}
