/* espalier serve: from the settings to a running server, and in good order down again. */
#include "server/account.h"
#include "server/clock.h"
#include "server/commands.h"
#include "server/config/settings.h"
#include "server/doors.h"
#include "server/http/listener.h"
#include "server/http/transport.h"
#include "server/process.h"
#include "server/routes.h"
#include "server/service.h"
#include "server/signals.h"

#include <stdio.h>
#include <unistd.h>

enum {
    LAST_ANSWERS_MS = 500, /* for the answers of requests that were given up when draining took too long */
    ADMIN_CONNECTIONS = 64 /* of the administration's own listener */
};

static const char usage[] = "Usage: espalier serve [OPTION...]\n"
                            "\n"
                            "Answers HTTP requests until it gets SIGTERM or SIGINT. Every option may stand in the\n"
                            "environment, too, or as \"queue-depth = 64\" in a configuration file: options beat the\n"
                            "environment, which beats the file.\n"
                            "\n"
                            "  --help=config    print a configuration file with all defaults\n"
                            "  --help=markdown  print the table of the documentation\n"
                            "\n";

static int fail(const struct esp_error *err)
{
    fprintf(stderr, "espalier serve: %s\n", err->text);
    return err->status == ESP_ERROR_ARGUMENT ? 2 : 1;
}

/* A listener, and what brings the requests that come through it. */
struct entry {
    struct service *service;
    enum entrance entrance;
    struct listener listener;
    struct transport *transport;
};

/* The second one is for the administration, if it has one of its own. */
struct entries {
    struct entry main, admin;
    bool two;
};

/* ---- the application behind the transport ---- */

static void admit(void *context, struct exchange *exchange)
{
    struct entry *entry = context;
    routes_admit(entry->service, entry->entrance, exchange);
}

static void handle(void *context, struct exchange *exchange)
{
    routes_handle(((struct entry *)context)->service, exchange);
}

static void finished(void *context, const struct exchange *exchange, enum exchange_end end)
{
    account_request(((struct entry *)context)->service, exchange, end);
}

static unsigned retry_ms(void *context)
{
    return service_retry_ms(((struct entry *)context)->service);
}

static void sweep(void *context)
{
    service_sweep(((struct entry *)context)->service);
}

static enum esp_status start(struct entry *entry, struct service *service, const struct trusted *trusted,
                             struct esp_error *err)
{
    const struct settings *settings = service->settings;
    struct application application = {
        .context = entry, .admit = admit, .handle = handle, .finished = finished, .retry_ms = retry_ms, .sweep = sweep};
    struct transport_settings wanted = {.socket = entry->listener.socket,
                                        .threads = (unsigned)settings->io_threads,
                                        .connections = (unsigned)settings->connections,
                                        .idle_timeout = (unsigned)settings->idle_timeout,
                                        .header_ms = settings->header_timeout_ms,
                                        .body_ms = settings->body_timeout_ms,
                                        .send_ms = settings->send_timeout_ms,
                                        .body_max = settings->max_body,
                                        .bodies_max = settings->queue_bytes,
                                        .header_max = settings->max_header,
                                        .per_address = (unsigned)settings->connections_per_address,
                                        .trusted = trusted,
                                        .tls = service->doors->tls,
                                        .cors = &service->doors->cors};
    if (entry->entrance ==
        ENTRANCE_ADMIN) { /* few come, none with a picture, and nothing waits in the queue for them */
        application.sweep = NULL;
        wanted.threads = 1;
        wanted.connections = ADMIN_CONNECTIONS;
        wanted.cors = NULL;
    }
    entry->service = service;
    return transport_start(&entry->transport, &wanted, &application, err);
}

static enum esp_status start_all(struct entries *entries, struct service *service, const struct trusted *trusted,
                                 struct esp_error *err)
{
    service->transport = &entries->main.transport;
    enum esp_status status = start(&entries->main, service, trusted, err);
    return status == ESP_OK && entries->two ? start(&entries->admin, service, trusted, err) : status;
}

static void stop_all(struct entries *entries)
{
    transport_stop(&entries->admin.transport);
    transport_stop(&entries->main.transport);
}

/* ---- up and down ---- */

static void announce(const struct service *service, const struct entries *entries)
{
    struct network *network = repository_take(service->repository, NULL, 0);
    const char *url = entries->main.listener.url, *admin = entries->two ? entries->admin.listener.url : NULL;
    char names[512];

    repository_names(service->repository, names, sizeof names);
    printf("espalier: serving %s (%s, %s, %zu instance%s) at %s%s%s\n", names, network->info->kernels,
           network->info->precision, service->instances, service->instances == 1 ? "" : "s", url,
           admin ? ", administration at " : "", admin ? admin : "");
    fflush(stdout);
    log_event(service->log, LOG_LEVEL_INFO, "serving",
              LOG_FIELDS(log_text("url", url), log_text("admin_url", admin), log_text("version", ESP_VERSION),
                         log_text("models", names), log_text("kernels", network->info->kernels),
                         log_text("precision", network->info->precision), log_number("instances", service->instances)));
    repository_release(service->repository, network);
}

static void follow_signals(struct service *service)
{
    while (signals_wait() == SIGNALS_RELOAD) {
        log_event(service->log, LOG_LEVEL_INFO, "loading all networks anew", NULL, 0);
        doors_reload(service->doors, service->log);
        service_reload(service);
    }
}

/* First the world is told, and served on until it has heard. Then the requests under way finish; those that take too
 * long are answered 503 where no answer has begun. */
static void drain(struct entries *entries, struct service *service)
{
    const struct settings *settings = service->settings;

    log_event(service->log, LOG_LEVEL_INFO, "draining", LOG_FIELDS(log_number("delay_ms", settings->drain_delay_ms)));
    service_drain(service);
    clock_sleep_ms((unsigned)settings->drain_delay_ms);
    transport_last_call(entries->main.transport);
    if (entries->two)
        transport_last_call(entries->admin.transport);
    if (!transport_wait(entries->main.transport, settings->drain_timeout_ms))
        log_event(service->log, LOG_LEVEL_WARN, "requests took too long to finish",
                  LOG_FIELDS(log_number("drain_timeout_ms", settings->drain_timeout_ms)));
    service_stop(service);
    transport_wait(entries->main.transport, LAST_ANSWERS_MS);
    if (entries->two)
        transport_wait(entries->admin.transport, LAST_ANSWERS_MS);
}

static enum esp_status serve(struct service *service, struct entries *entries, struct esp_error *err)
{
    struct trusted trusted;
    enum esp_status status = trusted_parse(service->settings->trusted_proxies, &trusted, err);

    if (status == ESP_OK)
        status = start_all(entries, service, &trusted, err);
    if (status == ESP_OK) {
        service_ready(service);
        announce(service, entries);
        doors_report(service->doors, !entries->main.listener.loopback, service->log);
        follow_signals(service);
        drain(entries, service);
    }
    stop_all(entries);
    if (status == ESP_OK)
        log_event(service->log, LOG_LEVEL_INFO, "stopped", NULL, 0);
    return status;
}

static enum esp_status open_log(struct log **log, const struct settings *settings, struct esp_error *err)
{
    struct log_settings wanted = {.descriptor = STDERR_FILENO};
    enum esp_status status = log_format_parse("log-format", settings->log_format, &wanted.format, err);

    if (status == ESP_OK)
        status = log_level_parse("log-level", settings->log_level, &wanted.level, err);
    return status == ESP_OK ? log_open(log, &wanted, err) : status;
}

static enum esp_status run_with_log(const struct settings *settings, struct entries *entries, struct doors *doors,
                                    struct log *log, struct esp_error *err)
{
    static struct service service; /* its counters are a little large for the stack */
    enum esp_status status = service_open(&service, settings, log, err);

    service.doors = doors;
    if (status == ESP_OK)
        status = serve(&service, entries, err);
    service_close(&service);
    return status;
}

static enum esp_status run_with_entries(const struct settings *settings, struct entries *entries, struct doors *doors,
                                        uint64_t few_files, struct esp_error *err)
{
    struct log *log = NULL;

    signals_catch();
    enum esp_status status = open_log(&log, settings, err);
    if (few_files)
        log_event(log, LOG_LEVEL_WARN, "too few open files are allowed; raise ulimit -n or lower --connections",
                  LOG_FIELDS(log_number("files", few_files), log_number("connections", settings->connections)));
    if (status == ESP_OK)
        status = run_with_log(settings, entries, doors, log, err);
    log_close(&log);
    return status;
}

static enum esp_status listen_at_all(struct entries *entries, const struct settings *settings, struct esp_error *err)
{
    const char *scheme = *settings->tls_certificate ? "https" : "http";
    enum esp_status status = listener_open(&entries->main.listener, settings->listen, scheme, err);

    if (status != ESP_OK || !*settings->admin_listen)
        return status;
    status = listener_open(&entries->admin.listener, settings->admin_listen, scheme, err);
    if (status == ESP_OK)
        entries->two = true;
    else
        close(entries->main.listener.socket);
    return status;
}

static enum esp_status run(const struct settings *settings, struct esp_error *err)
{
    uint64_t few_files = process_prepare(settings->connections + (*settings->admin_listen ? ADMIN_CONNECTIONS : 0));
    struct entries entries = {.main.entrance = ENTRANCE_MAIN, .admin.entrance = ENTRANCE_ADMIN};
    struct doors doors;
    enum esp_status status = doors_open(&doors, settings, err);

    if (status == ESP_OK)
        status = listen_at_all(&entries, settings, err);
    if (status == ESP_OK) {
        status = run_with_entries(settings, &entries, &doors, few_files, err);
        close(entries.main.listener.socket);
        if (entries.two)
            close(entries.admin.listener.socket);
    }
    doors_close(&doors);
    return status;
}

static int help(enum settings_help form)
{
    if (form == HELP_TEXT)
        fputs(usage, stdout);
    settings_help(form, stdout);
    return 0;
}

int esp_command_serve(int argc, char **argv)
{
    struct esp_error err = {0};
    struct settings settings;
    enum esp_status status = settings_read(&settings, argc, argv, &err);

    if (status == ESP_OK && settings.help)
        return help(settings.help);
    if (status == ESP_OK)
        status = settings_complete(&settings, &err);
    if (status == ESP_OK)
        status = run(&settings, &err);
    settings_free(&settings);
    return status == ESP_OK ? 0 : fail(&err);
}
