#include "server/options_text.h"

#include "server/problem.h"

#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 64 };

/* An element of a comma-separated list. */
struct item {
    const char *text;
    size_t length;
};

/* Cuts the first element off `rest`; `rest->text` is NULL after the last. */
static struct item next_item(struct item *rest)
{
    const char *comma = memchr(rest->text, ',', rest->length);
    struct item item = {rest->text, comma ? (size_t)(comma - rest->text) : rest->length};

    rest->text = comma ? comma + 1 : NULL;
    rest->length -= comma ? item.length + 1 : item.length;
    return item;
}

static const char *skip_digits(const char *at)
{
    return at + strspn(at, "0123456789");
}

/* The grammar of JSON's numbers, but for a plus sign and leading zeros. */
static bool looks_like_number(const char *text)
{
    const char *whole = text + (*text == '-' || *text == '+'), *at = skip_digits(whole);

    if (at == whole)
        return false;
    if (*at == '.') {
        const char *fraction = at + 1;
        at = skip_digits(fraction);
        if (at == fraction)
            return false;
    }
    if (*at == 'e' || *at == 'E') {
        const char *exponent = at + 1 + (at[1] == '-' || at[1] == '+');
        at = skip_digits(exponent);
        if (at == exponent)
            return false;
    }
    return *at == '\0';
}

bool options_number(const char *text, size_t length, double *number)
{
    char copy[NUMBER_MAX];

    if (length >= sizeof copy || memchr(text, '\0', length))
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (!looks_like_number(copy))
        return false;
    *number = strtod(copy, NULL); /* the program never leaves the C locale */
    return true;
}

static bool read_categories(struct options *options, struct item rest, struct response *response)
{
    while (rest.text) {
        struct item name = next_item(&rest);
        if (name.length == 0)
            return problem(response, 422, "categories has an empty name; write names and commas, as in cat,dog");
        if (!options_select(options, name.text, name.length, response))
            return false;
    }
    return true;
}

bool options_weight_text(struct options *options, const char *text, size_t length, struct response *response)
{
    const char *colon = memchr(text, ':', length);
    size_t name = colon ? (size_t)(colon - text) : 0;
    double weight;

    if (name == 0)
        return problem(response, 422, "attention takes a weight behind each name, as in cat:2.0");
    if (!options_number(colon + 1, length - name - 1, &weight))
        return problem(response, 422, "the attention weight of '%.*s' is not a number", (int)(name < 64 ? name : 64),
                       text);
    return options_attend(options, text, name, weight, response);
}

/* An empty text is no weight at all, as {} in JSON. */
static bool read_attention(struct options *options, struct item rest, struct response *response)
{
    while (rest.text && rest.length) {
        struct item item = next_item(&rest);
        if (!options_weight_text(options, item.text, item.length, response))
            return false;
    }
    return true;
}

/* Digits only. What is too large for 64 bits is the largest number: "more than there are means all". */
static bool read_whole(struct item item, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < item.length; i++) {
        if (item.text[i] < '0' || item.text[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(item.text[i] - '0');
        *number = *number > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *number * 10 + digit;
    }
    return item.length > 0;
}

static bool is(struct item item, const char *word)
{
    return strlen(word) == item.length && !memcmp(word, item.text, item.length);
}

static bool read_groups(struct options *options, struct item item, struct response *response)
{
    options->groups = is(item, "true");
    return options->groups || is(item, "false") || problem(response, 422, "groups has to be true or false");
}

/* `word:number`, as in beam:2; 0, which no such option takes, for anything else. */
static uint64_t read_named(struct item item, const char *word)
{
    size_t length = strlen(word);
    uint64_t number;

    if (item.length <= length || memcmp(item.text, word, length) || item.text[length] != ':')
        return 0;
    return read_whole((struct item){item.text + length + 1, item.length - length - 1}, &number) ? number : 0;
}

bool options_text(struct options *options, const struct field *field, struct response *response)
{
    struct item item = {field->value, field->length};
    enum option_id option;
    uint64_t number = 0;

    if (!options_name(options, field->name, field->name_length, &option, response))
        return false;
    if (memchr(item.text, '\0', item.length))
        return problem(response, 422, "an option's text must not have a NUL character");
    switch (option) {
    case OPTION_CATEGORIES: return read_categories(options, item, response);
    case OPTION_ATTENTION: return read_attention(options, item, response);
    case OPTION_GROUPS: return read_groups(options, item, response);
    case OPTION_SEARCH: return options_beam(options, read_named(item, "beam"), "beam:2", response);
    case OPTION_BUDGET: return options_budget(options, read_named(item, "macs"), "macs:90000000", response);
    case OPTION_MODEL: return options_model(options, item.text, item.length, response);
    case OPTION_TOP: return options_top(options, read_whole(item, &number) ? number : 0, response);
    case OPTION_TIMEOUT_MS: return options_timeout(options, read_whole(item, &number) ? number : 0, response);
    case OPTIONS: break;
    }
    return false;
}
