/* The log: lines that are whole and valid whatever they hold, and a log that waits for nobody. */
#include "server/clock.h"
#include "server/log/log.h"
#include "server/log/request_line.h"
#include "tests/support/support.h"

#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct timespec moment = {1795500584, 123999999}; /* 2026-11-24T06:09:44.123999999Z */

/* ---- one line ---- */

static char line[LOG_LINE_MAX + 1];

/* Writes a line and checks what holds for every one. */
static const char *write_line(enum log_format format, const char *message, const struct log_field *fields, size_t count)
{
    char exact[LOG_LINE_MAX];
    size_t size = log_line_write(exact, format, &moment, LOG_LEVEL_INFO, message, fields, count);

    memcpy(line, exact, size);
    line[size] = '\0';
    if (size > LOG_LINE_MAX || strlen(line) != size || strchr(line, '\n') != line + size - 1)
        ck_abort_msg("not one whole line: %s", line);
    for (size_t i = 0; i + 1 < size; i++)
        if ((unsigned char)line[i] < ' ')
            ck_abort_msg("a control character in %s", line);
    return line;
}

/* A JSON line, parsed; the caller's to give back. */
static json_t *parsed(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_REJECT_DUPLICATES, &error);

    if (!value)
        ck_abort_msg("%s: %s", error.text, text);
    return value;
}

static const char *member(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    if (!text)
        ck_abort_msg("there is no %s", name);
    return text;
}

START_TEST(test_both_formats)
{
    struct log_field fields[] = {log_text("word", "a-b/c:d"), log_text("words", "say \"hi\" \\ ho"),
                                 log_text("empty", ""),       log_text("none", NULL),
                                 log_text("equals", "a=b"),   log_number("number", UINT64_MAX),
                                 log_real("real", 3.4125),    log_real("small", -0.0004),
                                 log_real("minus", -1.5),     log_real("inf", 1.0 / 0.0),
                                 log_bool("yes", true),       log_bool("no", false)};
    size_t count = sizeof fields / sizeof *fields;

    ck_assert_str_eq(write_line(LOG_FORMAT_JSON, "model loaded", fields, count),
                     "{\"time\":\"2026-11-24T06:09:44.123Z\",\"level\":\"info\",\"message\":\"model loaded\","
                     "\"word\":\"a-b/c:d\",\"words\":\"say \\\"hi\\\" \\\\ ho\",\"empty\":\"\",\"equals\":\"a=b\","
                     "\"number\":18446744073709551615,\"real\":3.413,\"small\":0.000,\"minus\":-1.500,\"inf\":null,"
                     "\"yes\":true,\"no\":false}\n");
    ck_assert_str_eq(write_line(LOG_FORMAT_TEXT, "model loaded", fields, count),
                     "2026-11-24T06:09:44.123Z info  model loaded word=a-b/c:d words=\"say \\\"hi\\\" \\\\ ho\" "
                     "empty=\"\" equals=\"a=b\" number=18446744073709551615 real=3.413 small=0.000 minus=-1.500 "
                     "inf=null yes=true no=false\n");
    ck_assert_str_eq(write_line(LOG_FORMAT_TEXT, "ready", NULL, 0), "2026-11-24T06:09:44.123Z info  ready\n");
    json_decref(parsed(write_line(LOG_FORMAT_JSON, "ready", NULL, 0)));
}
END_TEST

/* jansson takes nothing that is not valid UTF-8, and gives back what the escapes stand for. */
START_TEST(test_hostile_characters)
{
    static const struct {
        const char *bytes, *meant;
    } rows[] = {
        {"\n\r\t\b\f\x1b[31m\x7f", "\n\r\t\b\f\x1b[31m\x7f"},
        {"\"}\n{\"time\":\"", "\"}\n{\"time\":\""},
        {"\\u0041\\", "\\u0041\\"},
        {"ä€\U0001f34a", "ä€\U0001f34a"},
        {"\x80", "�"},   /* no beginning */
        {"\xc3", "�"},   /* cut off */
        {"\xc3(", "�("}, /* likewise */
        {"\xe2\x82", "��"},
        {"\xf0\x9f\x8d", "���"},
        {"\xc0\xaf", "��"}, /* overlong */
        {"\xe0\x80\xaf", "���"},
        {"\xf0\x80\x80\xaf", "����"},
        {"\xed\xa0\x80", "���"},      /* half of a pair */
        {"\xf4\x90\x80\x80", "����"}, /* over the end */
        {"\xff\xfe", "��"},
        {"\xc2\x85\u2028\u202e\ufeff", "\xc2\x85\u2028\u202e\ufeff"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct log_field field = log_text("value", rows[i].bytes);
        json_t *object = parsed(write_line(LOG_FORMAT_JSON, rows[i].bytes, &field, 1));
        ck_assert_str_eq(member(object, "value"), rows[i].meant);
        ck_assert_str_eq(member(object, "message"), rows[i].meant);
        json_decref(object);
        write_line(LOG_FORMAT_TEXT, rows[i].bytes, &field, 1);
        ck_assert(!strstr(line, "\u202e") && !strstr(line, "\xc2\x85") && !strstr(line, "\x7f"));
    }
    struct log_field field = log_text("value", "a b\n2026-11-24T06:09:44.123Z error fake\u202e");
    ck_assert_str_eq(write_line(LOG_FORMAT_TEXT, "m", &field, 1),
                     "2026-11-24T06:09:44.123Z info  m value=\"a b\\n2026-11-24T06:09:44.123Z error fake\\u202e\"\n");
}
END_TEST

START_TEST(test_every_byte)
{
    for (int byte = 1; byte < 256; byte++) {
        char text[] = {'a', (char)byte, 'b', '\0'}, ascii[] = {'a', (char)byte, 'b', '\0'};
        struct log_field field = log_text("value", text);
        json_t *object = parsed(write_line(LOG_FORMAT_JSON, "m", &field, 1));
        ck_assert_str_eq(member(object, "value"), byte < 0x80 ? ascii : "a�b");
        json_decref(object);
        write_line(LOG_FORMAT_TEXT, "m", &field, 1);
    }
}
END_TEST

START_TEST(test_random_bytes)
{
    uint64_t state = 7;

    for (int round = 0; round < 20000; round++) {
        char text[32] = "";
        for (size_t i = 0, length = random_below(&state, sizeof text); i < length; i++)
            text[i] = (char)(round % 2 ? 1 + random_below(&state, 255) : 0x80 + random_below(&state, 0x80));
        struct log_field field = log_text("value", text);
        json_decref(parsed(write_line(LOG_FORMAT_JSON, "m", &field, 1)));
        write_line(LOG_FORMAT_TEXT, "m", &field, 1);
    }
}
END_TEST

/* Cutting happens between characters, and what is left is valid, wherever the end falls. */
START_TEST(test_long_values_are_cut)
{
    static const char *const fillers[] = {"a", "\"", "\x01", "€", "\U0001f34a", "\xff", "a b"};
    static char text[3 * LOG_LINE_MAX];

    for (size_t i = 0; i < sizeof fillers / sizeof *fillers; i++)
        for (size_t lead = 0; lead < 12; lead++) {
            memset(text, 'x', lead);
            text[lead] = '\0';
            while (strlen(text) + 8 < sizeof text)
                strcat(text + strlen(text), fillers[i]);
            struct log_field fields[] = {log_text("a", text), log_text("b", text), log_text("c", text),
                                         log_text("d", text), log_number("e", 1)};
            json_t *object = parsed(write_line(LOG_FORMAT_JSON, text, fields, 5));
            const char *value = member(object, "a");
            ck_assert_uint_le(strlen(value), LOG_VALUE_MAX);
            ck_assert_str_eq(value + strlen(value) - strlen("…"), "…");
            json_decref(object);
            write_line(LOG_FORMAT_TEXT, text, fields, 5);
        }
}
END_TEST

START_TEST(test_fields_without_room_are_left_out)
{
    struct log_field fields[400];

    for (size_t i = 0; i < 400; i++)
        fields[i] = i % 2 ? log_number("a_number", i) : log_real("a_real", 1.0);
    for (size_t count = 100; count < 400; count++) {
        json_error_t error;
        json_t *object = json_loads(write_line(LOG_FORMAT_JSON, "m", fields, count), 0, &error);
        ck_assert_ptr_nonnull(object);
        json_decref(object);
        write_line(LOG_FORMAT_TEXT, "m", fields, count);
    }
}
END_TEST

/* ---- a request ---- */

static const struct request_record full_record = {
    .id = "id-1",
    .trace_id = "4bf92f3577b34da6a3ce929d0e0e4736",
    .span_id = "00f067aa0ba902b7",
    .parent_span_id = "b7ad6b7169203331",
    .client = "203.0.113.9",
    .method = "POST",
    .path = "/classify",
    .route = "/classify",
    .status = 200,
    .end = REQUEST_SENT,
    .bytes_in = 1234,
    .bytes_out = 567,
    .duration_ms = 3.4117,
    .model = "tiny",
    .queued = true,
    .ran = true,
    .queue_ms = 0.02,
    .decode_ms = 0.5,
    .preprocess_ms = 0.09,
    .trunk_ms = 0.26,
    .branches_ms = 1.7,
    .macs = 44605464,
    .macs_full = 295872864,
    .branches = 4,
    .batch = 1,
    .problem = "none",
};

/* A pipe with a log at its one end. */
struct piped {
    int ends[2];
    struct log *log;
};

static struct piped open_piped(enum log_format format, enum log_level level)
{
    struct piped piped = {{-1, -1}, NULL};
    struct esp_error err = {0};

    ck_assert_int_eq(pipe(piped.ends), 0);
    struct log_settings settings = {piped.ends[1], format, level};
    ck_assert_msg(log_open(&piped.log, &settings, &err) == ESP_OK, "%s", err.text);
    return piped;
}

/* Closes the log and reads what is in the pipe into a static buffer. */
static const char *close_piped(struct piped *piped)
{
    static char text[128 << 10];

    log_close(&piped->log);
    ck_assert_ptr_null(piped->log);
    close(piped->ends[1]);
    ssize_t size = 0, got;
    while ((got = read(piped->ends[0], text + size, sizeof text - 1 - (size_t)size)) > 0)
        size += got;
    close(piped->ends[0]);
    text[size] = '\0';
    return text;
}

static const char *request_text(const struct request_record *record, enum log_format format, enum log_level level)
{
    struct piped piped = open_piped(format, level);
    log_request(piped.log, record);
    return close_piped(&piped);
}

START_TEST(test_a_request)
{
    struct request_record least = {0};
    const char *text = request_text(&full_record, LOG_FORMAT_TEXT, LOG_LEVEL_INFO);

    ck_assert_str_eq(text + strlen("2026-11-24T06:09:44.123Z"),
                     " info  request method=POST path=/classify route=/classify status=200 end=sent duration_ms=3.412 "
                     "bytes_in=1234 bytes_out=567 client=203.0.113.9 request_id=id-1 "
                     "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7 "
                     "parent_span_id=b7ad6b7169203331 model=tiny queue_ms=0.020 decode_ms=0.500 preprocess_ms=0.090 "
                     "trunk_ms=0.260 branches_ms=1.700 macs=44605464 macs_full=295872864 branches=4 batch=1 "
                     "problem=none\n");
    least.end = REQUEST_CANCELLED;
    text = request_text(&least, LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
    ck_assert_str_eq(text + strlen("2026-11-24T06:09:44.123Z"),
                     " info  request end=cancelled duration_ms=0.000 bytes_in=0 bytes_out=0\n");
    json_t *object = parsed(request_text(&full_record, LOG_FORMAT_JSON, LOG_LEVEL_INFO));
    ck_assert_str_eq(member(object, "message"), "request");
    ck_assert_int_eq(json_integer_value(json_object_get(object, "macs_full")), 295872864);
    ck_assert_uint_eq(json_object_size(object), 3 + 24);
    json_decref(object);
}
END_TEST

START_TEST(test_the_level_of_a_request)
{
    static const struct {
        unsigned status;
        enum request_end end;
        const char *level;
    } rows[] = {{200, REQUEST_SENT, "info"},     {422, REQUEST_SENT, "info"},   {429, REQUEST_SENT, "warn"},
                {500, REQUEST_SENT, "error"},    {501, REQUEST_SENT, "error"},  {503, REQUEST_SENT, "warn"},
                {504, REQUEST_SENT, "warn"},     {0, REQUEST_TIMEOUT, "warn"},  {200, REQUEST_TIMEOUT, "warn"},
                {500, REQUEST_TIMEOUT, "error"}, {0, REQUEST_CANCELLED, "info"}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct request_record record = {.status = rows[i].status, .end = rows[i].end};
        json_t *object = parsed(request_text(&record, LOG_FORMAT_JSON, LOG_LEVEL_DEBUG));
        ck_assert_str_eq(member(object, "level"), rows[i].level);
        json_decref(object);
    }
    ck_assert_str_eq(request_text(&full_record, LOG_FORMAT_JSON, LOG_LEVEL_WARN), "");
}
END_TEST

/* ---- levels and words ---- */

START_TEST(test_levels)
{
    for (enum log_level least = LOG_LEVEL_DEBUG; least < LOG_LEVEL_OFF; least++) {
        struct piped piped = open_piped(LOG_FORMAT_TEXT, least);
        size_t lines = 0;
        for (enum log_level level = LOG_LEVEL_DEBUG; level <= LOG_LEVEL_OFF; level++) {
            ck_assert_int_eq(log_takes(piped.log, level), level >= least && level != LOG_LEVEL_OFF);
            log_event(piped.log, level, "m", NULL, 0);
        }
        for (const char *text = close_piped(&piped); *text; text++)
            lines += *text == '\n';
        ck_assert_uint_eq(lines, LOG_LEVEL_OFF - least);
    }
    struct log_settings off = {STDERR_FILENO, LOG_FORMAT_TEXT, LOG_LEVEL_OFF};
    struct log *log;
    ck_assert_int_eq(log_open(&log, &off, NULL), ESP_OK);
    ck_assert_ptr_null(log);
    ck_assert(!log_takes(log, LOG_LEVEL_ERROR));
    log_event(log, LOG_LEVEL_ERROR, "m", LOG_FIELDS(log_number("n", 1), log_bool("b", true)));
    log_request(log, &full_record);
    ck_assert_uint_eq(log_dropped(log), 0);
    log_close(&log);
}
END_TEST

START_TEST(test_words)
{
    struct esp_error err = {0};
    enum log_format format;
    enum log_level level;

    ck_assert_int_eq(log_format_parse("--log-format", "json", &format, NULL), ESP_OK);
    ck_assert_int_eq(format, LOG_FORMAT_JSON);
    ck_assert_int_eq(log_format_parse("--log-format", "text", &format, NULL), ESP_OK);
    ck_assert_int_eq(format, LOG_FORMAT_TEXT);
    ck_assert_int_eq(log_format_parse("--log-format", "xml", &format, &err), ESP_ERROR_ARGUMENT);
    ck_assert_str_eq(err.text, "--log-format is 'xml'; give text or json");
    ck_assert_int_eq(log_level_parse("--log-level", "debug", &level, NULL), ESP_OK);
    ck_assert_int_eq(level, LOG_LEVEL_DEBUG);
    ck_assert_int_eq(log_level_parse("--log-level", "off", &level, NULL), ESP_OK);
    ck_assert_int_eq(level, LOG_LEVEL_OFF);
    err = (struct esp_error){0};
    ck_assert_int_eq(log_level_parse("--log-level", "", &level, &err), ESP_ERROR_ARGUMENT);
    ck_assert_str_eq(err.text, "--log-level is ''; give debug, info, warn, error or off");
}
END_TEST

/* ---- many threads ---- */

enum { THREADS = 8, LINES = 5000 };

struct shouter {
    struct log *log;
    uint64_t number;
};

static void *shout(void *context)
{
    struct shouter *shouter = context;
    char filler[100] = "";

    for (uint64_t i = 0; i < LINES; i++) {
        memset(filler, 'x', i % sizeof filler);
        filler[i % sizeof filler] = '\0';
        log_event(shouter->log, LOG_LEVEL_INFO, "shout",
                  LOG_FIELDS(log_number("thread", shouter->number), log_number("line", i), log_text("filler", filler)));
    }
    return NULL;
}

static void shout_together(struct log *log)
{
    struct shouter shouters[THREADS];
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++) {
        shouters[i] = (struct shouter){log, i};
        pthread_create(&threads[i], NULL, shout, &shouters[i]);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* What came out of a log. */
struct heard {
    FILE *in;
    uint64_t lines, told_lost; /* of the threads; by the log */
    int64_t last[THREADS];     /* each thread's last number */
};

/* Every line is whole, and those of a thread are in their order. */
static void *listen_to(void *context)
{
    struct heard *heard = context;
    char text[LOG_LINE_MAX + 1];

    memset(heard->last, -1, sizeof heard->last);
    while (fgets(text, sizeof text, heard->in)) {
        json_t *object = parsed(text);
        if (strcmp(member(object, "message"), "shout")) {
            heard->told_lost += (uint64_t)json_integer_value(json_object_get(object, "lines"));
        } else {
            size_t thread = (size_t)json_integer_value(json_object_get(object, "thread"));
            int64_t number = json_integer_value(json_object_get(object, "line"));
            if (thread >= THREADS || number <= heard->last[thread] ||
                strlen(member(object, "filler")) != (size_t)number % 100)
                ck_abort_msg("not the line that was sent: %s", text);
            heard->last[thread] = number;
            heard->lines++;
        }
        json_decref(object);
    }
    return NULL;
}

/* Through a pipe, and through a socket, into which a batch may go in pieces. */
static void shout_through(int in, int out)
{
    struct heard heard = {.in = fdopen(in, "r")};
    struct log_settings settings = {out, LOG_FORMAT_JSON, LOG_LEVEL_INFO};
    struct log *log;
    pthread_t listener;

    pthread_create(&listener, NULL, listen_to, &heard);
    ck_assert_int_eq(log_open(&log, &settings, NULL), ESP_OK);
    shout_together(log);
    uint64_t dropped = log_dropped(log);
    log_close(&log);
    close(out);
    pthread_join(listener, NULL);
    fclose(heard.in);
    ck_assert_uint_eq(heard.lines + dropped, THREADS * LINES);
    ck_assert_uint_eq(heard.told_lost, dropped);
    ck_assert_uint_gt(heard.lines, 0);
}

START_TEST(test_many_threads)
{
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    shout_through(ends[0], ends[1]);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    shout_through(ends[0], ends[1]);
}
END_TEST

/* ---- readers that do not read ---- */

enum { PATIENCE_MS = 5000 }; /* a machine may be busy; an endless wait is caught all the same */

static uint64_t ms_since(uint64_t begun)
{
    return (clock_now() - begun) / 1000000;
}

/* Logs `count` lines of about 200 bytes. */
static void log_lines(struct log *log, size_t count)
{
    char filler[100] = "";

    memset(filler, 'x', sizeof filler - 1);
    for (size_t i = 0; i < count; i++)
        log_event(log, LOG_LEVEL_INFO, "shout",
                  LOG_FIELDS(log_number("thread", 0), log_number("line", i), log_text("filler", filler)));
}

static void *read_all(void *context)
{
    static char text[1 << 20];
    size_t size = 0;
    ssize_t got;

    while ((got = read(*(int *)context, text + size, sizeof text - 1 - size)) > 0)
        size += (size_t)got;
    text[size] = '\0';
    return text;
}

static size_t count_lines(const char *text, const char *with)
{
    size_t count = 0;

    for (const char *end; (end = strchr(text, '\n')); text = end + 1) {
        const char *found = strstr(text, with);
        count += found && found < end;
    }
    return count;
}

START_TEST(test_a_stuck_pipe_holds_nobody_up)
{
    enum { SENT = 20000 }; /* several times what ring and pipe hold */
    struct piped piped = open_piped(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    uint64_t begun = clock_now();

    log_lines(piped.log, SENT);
    ck_assert_uint_lt(ms_since(begun), PATIENCE_MS);
    uint64_t dropped = log_dropped(piped.log);
    ck_assert_uint_gt(dropped, SENT / 2);
    ck_assert_uint_lt(dropped, SENT);
    begun = clock_now();
    log_close(&piped.log);
    ck_assert_uint_lt(ms_since(begun), PATIENCE_MS);
    close(piped.ends[1]);
    const char *text = read_all(&piped.ends[0]);
    ck_assert_uint_gt(count_lines(text, "shout"), 0);
    ck_assert_int_eq(text[strlen(text) - 1], '\n'); /* whole lines, up to the last one that found room */
    close(piped.ends[0]);
}
END_TEST

START_TEST(test_losses_are_told_when_the_reader_is_back)
{
    enum { SENT = 20000 };
    struct piped piped = open_piped(LOG_FORMAT_JSON, LOG_LEVEL_INFO);
    pthread_t reader;
    void *text;
    char told[64];

    log_lines(piped.log, SENT);
    uint64_t dropped = log_dropped(piped.log);
    ck_assert_uint_gt(dropped, 0);
    snprintf(told, sizeof told, "\"lines\":%llu}", (unsigned long long)dropped);
    pthread_create(&reader, NULL, read_all, &piped.ends[0]);
    log_close(&piped.log); /* nobody logs another line: the loss is told all the same */
    close(piped.ends[1]);
    pthread_join(reader, &text);
    close(piped.ends[0]);
    ck_assert_uint_eq(count_lines(text, "shout"), SENT - dropped);
    ck_assert_uint_eq(count_lines(text, "log lines lost"), 1);
    ck_assert_uint_eq(count_lines(text, told), 1);
}
END_TEST

/* CPU time that the process has taken. */
static uint64_t cpu_ms(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000 + (uint64_t)used.tv_nsec / 1000000;
}

/* Waits until the log has lost so many lines, or for too long. */
static void await_drops(struct log *log, uint64_t count)
{
    for (uint64_t begun = clock_now(); log_dropped(log) < count && ms_since(begun) < PATIENCE_MS;)
        clock_sleep_ms(5);
}

/* Logs ten lines, which are lost, and rests: no signal, no spinning, no waiting. */
static void log_into(int descriptor)
{
    struct log_settings settings = {descriptor, LOG_FORMAT_TEXT, LOG_LEVEL_INFO};
    struct log *log;

    ck_assert_int_eq(log_open(&log, &settings, NULL), ESP_OK);
    log_lines(log, 10);
    await_drops(log, 10);
    ck_assert_uint_eq(log_dropped(log), 10);
    uint64_t before = cpu_ms();
    clock_sleep_ms(300);
    ck_assert_uint_lt(cpu_ms() - before, 150);
    uint64_t begun = clock_now();
    log_close(&log);
    ck_assert_uint_lt(ms_since(begun), PATIENCE_MS);
}

START_TEST(test_descriptors_that_are_broken)
{
    int ends[2], full = open("/dev/full", O_WRONLY);

    ck_assert_int_ge(full, 0);
    log_into(full);
    close(full);
    log_into(full); /* closed */
    ck_assert_int_eq(pipe(ends), 0);
    close(ends[0]);
    log_into(ends[1]); /* SIGPIPE would end the test */
    close(ends[1]);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    close(ends[0]);
    log_into(ends[1]);
    close(ends[1]);
}
END_TEST

/* A stuck reader of a socket, and one whose descriptor somebody else made non-blocking. */
START_TEST(test_other_stuck_readers)
{
    int ends[2];
    struct log *log;

    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(i ? pipe2(ends, O_NONBLOCK) : socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
        struct log_settings settings = {ends[1], LOG_FORMAT_TEXT, LOG_LEVEL_INFO};
        ck_assert_int_eq(log_open(&log, &settings, NULL), ESP_OK);
        log_lines(log, 20000);
        ck_assert_uint_gt(log_dropped(log), 0);
        uint64_t begun = clock_now(), before = cpu_ms();
        log_close(&log);
        ck_assert_uint_lt(ms_since(begun), PATIENCE_MS);
        ck_assert_uint_lt(cpu_ms() - before, 500);
        close(ends[0]);
        close(ends[1]);
    }
}
END_TEST

/* Sends of a socket with a small buffer end in the middle of lines. */
static void *read_slowly(void *context)
{
    static char text[1 << 20];
    size_t size = 0;
    ssize_t got;

    while ((got = read(*(int *)context, text + size, 777)) > 0)
        size += (size_t)got;
    text[size] = '\0';
    return text;
}

/* poll() says that it takes a little more, and write() waits for all of it. */
START_TEST(test_a_stopped_terminal)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY), terminal;
    struct log *log;

    ck_assert_int_ge(master, 0);
    ck_assert(grantpt(master) == 0 && unlockpt(master) == 0);
    terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    ck_assert_int_ge(terminal, 0);
    struct log_settings settings = {terminal, LOG_FORMAT_TEXT, LOG_LEVEL_INFO};
    ck_assert_int_eq(log_open(&log, &settings, NULL), ESP_OK);
    log_lines(log, 20000);
    ck_assert_uint_gt(log_dropped(log), 0);
    uint64_t begun = clock_now();
    log_close(&log);
    ck_assert_uint_lt(ms_since(begun), PATIENCE_MS);
    close(master);       /* which ends the write(); `terminal` is the writer's */
    clock_sleep_ms(100); /* for the writer to clean up, which sanitizers look for */
}
END_TEST

START_TEST(test_small_pieces_make_whole_lines)
{
    int ends[2], least = 1;
    pthread_t reader;
    struct log *log;
    void *text;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
    struct log_settings settings = {ends[1], LOG_FORMAT_JSON, LOG_LEVEL_INFO};
    pthread_create(&reader, NULL, read_slowly, &ends[0]);
    ck_assert_int_eq(log_open(&log, &settings, NULL), ESP_OK);
    log_lines(log, 1000);
    uint64_t dropped = log_dropped(log);
    log_close(&log);
    close(ends[1]);
    pthread_join(reader, &text);
    close(ends[0]);
    ck_assert_uint_eq(count_lines(text, "shout"), 1000 - dropped);
    for (char *at = text, *end; (end = strchr(at, '\n')); at = end + 1) {
        *end = '\0';
        json_decref(parsed(at));
    }
}
END_TEST

/* A file that takes no more in the middle of a line, and then more again. */
START_TEST(test_a_torn_line_spoils_no_other)
{
    char name[] = "/tmp/espalier-log-XXXXXX";
    int file = mkstemp(name);
    struct rlimit before, limit;
    struct log *log;

    ck_assert_int_ge(file, 0);
    unlink(name);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = (struct rlimit){100, before.rlim_max};
    struct log_settings settings = {file, LOG_FORMAT_TEXT, LOG_LEVEL_INFO};
    ck_assert_int_eq(log_open(&log, &settings, NULL), ESP_OK);
    setrlimit(RLIMIT_FSIZE, &limit); /* of every file: check's own, too, so it has to wait with its notes */
    log_lines(log, 10);
    await_drops(log, 10);
    setrlimit(RLIMIT_FSIZE, &before);
    ck_assert_uint_eq(log_dropped(log), 10);
    log_event(log, LOG_LEVEL_INFO, "whole", NULL, 0);
    log_close(&log);
    lseek(file, 0, SEEK_SET);
    const char *text = read_all(&file);
    ck_assert_uint_eq(strcspn(text, "\n"), 100);
    ck_assert_str_eq(text + 101 + strlen("2026-11-24T06:09:44.123Z"), " info  whole\n");
    close(file);
}
END_TEST

START_TEST(test_a_line_appears_without_another)
{
    struct piped piped = open_piped(LOG_FORMAT_TEXT, LOG_LEVEL_INFO);
    char text[LOG_LINE_MAX];

    for (int i = 0; i < 5; i++) { /* read() would wait for ever, and the test's time be over */
        log_event(piped.log, LOG_LEVEL_WARN, "alone", NULL, 0);
        ssize_t size = read(piped.ends[0], text, sizeof text);
        ck_assert_int_eq(size, strlen("2026-11-24T06:09:44.123Z warn  alone\n"));
    }
    ck_assert_str_eq(close_piped(&piped), "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log");
    TCase *tests = tcase_create("log");

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_both_formats);
    tcase_add_test(tests, test_hostile_characters);
    tcase_add_test(tests, test_every_byte);
    tcase_add_test(tests, test_random_bytes);
    tcase_add_test(tests, test_long_values_are_cut);
    tcase_add_test(tests, test_fields_without_room_are_left_out);
    tcase_add_test(tests, test_a_request);
    tcase_add_test(tests, test_the_level_of_a_request);
    tcase_add_test(tests, test_levels);
    tcase_add_test(tests, test_words);
    tcase_add_test(tests, test_many_threads);
    tcase_add_test(tests, test_a_stuck_pipe_holds_nobody_up);
    tcase_add_test(tests, test_losses_are_told_when_the_reader_is_back);
    tcase_add_test(tests, test_descriptors_that_are_broken);
    tcase_add_test(tests, test_other_stuck_readers);
    tcase_add_test(tests, test_a_stopped_terminal);
    tcase_add_test(tests, test_small_pieces_make_whole_lines);
    tcase_add_test(tests, test_a_torn_line_spoils_no_other);
    tcase_add_test(tests, test_a_line_appears_without_another);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
