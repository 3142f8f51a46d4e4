/* espalier serve: from the settings to a running server, and in good order down again. */
#include "server/account.h"
#include "server/clock.h"
#include "server/commands.h"
#include "server/config/settings.h"
#include "server/http/listener.h"
#include "server/http/transport.h"
#include "server/process.h"
#include "server/routes.h"
#include "server/service.h"
#include "server/signals.h"

#include <stdio.h>
#include <unistd.h>

/* For the answers of requests that were given up when draining took too long. */
enum { LAST_ANSWERS_MS = 500 };

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

/* ---- the application behind the transport ---- */

static void admit(void *context, struct exchange *exchange)
{
    routes_admit(context, exchange);
}

static void handle(void *context, struct exchange *exchange)
{
    routes_handle(context, exchange);
}

static void finished(void *context, const struct exchange *exchange, enum exchange_end end)
{
    account_request(context, exchange, end);
}

static unsigned retry_ms(void *context)
{
    return service_retry_ms(context);
}

static void sweep(void *context)
{
    service_sweep(context);
}

static enum esp_status start(struct service *service, int socket, const struct trusted *trusted, struct esp_error *err)
{
    const struct settings *settings = service->settings;
    struct application application = {.context = service,
                                      .admit = admit,
                                      .handle = handle,
                                      .finished = finished,
                                      .retry_ms = retry_ms,
                                      .sweep = sweep};
    struct transport_settings wanted = {.socket = socket,
                                        .threads = (unsigned)settings->io_threads,
                                        .connections = (unsigned)settings->connections,
                                        .idle_timeout = (unsigned)settings->idle_timeout,
                                        .header_ms = settings->header_timeout_ms,
                                        .body_ms = settings->body_timeout_ms,
                                        .send_ms = settings->send_timeout_ms,
                                        .body_max = settings->max_body,
                                        .bodies_max = settings->queue_bytes,
                                        .trusted = trusted};
    return transport_start(&service->transport, &wanted, &application, err);
}

/* ---- up and down ---- */

static void announce(const struct service *service, const char *url)
{
    struct network *network = repository_take(service->repository, NULL, 0);
    char names[512];

    repository_names(service->repository, names, sizeof names);
    printf("espalier: serving %s (%s, %s, %zu instance%s) at %s\n", names, network->info->kernels,
           network->info->precision, service->instances, service->instances == 1 ? "" : "s", url);
    fflush(stdout);
    log_event(service->log, LOG_LEVEL_INFO, "serving",
              LOG_FIELDS(log_text("url", url), log_text("version", ESP_VERSION), log_text("models", names),
                         log_text("kernels", network->info->kernels), log_text("precision", network->info->precision),
                         log_number("instances", service->instances)));
    repository_release(service->repository, network);
}

static void follow_signals(struct service *service)
{
    while (signals_wait() == SIGNALS_RELOAD) {
        log_event(service->log, LOG_LEVEL_INFO, "loading all networks anew", NULL, 0);
        service_reload(service);
    }
}

/* First the world is told, and served on until it has heard. Then the requests under way finish; those that take too
 * long are answered 503 where no answer has begun. */
static void drain(struct service *service)
{
    const struct settings *settings = service->settings;

    log_event(service->log, LOG_LEVEL_INFO, "draining", LOG_FIELDS(log_number("delay_ms", settings->drain_delay_ms)));
    service_drain(service);
    clock_sleep_ms((unsigned)settings->drain_delay_ms);
    transport_last_call(service->transport);
    if (!transport_wait(service->transport, settings->drain_timeout_ms))
        log_event(service->log, LOG_LEVEL_WARN, "requests took too long to finish",
                  LOG_FIELDS(log_number("drain_timeout_ms", settings->drain_timeout_ms)));
    service_stop(service);
    transport_wait(service->transport, LAST_ANSWERS_MS);
}

static enum esp_status serve(struct service *service, const struct listener *listener, struct esp_error *err)
{
    struct trusted trusted;
    enum esp_status status = trusted_parse(service->settings->trusted_proxies, &trusted, err);

    if (status != ESP_OK || (status = start(service, listener->socket, &trusted, err)) != ESP_OK)
        return status;
    service_ready(service);
    announce(service, listener->url);
    follow_signals(service);
    drain(service);
    transport_stop(&service->transport);
    log_event(service->log, LOG_LEVEL_INFO, "stopped", NULL, 0);
    return ESP_OK;
}

static enum esp_status open_log(struct log **log, const struct settings *settings, struct esp_error *err)
{
    struct log_settings wanted = {.descriptor = STDERR_FILENO};
    enum esp_status status = log_format_parse("log-format", settings->log_format, &wanted.format, err);

    if (status == ESP_OK)
        status = log_level_parse("log-level", settings->log_level, &wanted.level, err);
    return status == ESP_OK ? log_open(log, &wanted, err) : status;
}

static enum esp_status run_with_log(const struct settings *settings, const struct listener *listener, struct log *log,
                                    struct esp_error *err)
{
    static struct service service; /* its counters are a little large for the stack */
    enum esp_status status = service_open(&service, settings, log, err);

    if (status == ESP_OK)
        status = serve(&service, listener, err);
    service_close(&service);
    return status;
}

static enum esp_status run(const struct settings *settings, struct esp_error *err)
{
    uint64_t few_files = process_prepare(settings->connections);
    struct listener listener;
    struct log *log = NULL;
    enum esp_status status = listener_open(&listener, settings->listen, err);

    if (status != ESP_OK)
        return status;
    signals_catch();
    status = open_log(&log, settings, err);
    if (few_files)
        log_event(log, LOG_LEVEL_WARN, "too few open files are allowed; raise ulimit -n or lower --connections",
                  LOG_FIELDS(log_number("files", few_files), log_number("connections", settings->connections)));
    if (status == ESP_OK)
        status = run_with_log(settings, &listener, log, err);
    log_close(&log);
    close(listener.socket);
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
