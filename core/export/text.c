#include "core/export/text.h"

#include "core/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_WIDTH = 240 };

/* As json_dump_callback asks for it: 0 for good. */
static int append(const char *bytes, size_t size, void *context)
{
    struct esp_text *text = context;

    if (text->length + size > text->room) {
        size_t room = 2 * text->room + size + 256;
        char *grown = esp_alloc(room, 1);
        if (!grown) {
            text->failed = true;
            return -1;
        }
        if (text->length)
            memcpy(grown, text->bytes, text->length);
        esp_free(text->bytes);
        text->bytes = grown;
        text->room = room;
    }
    memcpy(text->bytes + text->length, bytes, size);
    text->length += size;
    return 0;
}

static void append_string(struct esp_text *text, const char *string)
{
    append(string, strlen(string), text);
}

/* The fewest digits that read back as the same number; for 10 not as 1e1. */
static size_t digits(double number)
{
    char written[32];

    for (int count = 1; count < 17; count++) {
        snprintf(written, sizeof written, "%.*g", count, number);
        if (strtod(written, NULL) == number && !strstr(written, "e+"))
            return (size_t)count;
    }
    return 17;
}

static void write_plain(struct esp_text *text, const json_t *value)
{
    size_t precision = json_is_real(value) ? digits(json_real_value(value)) : 0;

    if (json_dump_callback(value, append, text, JSON_ENCODE_ANY | JSON_REAL_PRECISION(precision)) != 0)
        text->failed = true;
}

static void write_name(struct esp_text *text, const char *name)
{
    json_t *string = json_string(name);

    write_plain(text, string);
    json_decref(string);
    append_string(text, ": ");
}

static void write_value(struct esp_text *text, const json_t *value, size_t depth, bool line);

static void begin_line(struct esp_text *text, size_t depth)
{
    append_string(text, "\n");
    while (depth-- > 0)
        append_string(text, " ");
}

/* What stands before a member of an object or a list: all on this line, or each on one of its own. */
static void begin_member(struct esp_text *text, bool first, size_t depth, bool line)
{
    if (!first)
        append_string(text, line ? ", " : ",");
    if (!line)
        begin_line(text, depth + 1);
}

static void write_object(struct esp_text *text, json_t *object, size_t depth, bool line)
{
    bool first = true;
    const char *name;
    json_t *member;

    append_string(text, "{");
    json_object_foreach(object, name, member)
    {
        begin_member(text, first, depth, line);
        first = false;
        write_name(text, name);
        write_value(text, member, depth + 1, line);
    }
    if (!line)
        begin_line(text, depth);
    append_string(text, "}");
}

static void write_list(struct esp_text *text, const json_t *list, size_t depth, bool line)
{
    append_string(text, "[");
    for (size_t i = 0; i < json_array_size(list); i++) {
        begin_member(text, i == 0, depth, line);
        write_value(text, json_array_get(list, i), depth + 1, line);
    }
    if (!line)
        begin_line(text, depth);
    append_string(text, "]");
}

static void write_members(struct esp_text *text, const json_t *value, size_t depth, bool line)
{
    if (json_is_object(value))
        write_object(text, (json_t *)value, depth, line);
    else if (json_is_array(value))
        write_list(text, value, depth, line);
    else
        write_plain(text, value);
}

/* Whether a value holds, at any depth, a list of several objects. */
static bool has_rows(const json_t *value)
{
    size_t objects = 0;
    const char *name;
    json_t *member;

    json_object_foreach((json_t *)value, name, member) if (has_rows(member)) return true;
    for (size_t i = 0; i < json_array_size(value); i++) {
        objects += json_is_object(json_array_get(value, i));
        if (objects > 1 || has_rows(json_array_get(value, i)))
            return true;
    }
    return false;
}

/* `line`: what it stands in is on one line already. */
static void write_value(struct esp_text *text, const json_t *value, size_t depth, bool line)
{
    size_t begin = text->length;

    if (line || !has_rows(value)) {
        write_members(text, value, depth, true);
        if (line || depth + text->length - begin <= LINE_WIDTH || !(json_is_object(value) || json_is_array(value)))
            return;
        text->length = begin; /* too long */
    }
    write_members(text, value, depth, false);
}

void esp_text_json(struct esp_text *text, const json_t *value)
{
    write_value(text, value, 0, false);
    append_string(text, "\n");
}
