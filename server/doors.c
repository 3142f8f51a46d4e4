#include "server/doors.h"

#include <time.h>

/* ---- life ---- */

enum esp_status doors_open(struct doors *doors, const struct settings *settings, struct esp_error *err)
{
    enum esp_status status;

    *doors = (struct doors){.settings = settings};
    if ((status = cors_parse(settings->cors_origins, &doors->cors, err)) != ESP_OK ||
        (status = tokens_open(&doors->tokens, settings, err)) != ESP_OK || !*settings->tls_certificate)
        return status;
    return tls_open(&doors->tls, settings->tls_certificate, settings->tls_key, err);
}

void doors_close(struct doors *doors)
{
    tls_close(&doors->tls);
    tokens_close(&doors->tokens);
}

/* ---- the log ---- */

static void report_certificate(struct tls *tls, struct log *log)
{
    struct tls_facts facts = tls_facts(tls);
    time_t now = time(NULL);
    char until[32] = "?";
    struct tm day;

    if (gmtime_r(&facts.until, &day))
        strftime(until, sizeof until, "%Y-%m-%dT%H:%M:%SZ", &day);
    const char *fault = now > facts.until   ? "the certificate has expired"
                        : now < facts.since ? "the certificate is not valid yet"
                                            : NULL;
    log_event(log, fault ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, fault ? fault : "certificate",
              LOG_FIELDS(log_text("subject", facts.subject), log_text("until", until)));
}

static void report_tokens(const struct doors *doors, struct log *log)
{
    if (*doors->settings->tokens_file)
        log_event(log, LOG_LEVEL_INFO, "tokens", LOG_FIELDS(log_number("clients", tokens_count(doors->tokens))));
}

void doors_report(const struct doors *doors, bool open, struct log *log)
{
    if (doors->tls)
        report_certificate(doors->tls, log);
    else if (open)
        log_event(
            log, LOG_LEVEL_WARN,
            "other machines can reach this without TLS; set --tls-certificate and --tls-key, or let a proxy speak it",
            NULL, 0);
    report_tokens(doors, log);
    if (open && !*doors->settings->tokens_file)
        log_event(log, LOG_LEVEL_WARN, "other machines can use this without a token; set --tokens-file", NULL, 0);
}

/* ---- reading again ---- */

static void complain(struct log *log, const char *message, const struct esp_error *err)
{
    log_event(log, LOG_LEVEL_ERROR, message, LOG_FIELDS(log_text("problem", err->text)));
}

void doors_reload(struct doors *doors, struct log *log)
{
    struct esp_error err = {0};

    if (tokens_reload(doors->tokens, &err) == ESP_OK)
        report_tokens(doors, log);
    else
        complain(log, "tokens not read again; the former ones stay", &err);
    if (!doors->tls)
        return;
    err = (struct esp_error){0};
    if (tls_reload(doors->tls, &err) == ESP_OK)
        report_certificate(doors->tls, log);
    else
        complain(log, "certificate not read again; the former one stays", &err);
}
