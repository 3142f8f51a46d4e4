#include "server/http/trace.h"

#include "server/http/random_hex.h"

#include <stdio.h>
#include <string.h>

/* Where the parts of a traceparent begin. */
enum { VERSION_AT = 0, TRACE_AT = 3, PARENT_AT = 36, FLAGS_AT = 53 };

/* Upper-case digits are none here, as the standard has it. */
static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_hex(const char *text, size_t digits)
{
    for (size_t i = 0; i < digits; i++)
        if (digit_value(text[i]) < 0)
            return false;
    return true;
}

static bool all_zero(const char *text, size_t digits)
{
    for (size_t i = 0; i < digits; i++)
        if (text[i] != '0')
            return false;
    return true;
}

static bool is_id(const char *text, size_t digits)
{
    return is_hex(text, digits) && !all_zero(text, digits);
}

static bool version_fits(const char *text, size_t length)
{
    if (!is_hex(text + VERSION_AT, 2) || !memcmp(text + VERSION_AT, "ff", 2))
        return false;
    if (length == TRACEPARENT_LENGTH)
        return true;
    return memcmp(text + VERSION_AT, "00", 2) && text[TRACEPARENT_LENGTH] == '-';
}

static bool is_valid(const char *text, size_t length)
{
    return text && length >= TRACEPARENT_LENGTH && version_fits(text, length) && text[TRACE_AT - 1] == '-' &&
           is_id(text + TRACE_AT, TRACE_ID_DIGITS) && text[PARENT_AT - 1] == '-' &&
           is_id(text + PARENT_AT, SPAN_ID_DIGITS) && text[FLAGS_AT - 1] == '-' && is_hex(text + FLAGS_AT, 2);
}

static void make_id(char *id, size_t digits)
{
    do
        random_hex(id, digits);
    while (all_zero(id, digits)); /* not a name, says the standard */
}

void trace_take(struct trace *trace, const char *offered, size_t length)
{
    *trace = (struct trace){0};
    make_id(trace->span_id, SPAN_ID_DIGITS);
    if (!is_valid(offered, length)) {
        make_id(trace->trace_id, TRACE_ID_DIGITS);
        return;
    }
    memcpy(trace->trace_id, offered + TRACE_AT, TRACE_ID_DIGITS);
    memcpy(trace->parent_span_id, offered + PARENT_AT, SPAN_ID_DIGITS);
    /* The other flags have no meaning yet; the standard wants them passed on as 0. */
    trace->sampled = digit_value(offered[FLAGS_AT + 1]) & 1;
}

void trace_write(const struct trace *trace, char text[TRACEPARENT_LENGTH + 1])
{
    snprintf(text, TRACEPARENT_LENGTH + 1, "00-%s-%s-%s", trace->trace_id, trace->span_id,
             trace->sampled ? "01" : "00");
}
