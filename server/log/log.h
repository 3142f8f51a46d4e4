/* The log of the daemon: who logs a line never waits for the one who reads it.
 *
 * A line is written into a ring of LOG_RING_SIZE bytes, under a lock that is held for copying it; a thread of the log's
 * own writes what has gathered, several lines at a time, into the descriptor. Where the reader is slow and the ring is
 * full, lines are lost and counted; when half of it is free again, a line of level warn says how many, whatever the
 * level. Lines are whole and in order. A line takes no memory from the system, and one below the level is not even
 * formatted.
 *
 * What must never be logged: a request's query (options, and whatever people put there by mistake), its headers, of
 * which Authorization is a secret, its body, and settings that are secrets. (An error's text may quote the name or
 * value that was wrong.)
 *
 * Every function takes NULL for the log, which takes no lines, so that rooms can be used without one. All functions are
 * thread-safe, except that log_close must be the last. */
#ifndef SERVER_LOG_LOG_H
#define SERVER_LOG_LOG_H

#include "espalier/error.h"
#include "server/log/log_line.h"

enum { LOG_RING_SIZE = 256 << 10 };

struct log;

struct log_settings {
    int descriptor; /* of a pipe, file, socket or terminal; stays the caller's, must outlive the log */
    enum log_format format;
    enum log_level level; /* the least that is logged */
};

/* Starts the thread. With LOG_LEVEL_OFF there is nothing to start: gives ESP_OK, and NULL for the log. */
enum esp_status log_open(struct log **log, const struct log_settings *settings, struct esp_error *err);

/* Writes out what there is, for at most about a second, and sets the pointer to NULL; NULL is fine. Lines for which
 * that was too short are lost, as are those of the last few milliseconds where the program ends without log_close. */
void log_close(struct log **log);

/* Whether lines of this level are logged: for those who would have to work for the fields. */
bool log_takes(const struct log *log, enum log_level level);

/* Logs a line: log_event(log, LOG_LEVEL_INFO, "model loaded", LOG_FIELDS(log_text("model", name))). Without fields:
 * NULL, 0. Texts are copied. For `message` see log_line_write. */
void log_event(struct log *log, enum log_level level, const char *message, const struct log_field *fields,
               size_t count);

#define LOG_FIELDS(...)                                                                                                \
    (const struct log_field[]){__VA_ARGS__}, sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field)

/* Lines lost since log_open: because the ring was full, or because the descriptor refused them. */
uint64_t log_dropped(const struct log *log);

/* The words of the settings: text or json; debug, info, warn, error or off. `said` is how the person gave the word
 * ("--log-format"). ESP_ERROR_ARGUMENT. */
enum esp_status log_format_parse(const char *said, const char *text, enum log_format *format, struct esp_error *err);
enum esp_status log_level_parse(const char *said, const char *text, enum log_level *level, struct esp_error *err);

#endif
