#include "server/log/request_line.h"

enum { FIELDS_MAX = 32 };

/* The fields of a line, in their order. */
struct list {
    struct log_field fields[FIELDS_MAX];
    size_t count;
};

static void add(struct list *list, struct log_field field)
{
    list->fields[list->count++] = field;
}

static void add_text(struct list *list, const char *name, const char *text)
{
    if (text && *text)
        add(list, log_text(name, text));
}

static enum log_level level_of(const struct request_record *record)
{
    switch (record->status) {
    case 429:
    case 503:
    case 504: return LOG_LEVEL_WARN;
    default: break;
    }
    if (record->status >= 500)
        return LOG_LEVEL_ERROR;
    return record->end == REQUEST_TIMEOUT ? LOG_LEVEL_WARN : LOG_LEVEL_INFO;
}

static void add_request(struct list *list, const struct request_record *record)
{
    static const char *const ends[] = {[REQUEST_SENT] = "sent",
                                       [REQUEST_CANCELLED] = "cancelled",
                                       [REQUEST_TIMEOUT] = "timeout",
                                       [REQUEST_CLOSED] = "closed"};

    add_text(list, "method", record->method);
    add_text(list, "path", record->path);
    add_text(list, "route", record->route);
    if (record->status)
        add(list, log_number("status", record->status));
    add(list, log_text("end", ends[record->end]));
    add(list, log_real("duration_ms", record->duration_ms));
    add(list, log_number("bytes_in", record->bytes_in));
    add(list, log_number("bytes_out", record->bytes_out));
    add_text(list, "client", record->client);
    add_text(list, "token", record->token);
}

static void add_names(struct list *list, const struct request_record *record)
{
    add_text(list, "request_id", record->id);
    add_text(list, "trace_id", record->trace_id);
    add_text(list, "span_id", record->span_id);
    add_text(list, "parent_span_id", record->parent_span_id);
}

static void add_work(struct list *list, const struct request_record *record)
{
    add_text(list, "model", record->model);
    if (record->queued)
        add(list, log_real("queue_ms", record->queue_ms));
    if (!record->ran)
        return;
    add(list, log_real("decode_ms", record->decode_ms));
    add(list, log_real("preprocess_ms", record->preprocess_ms));
    add(list, log_real("trunk_ms", record->trunk_ms));
    add(list, log_real("branches_ms", record->branches_ms));
    add(list, log_number("macs", record->macs));
    add(list, log_number("macs_full", record->macs_full));
    add(list, log_number("branches", record->branches));
    add(list, log_number("batch", record->batch));
    if (record->beam)
        add(list, log_number("beam", record->beam));
    if (record->budget_macs)
        add(list, log_number("budget_macs", record->budget_macs));
}

void log_request(struct log *log, const struct request_record *record)
{
    enum log_level level = level_of(record);
    struct list list = {.count = 0};

    if (!log_takes(log, level))
        return;
    add_request(&list, record);
    add_names(&list, record);
    add_work(&list, record);
    add_text(&list, "problem", record->problem);
    log_event(log, level, "request", list.fields, list.count);
}
