#include "server/log/log_line.h"

#include <math.h>
#include <string.h>

enum {
    TAIL = 2,          /* the closing brace and the newline */
    NUMBER_MAX = 24,   /* a number's digits, sign and point */
    CHARACTER_MAX = 6, /* a character as \uXXXX */
    TEXT_LEAST = 32    /* with less room, a text is not begun */
};

static const double REAL_MAX = 1e15;
static const char ellipsis[] = "\xe2\x80\xa6", replacement[] = "\xef\xbf\xbd";

/* What is written so far, and where it has to stop. */
struct pen {
    char *at, *end;
    bool json;
};

static void put(struct pen *pen, const char *bytes, size_t size)
{
    memcpy(pen->at, bytes, size);
    pen->at += size;
}

static void put_text(struct pen *pen, const char *text)
{
    put(pen, text, strlen(text));
}

static void put_char(struct pen *pen, char c)
{
    *pen->at++ = c;
}

/* ---- numbers: printf would take most of a line's time ---- */

static void put_digits(struct pen *pen, uint64_t number, int least)
{
    char digits[NUMBER_MAX];
    int count = 0;

    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0 || count < least);
    while (count > 0)
        put_char(pen, digits[--count]);
}

static void put_real(struct pen *pen, double real)
{
    if (!(fabs(real) < REAL_MAX)) {
        put_text(pen, "null");
        return;
    }
    uint64_t thousandths = (uint64_t)llround(fabs(real) * 1000);
    if (signbit(real) && thousandths > 0)
        put_char(pen, '-');
    put_digits(pen, thousandths / 1000, 1);
    put_char(pen, '.');
    put_digits(pen, thousandths % 1000, 3);
}

/* RFC 3339. */
static void put_time(struct pen *pen, const struct timespec *when)
{
    struct tm tm;

    gmtime_r(&when->tv_sec, &tm);
    put_digits(pen, (uint64_t)tm.tm_year + 1900, 4);
    put_char(pen, '-');
    put_digits(pen, (uint64_t)tm.tm_mon + 1, 2);
    put_char(pen, '-');
    put_digits(pen, (uint64_t)tm.tm_mday, 2);
    put_char(pen, 'T');
    put_digits(pen, (uint64_t)tm.tm_hour, 2);
    put_char(pen, ':');
    put_digits(pen, (uint64_t)tm.tm_min, 2);
    put_char(pen, ':');
    put_digits(pen, (uint64_t)tm.tm_sec, 2);
    put_char(pen, '.');
    put_digits(pen, (uint64_t)when->tv_nsec / 1000000, 3);
    put_char(pen, 'Z');
}

/* ---- texts ---- */

/* Reads the character that begins at `text`, which ends with 0, and gives how many bytes it takes; 0 where they are no
 * UTF-8 (RFC 3629: nothing overlong, no halves of surrogate pairs, nothing over U+10FFFF). */
static size_t read_character(const unsigned char *text, uint32_t *character)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = *text < 0x80 ? 1 : *text >> 5 == 6 ? 2 : *text >> 4 == 14 ? 3 : *text >> 3 == 30 ? 4 : 0;

    if (length == 0)
        return 0;
    *character = length == 1 ? *text : *text & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (text[i] >> 6 != 2) /* the 0 at the end is not, either */
            return 0;
        *character = *character << 6 | (text[i] & 0x3f);
    }
    bool valid = *character >= least[length] && *character <= 0x10ffff && *character >> 11 != 0xd800 >> 11;
    return valid ? length : 0;
}

/* Controls, separators of lines, and what turns the direction of writing around: a terminal would obey them. */
static bool is_dangerous(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || (c >= 0x200e && c <= 0x200f) ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static void put_escape(struct pen *pen, uint32_t c)
{
    static const char digit[] = "0123456789abcdef";

    if (c == '\n')
        put_text(pen, "\\n");
    else if (c == '\t')
        put_text(pen, "\\t");
    else {
        put_text(pen, "\\u");
        for (int shift = 12; shift >= 0; shift -= 4)
            put_char(pen, digit[c >> shift & 15]);
    }
}

/* Writes one character and gives how many bytes of `text` it was. */
static size_t put_character(struct pen *pen, const unsigned char *text)
{
    uint32_t c = 0;
    size_t length = read_character(text, &c);

    if (length == 0) {
        put_text(pen, replacement);
        return 1;
    }
    if (is_dangerous(c))
        put_escape(pen, c);
    else {
        if (c == '"' || c == '\\')
            put_char(pen, '\\');
        put(pen, (const char *)text, length);
    }
    return length;
}

/* Writes at most `room` bytes. */
static void put_escaped(struct pen *pen, const char *text, size_t room)
{
    const char *end = pen->at + room - CHARACTER_MAX - strlen(ellipsis);

    while (*text && pen->at < end)
        text += put_character(pen, (const unsigned char *)text);
    if (*text)
        put_text(pen, ellipsis);
}

/* Whether a value can stand in a line of text as it is, in `room` bytes. */
static bool is_word(const char *text, size_t room)
{
    size_t length = 0;

    for (; text[length]; length++) {
        char c = text[length];
        if (length == room || c <= ' ' || c > '~' || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return length > 0;
}

static void put_value(struct pen *pen, const char *text)
{
    size_t room = (size_t)(pen->end - pen->at) - 2; /* between the quotes */

    if (room > LOG_VALUE_MAX)
        room = LOG_VALUE_MAX;
    if (!pen->json && is_word(text, room)) {
        put_text(pen, text);
        return;
    }
    put_char(pen, '"');
    put_escaped(pen, text, room);
    put_char(pen, '"');
}

/* ---- fields ---- */

static bool fits(const struct pen *pen, const struct log_field *field)
{
    size_t value = field->type == LOG_TYPE_TEXT ? TEXT_LEAST : NUMBER_MAX;
    return (size_t)(pen->end - pen->at) >= strlen(field->name) + strlen(",\"\":") + value;
}

static void put_name(struct pen *pen, const char *name)
{
    put_text(pen, pen->json ? ",\"" : " ");
    put_text(pen, name);
    put_text(pen, pen->json ? "\":" : "=");
}

static void put_field(struct pen *pen, const struct log_field *field)
{
    if ((field->type == LOG_TYPE_TEXT && !field->value.text) || !fits(pen, field))
        return;
    put_name(pen, field->name);
    switch (field->type) {
    case LOG_TYPE_TEXT: put_value(pen, field->value.text); break;
    case LOG_TYPE_NUMBER: put_digits(pen, field->value.number, 1); break;
    case LOG_TYPE_REAL: put_real(pen, field->value.real); break;
    case LOG_TYPE_BOOL: put_text(pen, field->value.truth ? "true" : "false"); break;
    }
}

static void begin_text(struct pen *pen, const struct timespec *when, enum log_level level, const char *message)
{
    static const char *const names[] = {"debug ", "info  ", "warn  ", "error "};

    put_time(pen, when);
    put_char(pen, ' ');
    put_text(pen, names[level]);
    put_escaped(pen, message, LOG_VALUE_MAX);
}

static void begin_json(struct pen *pen, const struct timespec *when, enum log_level level, const char *message)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};

    put_text(pen, "{\"time\":\"");
    put_time(pen, when);
    put_text(pen, "\",\"level\":\"");
    put_text(pen, names[level]);
    put_text(pen, "\",\"message\":\"");
    put_escaped(pen, message, LOG_VALUE_MAX);
    put_char(pen, '"');
}

size_t log_line_write(char line[LOG_LINE_MAX], enum log_format format, const struct timespec *when,
                      enum log_level level, const char *message, const struct log_field *fields, size_t count)
{
    struct pen pen = {line, line + LOG_LINE_MAX - TAIL, format == LOG_FORMAT_JSON};

    if (pen.json)
        begin_json(&pen, when, level, message);
    else
        begin_text(&pen, when, level, message);
    for (size_t i = 0; i < count; i++)
        put_field(&pen, &fields[i]);
    if (pen.json)
        put_char(&pen, '}');
    put_char(&pen, '\n');
    return (size_t)(pen.at - line);
}
