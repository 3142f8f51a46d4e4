#include "server/v2/numbers.h"

#include "server/options_text.h"

#include <string.h>

enum { DIGITS_FAST = 9 };

static void skip_space(struct numbers *numbers)
{
    while (numbers->at < numbers->end && memchr(" \t\n\r", *numbers->at, 4))
        numbers->at++;
}

static bool take(struct numbers *numbers, char character)
{
    skip_space(numbers);
    if (numbers->at == numbers->end || *numbers->at != character)
        return false;
    numbers->at++;
    return true;
}

/* Whether a second bracket follows the first one. */
static bool is_nested(struct numbers numbers)
{
    return take(&numbers, '[') && take(&numbers, '[');
}

void numbers_open(struct numbers *numbers, const char *text, size_t size, const size_t *shape, size_t dimensions)
{
    size_t stride = 1;

    *numbers = (struct numbers){.at = text, .end = text + size, .levels = dimensions};
    for (size_t i = dimensions; i-- > 0;)
        numbers->strides[i] = stride *= shape[i];
    numbers->total = stride;
    if (!is_nested(*numbers))
        numbers->levels = 1; /* the outermost one holds all elements */
}

static bool is_part_of_number(char character)
{
    return (character >= '0' && character <= '9') || character == '.' || character == '-' || character == '+' ||
           character == 'e' || character == 'E';
}

/* JSON has no plus sign before a number and no zeros before other digits. */
static bool is_json_number(const char *text, size_t length)
{
    const char *digits = text + (*text == '-');
    return *text != '+' && !(text + length - digits >= 2 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9');
}

static bool take_number(struct numbers *numbers, double *number)
{
    const char *begin = numbers->at;
    unsigned whole = 0;

    for (; numbers->at < numbers->end && is_part_of_number(*numbers->at); numbers->at++)
        whole = whole * 10 + (unsigned)(*numbers->at - '0'); /* of use only where all are digits */
    size_t length = (size_t)(numbers->at - begin);
    if (length == 0 || !is_json_number(begin, length))
        return false;
    for (size_t i = 0; i < length; i++)
        if (length > DIGITS_FAST || begin[i] < '0' || begin[i] > '9')
            return options_number(begin, length, number);
    *number = whole;
    return true;
}

/* The brackets before the next element, or behind the last one. */
static bool take_brackets(struct numbers *numbers, char bracket)
{
    for (size_t i = numbers->levels; i-- > 0 && numbers->index % numbers->strides[i] == 0;)
        if (!take(numbers, bracket))
            return false;
    return true;
}

static bool take_separator(struct numbers *numbers)
{
    if (numbers->index < numbers->total)
        return take(numbers, ',');
    skip_space(numbers);
    return numbers->at == numbers->end;
}

enum numbers_result numbers_next(struct numbers *numbers, double *number)
{
    if (!take_brackets(numbers, '['))
        return NUMBERS_OTHER_SHAPE;
    skip_space(numbers);
    if (numbers->at < numbers->end && (*numbers->at == '[' || *numbers->at == ']'))
        return NUMBERS_OTHER_SHAPE;
    if (!take_number(numbers, number))
        return NUMBERS_NO_NUMBER;
    numbers->index++;
    return take_brackets(numbers, ']') && take_separator(numbers) ? NUMBERS_TAKEN : NUMBERS_OTHER_SHAPE;
}
