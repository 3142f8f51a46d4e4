#include "server/options_json.h"

#include "server/json_whole.h"
#include "server/problem.h"

#include <jansson.h>
#include <string.h>

static bool malformed(const json_error_t *error, struct response *response)
{
    switch (json_error_code(error)) {
    case json_error_duplicate_key:
        return problem(response, 422, "a member of the JSON is given twice: %s", error->text);
    case json_error_null_character: return problem(response, 422, "a text in the JSON has a NUL character");
    case json_error_numeric_overflow: return problem(response, 422, "a number in the JSON is too large");
    case json_error_out_of_memory: return problem(response, 500, "out of memory");
    default: return problem(response, 400, "malformed JSON at line %d: %s", error->line, error->text);
    }
}

bool document_open(struct document *document, const void *text, size_t size, struct response *response)
{
    json_error_t error;

    *document = (struct document){.root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error)};
    if (!document->root)
        return malformed(&error, response);
    if (json_is_object(document->root))
        return true;
    document_close(document);
    return problem(response, 400, "the JSON has to be an object");
}

void document_close(struct document *document)
{
    json_decref(document->taken);
    json_decref(document->root);
    *document = (struct document){0};
}

bool document_take_text(struct document *document, const char *name, const char **text, size_t *length,
                        struct response *response)
{
    json_t *member = json_object_get(document->root, name);

    *text = json_string_value(member);
    *length = json_string_length(member);
    if (!member)
        return true;
    if (!*text)
        return problem(response, 422, "%s has to be a string", name);
    document_keep(document, member);
    json_object_del(document->root, name);
    return true;
}

void document_keep(struct document *document, json_t *value)
{
    document->taken = json_incref(value);
}

const char *document_text(const struct document *document, const char *name, size_t *length)
{
    const json_t *member = json_object_get(document->root, name);
    *length = json_string_length(member);
    return json_string_value(member);
}

static bool read_categories(struct options *options, const json_t *value, struct response *response)
{
    if (!json_is_array(value) || json_array_size(value) == 0)
        return problem(response, 422, "categories has to be an array of names, not an empty one");
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *name = json_array_get(value, i);
        if (!json_is_string(name))
            return problem(response, 422, "categories has to be an array of names");
        if (!options_select(options, json_string_value(name), json_string_length(name), response))
            return false;
    }
    return true;
}

static bool read_attention(struct options *options, json_t *value, struct response *response)
{
    const char *name;
    json_t *weight;

    if (!json_is_object(value))
        return problem(response, 422, "attention has to be an object of names and weights");
    json_object_foreach(value, name, weight)
    {
        if (!json_is_number(weight))
            return problem(response, 422, "the attention weight of '%.64s' is not a number", name);
        if (!options_attend(options, name, strlen(name), json_number_value(weight), response))
            return false;
    }
    return true;
}

static bool read_groups(struct options *options, const json_t *value, struct response *response)
{
    options->groups = json_is_true(value);
    return json_is_boolean(value) || problem(response, 422, "groups has to be true or false");
}

static bool read_model(struct options *options, const json_t *value, struct response *response)
{
    if (!json_is_string(value))
        return problem(response, 422, "model has to be a string");
    return options_model(options, json_string_value(value), json_string_length(value), response);
}

/* 0, which no option takes, for anything but a positive whole number. */
static uint64_t whole(const json_t *value)
{
    uint64_t number;
    return json_whole(value, &number) ? number : 0;
}

/* The whole number of an object with this one member; 0, which no such option takes, for anything else. */
static uint64_t only(const json_t *value, const char *name)
{
    return json_object_size(value) == 1 ? whole(json_object_get(value, name)) : 0;
}

static bool read_member(struct options *options, enum option_id option, json_t *value, struct response *response)
{
    switch (option) {
    case OPTION_CATEGORIES: return read_categories(options, value, response);
    case OPTION_ATTENTION: return read_attention(options, value, response);
    case OPTION_GROUPS: return read_groups(options, value, response);
    case OPTION_SEARCH: return options_beam(options, only(value, "beam"), "{\"search\": {\"beam\": 2}}", response);
    case OPTION_BUDGET:
        return options_budget(options, only(value, "macs"), "{\"budget\": {\"macs\": 90000000}}", response);
    case OPTION_MODEL: return read_model(options, value, response);
    case OPTION_TOP: return options_top(options, whole(value), response);
    case OPTION_TIMEOUT_MS: return options_timeout(options, whole(value), response);
    case OPTIONS: break;
    }
    return false;
}

bool document_options(const struct document *document, struct options *options, struct response *response)
{
    const char *name;
    json_t *value;

    json_object_foreach(document->root, name, value)
    {
        enum option_id option;
        if (!options_name(options, name, strlen(name), &option, response) ||
            !read_member(options, option, value, response))
            return false;
    }
    return true;
}
