/* espalier serve: from the settings to a running server, and in good order down again. */
#include "server/clock.h"
#include "server/commands.h"
#include "server/config/settings.h"
#include "server/http/listener.h"
#include "server/http/transport.h"
#include "server/routes.h"
#include "server/service.h"

#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    SPARE_FILES = 64,     /* open files beside the connections */
    LAST_ANSWERS_MS = 500 /* for the answers of requests that were given up when draining took too long */
};

static const char usage[] = "Usage: espalier serve [OPTION...]\n"
                            "\n"
                            "Answers HTTP requests until it gets SIGTERM or SIGINT. Every option has an environment\n"
                            "variable; the option beats it.\n"
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

/* A request that nobody was there to be answered is not counted among the answers. */
static void finished(void *context, const struct exchange *exchange, enum exchange_end end)
{
    (void)end;
    if (exchange->response.status)
        service_count(context, exchange);
}

static unsigned retry_ms(void *context)
{
    return service_retry_ms(context);
}

static enum esp_status start(struct transport **transport, struct service *service, int socket, struct esp_error *err)
{
    const struct settings *settings = service->settings;
    struct application application = {
        .context = service, .admit = admit, .handle = handle, .finished = finished, .retry_ms = retry_ms};
    struct transport_settings wanted = {.socket = socket,
                                        .threads = (unsigned)settings->io_threads,
                                        .connections = (unsigned)settings->connections,
                                        .idle_timeout = (unsigned)settings->idle_timeout,
                                        .header_ms = settings->header_timeout_ms,
                                        .body_ms = settings->body_timeout_ms,
                                        .send_ms = settings->send_timeout_ms,
                                        .body_max = settings->max_body,
                                        .bodies_max = settings->queue_bytes};
    return transport_start(transport, &wanted, &application, err);
}

/* ---- signals ---- */

/* Handlers rather than blocked signals and sigwait(): a library's own threads, such as OpenBLAS starts when it is
 * loaded, block nothing, and would end the process. */
static sem_t signalled;
static atomic_int signals_seen;

/* The second signal does not wait for anything. */
static void on_signal(int number)
{
    (void)number;
    if (atomic_fetch_add(&signals_seen, 1) > 0)
        _exit(1);
    sem_post(&signalled);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    sem_init(&signalled, 0, 0);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

static void wait_for_signal(void)
{
    while (sem_wait(&signalled) != 0)
        ; /* interrupted: look again */
}

/* ---- up and down ---- */

/* A connection is an open file, and the usual limit is just the usual number of connections. */
static void allow_files(uint64_t connections)
{
    struct rlimit limit;
    rlim_t wanted = connections + SPARE_FILES;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > wanted ? wanted : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < wanted)
        fprintf(stderr, "espalier serve: only %llu open files are allowed; raise ulimit -n or lower --connections\n",
                (unsigned long long)limit.rlim_cur);
}

static void announce(const struct service *service, const char *url)
{
    const struct esp_model_info *info = esp_model_info(service->model);

    printf("espalier: serving %s (%s, %s, %zu instance%s) at %s\n", info->name, info->kernels, info->precision,
           service->instances, service->instances == 1 ? "" : "s", url);
    fflush(stdout);
}

/* First the world is told, and served on until it has heard. Then the requests under way finish; those that take too
 * long are answered 503 where no answer has begun. */
static void drain(struct service *service, struct transport *transport)
{
    const struct settings *settings = service->settings;

    service_drain(service);
    clock_sleep_ms((unsigned)settings->drain_delay_ms);
    transport_last_call(transport);
    transport_wait(transport, settings->drain_timeout_ms);
    service_stop(service);
    transport_wait(transport, LAST_ANSWERS_MS);
}

static enum esp_status serve(struct service *service, const struct listener *listener, struct esp_error *err)
{
    struct transport *transport;
    enum esp_status status = start(&transport, service, listener->socket, err);

    if (status != ESP_OK)
        return status;
    service_ready(service);
    announce(service, listener->url);
    wait_for_signal();
    drain(service, transport);
    transport_stop(&transport);
    return ESP_OK;
}

static enum esp_status run(const struct settings *settings, struct esp_error *err)
{
    static struct service service; /* its counters are a little large for the stack */
    struct listener listener;
    enum esp_status status = listener_open(&listener, settings->listen, err);

    if (status != ESP_OK)
        return status;
    allow_files(settings->connections);
    catch_signals();
    status = service_open(&service, settings, err);
    if (status == ESP_OK)
        status = serve(&service, &listener, err);
    service_close(&service);
    close(listener.socket);
    return status;
}

int esp_command_serve(int argc, char **argv)
{
    struct esp_error err = {0};
    struct settings settings;

    if (settings_read(&settings, argc, argv, &err) != ESP_OK)
        return fail(&err);
    if (settings.help) {
        fputs(usage, stdout);
        settings_help(stdout);
        return 0;
    }
    return run(&settings, &err) == ESP_OK ? 0 : fail(&err);
}
