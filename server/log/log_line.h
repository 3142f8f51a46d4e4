/* One line of the log: a moment, a level, a message and named values, as JSON or as text for people.
 *
 *     {"time":"2026-11-24T06:09:44.123Z","level":"info","message":"model loaded","model":"tiny","load_ms":41.250}
 *     2026-11-24T06:09:44.123Z info  model loaded model=tiny load_ms=41.250
 *
 * Whatever the values hold, a line is one line of at most LOG_LINE_MAX bytes, in valid UTF-8, and the JSON is valid:
 * control characters, and those that turn the direction of writing around, are escaped as \uXXXX, bytes that are no
 * UTF-8 become U+FFFD. In text, values of other characters than a word's are quoted, with the escapes of JSON, so that
 * nobody can fake a field or a line. A value over LOG_VALUE_MAX bytes is cut and ends with an ellipsis; fields for
 * which there is no room left are left out.
 *
 * jansson is not used: it would allocate for each line and does not cut. Writing allocates nothing. Thread-safe: each
 * call works on the caller's memory. */
#ifndef SERVER_LOG_LOG_LINE_H
#define SERVER_LOG_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* A line fits into what a pipe takes at once (PIPE_BUF). */
enum { LOG_LINE_MAX = 4096, LOG_VALUE_MAX = 1024 };

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR, LOG_LEVEL_OFF };

enum log_type { LOG_TYPE_TEXT, LOG_TYPE_NUMBER, LOG_TYPE_REAL, LOG_TYPE_BOOL };

struct log_field {
    const char *name; /* a name of ours: [a-z0-9_]+ */
    enum log_type type;
    union {
        const char *text; /* any bytes, ends with 0; where it is NULL the field is left out */
        uint64_t number;
        double real; /* written with three decimals; null where it is no number, or over 10^15 */
        bool truth;
    } value;
};

static inline struct log_field log_text(const char *name, const char *text)
{
    return (struct log_field){name, LOG_TYPE_TEXT, {.text = text}};
}

static inline struct log_field log_number(const char *name, uint64_t number)
{
    return (struct log_field){name, LOG_TYPE_NUMBER, {.number = number}};
}

static inline struct log_field log_real(const char *name, double real)
{
    return (struct log_field){name, LOG_TYPE_REAL, {.real = real}};
}

static inline struct log_field log_bool(const char *name, bool truth)
{
    return (struct log_field){name, LOG_TYPE_BOOL, {.truth = truth}};
}

/* Writes a line, its newline included and no 0 behind it, and gives its length. `message` is a phrase of ours; what
 * comes from outside belongs in fields. */
size_t log_line_write(char line[LOG_LINE_MAX], enum log_format format, const struct timespec *when,
                      enum log_level level, const char *message, const struct log_field *fields, size_t count);

#endif
