#include "server/log/log.h"

#include "server/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BATCH_MAX = PIPE_BUF, /* so much goes into a pipe that has room whole and without waiting */
    PAUSE_MS = 5,         /* lines gather for so long before they are written together */
    LOOK_MS = 100,        /* how often a writer whose reader is stuck looks whether the log is being closed */
    CLOSE_MS = 1000,      /* how long closing waits for the reader */
    GRACE_MS = 250        /* and then for the writer */
};

_Static_assert((int)LOG_LINE_MAX <= (int)BATCH_MAX, "every line fits into a batch");

/* What the writer does. Who wakes it, out of PAUSING or SLEEPING, makes it BUSY, so that it is woken once. */
enum writer { BUSY, PAUSING, SLEEPING, GONE };

struct log {
    struct log_settings settings;
    bool is_socket;
    pthread_t thread;
    atomic_uint_least64_t dropped;
    atomic_uint_least64_t closing; /* when the writer has to give up, by clock_now(); 0 while the log is open */

    pthread_mutex_t lock;   /* of what follows */
    pthread_cond_t changed; /* for the writer: there are lines, or the log is closing. For log_close: it is GONE */
    enum writer writer;
    bool abandoned;     /* log_close could not wait for the writer, which has to clean up itself */
    uint64_t lost;      /* lines since the ring was full, of which none has told yet */
    size_t first, used; /* the ring's lines begin at `first` */
    char ring[LOG_RING_SIZE];
};

/* ---- the ring; the lock is held ---- */

static void ring_put(struct log *log, const char *bytes, size_t size)
{
    size_t at = (log->first + log->used) % LOG_RING_SIZE;
    size_t piece = size < LOG_RING_SIZE - at ? size : LOG_RING_SIZE - at;

    memcpy(log->ring + at, bytes, piece);
    memcpy(log->ring, bytes + piece, size - piece);
    log->used += size;
}

/* Takes up to BATCH_MAX bytes of whole lines. */
static size_t ring_take(struct log *log, char batch[BATCH_MAX])
{
    size_t size = log->used < BATCH_MAX ? log->used : BATCH_MAX;
    size_t piece = size < LOG_RING_SIZE - log->first ? size : LOG_RING_SIZE - log->first;

    memcpy(batch, log->ring + log->first, piece);
    memcpy(batch + piece, log->ring, size - piece);
    while (size > 0 && batch[size - 1] != '\n')
        size--;
    log->first = (log->first + size) % LOG_RING_SIZE;
    log->used -= size;
    return size;
}

static void tell_losses(struct log *log)
{
    char line[LOG_LINE_MAX];
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    ring_put(log, line,
             log_line_write(line, log->settings.format, &now, LOG_LEVEL_WARN, "log lines lost, the reader was too slow",
                            LOG_FIELDS(log_number("lines", log->lost))));
    log->lost = 0;
}

/* Once a line was lost, so are those after it until half of the ring is free: one gap, and not many small ones. */
static void append(struct log *log, const char *line, size_t size)
{
    if (log->used + size > LOG_RING_SIZE || (log->lost > 0 && log->used > LOG_RING_SIZE / 2)) {
        log->lost++;
        atomic_fetch_add(&log->dropped, 1);
        return;
    }
    if (log->lost > 0)
        tell_losses(log);
    ring_put(log, line, size);
}

/* ---- the writer ---- */

static bool out_of_time(struct log *log)
{
    uint64_t end = atomic_load(&log->closing);
    return end && clock_now() >= end;
}

/* Waits until the descriptor takes a batch; false where that is too late. A broken one takes all, and then fails. */
static bool wait_for_reader(struct log *log)
{
    struct pollfd descriptor = {.fd = log->settings.descriptor, .events = POLLOUT};

    while (!out_of_time(log))
        if (poll(&descriptor, 1, LOOK_MS) > 0)
            return true;
    return false;
}

/* Not O_NONBLOCK: that would be set for everyone who shares the descriptor. */
static ssize_t write_some(const struct log *log, const char *bytes, size_t size)
{
    if (log->is_socket)
        return send(log->settings.descriptor, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    return write(log->settings.descriptor, bytes, size);
}

/* Gives how many bytes went out. */
static size_t write_batch(struct log *log, const char *batch, size_t size)
{
    size_t done = 0;

    while (done < size && wait_for_reader(log)) {
        ssize_t written = write_some(log, batch + done, size - done);
        if (written >= 0)
            done += (size_t)written;
        else if (errno == EAGAIN) /* somebody else's O_NONBLOCK, and poll() was too hopeful */
            clock_sleep_ms(PAUSE_MS);
        else if (errno != EINTR)
            break;
    }
    return done;
}

static void count_lost(struct log *log, const char *lines, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (lines[i] == '\n')
            atomic_fetch_add(&log->dropped, 1);
}

/* Where a line went out in part, the next batch begins with its end. */
static void write_out(struct log *log, const char *batch, size_t size, bool *torn)
{
    if (*torn && write_batch(log, "\n", 1) == 0) {
        count_lost(log, batch, size);
        return;
    }
    size_t done = write_batch(log, batch, size);
    *torn = done > 0 && batch[done - 1] != '\n';
    count_lost(log, batch + done, size - done);
}

static struct timespec at_time(uint64_t ns)
{
    return (struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
}

/* Lets lines gather; wakes early where half of the ring is full. The lock is held, but not while it waits. */
static void pause_writer(struct log *log)
{
    struct timespec until = at_time(clock_now() + PAUSE_MS * 1000000ull);

    log->writer = PAUSING;
    while (log->writer == PAUSING && pthread_cond_timedwait(&log->changed, &log->lock, &until) != ETIMEDOUT)
        ;
}

static void sleep_until_lines(struct log *log)
{
    log->writer = SLEEPING;
    while (log->writer == SLEEPING)
        pthread_cond_wait(&log->changed, &log->lock);
}

/* Waits for lines and takes some; 0 where the log is closing and there are none. The first line after a silence goes
 * out at once; those that follow gather for PAUSE_MS, or to a whole batch, and nobody has to wake the writer for them.
 */
static size_t next_batch(struct log *log, char batch[BATCH_MAX])
{
    pthread_mutex_lock(&log->lock);
    if (log->used < BATCH_MAX && !atomic_load(&log->closing))
        pause_writer(log);
    if (log->used == 0 && log->lost > 0)
        tell_losses(log);
    while (log->used == 0 && !atomic_load(&log->closing))
        sleep_until_lines(log);
    log->writer = BUSY;
    size_t size = ring_take(log, batch);
    pthread_mutex_unlock(&log->lock);
    return size;
}

static void free_log(struct log *log)
{
    pthread_cond_destroy(&log->changed);
    pthread_mutex_destroy(&log->lock);
    free(log);
}

static void *write_lines(void *context)
{
    struct log *log = context;
    char batch[BATCH_MAX];
    bool torn = false;

    for (size_t size; (size = next_batch(log, batch)) > 0;)
        write_out(log, batch, size, &torn);
    pthread_mutex_lock(&log->lock);
    log->writer = GONE;
    bool abandoned = log->abandoned;
    pthread_cond_broadcast(&log->changed);
    pthread_mutex_unlock(&log->lock);
    if (abandoned)
        free_log(log);
    return NULL;
}

/* ---- logging ---- */

bool log_takes(const struct log *log, enum log_level level)
{
    return log && level >= log->settings.level && level < LOG_LEVEL_OFF;
}

/* The lock is held. Whether the caller has to wake the writer. */
static bool rouse(struct log *log)
{
    bool wake = log->writer == SLEEPING || (log->writer == PAUSING && log->used > LOG_RING_SIZE / 2);
    if (wake)
        log->writer = BUSY;
    return wake;
}

void log_event(struct log *log, enum log_level level, const char *message, const struct log_field *fields, size_t count)
{
    char line[LOG_LINE_MAX];
    struct timespec now;

    if (!log_takes(log, level))
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    size_t size = log_line_write(line, log->settings.format, &now, level, message, fields, count);
    pthread_mutex_lock(&log->lock);
    append(log, line, size);
    bool wake = rouse(log);
    pthread_mutex_unlock(&log->lock);
    if (wake)
        pthread_cond_signal(&log->changed);
}

uint64_t log_dropped(const struct log *log)
{
    return log ? atomic_load(&log->dropped) : 0;
}

/* ---- opening and closing ---- */

static bool is_socket(int descriptor)
{
    struct stat status;
    return fstat(descriptor, &status) == 0 && S_ISSOCK(status.st_mode);
}

/* The writer takes no signals: they are for the program's own threads, and the SIGPIPE of a reader who went away for
 * nobody. */
static int start_writer(struct log *log)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&log->thread, NULL, write_lines, log);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

static struct log *make_log(const struct log_settings *settings)
{
    struct log *log = calloc(1, sizeof *log);
    pthread_condattr_t monotonic;

    if (!log)
        return NULL;
    log->settings = *settings;
    log->is_socket = is_socket(settings->descriptor);
    pthread_mutex_init(&log->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&log->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return log;
}

enum esp_status log_open(struct log **log, const struct log_settings *settings, struct esp_error *err)
{
    *log = NULL;
    if (settings->level == LOG_LEVEL_OFF)
        return ESP_OK;
    struct log *made = make_log(settings);
    if (!made)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    if (start_writer(made) != 0) {
        free_log(made);
        return esp_fail(err, ESP_ERROR_MEMORY, "the log's thread could not be started");
    }
    *log = made;
    return ESP_OK;
}

/* The lock is held. False where the writer does not end in time. */
static bool wait_for_end(struct log *log, uint64_t end)
{
    struct timespec until = at_time(end);

    while (log->writer != GONE)
        if (pthread_cond_timedwait(&log->changed, &log->lock, &until) == ETIMEDOUT)
            return log->writer == GONE;
    return true;
}

void log_close(struct log **log)
{
    struct log *closed = *log;
    uint64_t end = clock_now() + CLOSE_MS * 1000000ull;

    if (!closed)
        return;
    *log = NULL;
    pthread_t thread = closed->thread;
    pthread_mutex_lock(&closed->lock);
    atomic_store(&closed->closing, end);
    closed->writer = BUSY;
    pthread_cond_broadcast(&closed->changed);
    bool ended = wait_for_end(closed, end + GRACE_MS * 1000000ull);
    closed->abandoned = !ended; /* it hangs in a write() into a stopped terminal */
    pthread_mutex_unlock(&closed->lock);
    if (!ended) {
        pthread_detach(thread);
        return;
    }
    pthread_join(thread, NULL);
    free_log(closed);
}

/* ---- words ---- */

enum esp_status log_format_parse(const char *said, const char *text, enum log_format *format, struct esp_error *err)
{
    if (strcmp(text, "text") && strcmp(text, "json"))
        return esp_fail(err, ESP_ERROR_ARGUMENT, "%s is '%.64s'; give text or json", said, text);
    *format = strcmp(text, "json") ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
    return ESP_OK;
}

enum esp_status log_level_parse(const char *said, const char *text, enum log_level *level, struct esp_error *err)
{
    static const char *const names[] = {"debug", "info", "warn", "error", "off"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(text, names[i]) == 0) {
            *level = (enum log_level)i;
            return ESP_OK;
        }
    return esp_fail(err, ESP_ERROR_ARGUMENT, "%s is '%.64s'; give debug, info, warn, error or off", said, text);
}
