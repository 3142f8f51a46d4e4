/* espalier serve: from the settings to a running server, and in good order down again. */
#include "server/clock.h"
#include "server/commands.h"
#include "server/config/settings.h"
#include "server/http/listener.h"
#include "server/http/transport.h"
#include "server/routes.h"
#include "server/service.h"

#include <malloc.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    SPARE_FILES = 64,         /* open files beside the connections */
    MAPPED_LEAST = 128 << 10, /* bytes; see give_memory_back */
    LAST_ANSWERS_MS = 500     /* for the answers of requests that were given up when draining took too long */
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

static void sweep(void *context)
{
    service_sweep(context);
}

static enum esp_status start(struct transport **transport, struct service *service, int socket, struct esp_error *err)
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
                                        .bodies_max = settings->queue_bytes};
    return transport_start(transport, &wanted, &application, err);
}

/* ---- signals ---- */

/* Handlers rather than blocked signals and sigwait(): a library's own threads, such as OpenBLAS starts when it is
 * loaded, block nothing, and would end the process. */
static sem_t signalled;
static atomic_int signals_seen;
static atomic_int reload_wanted;

/* The second signal does not wait for anything. */
static void on_signal(int number)
{
    (void)number;
    if (atomic_fetch_add(&signals_seen, 1) > 0)
        _exit(1);
    sem_post(&signalled);
}

static void on_hangup(int number)
{
    (void)number;
    atomic_store(&reload_wanted, 1);
    sem_post(&signalled);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    sem_init(&signalled, 0, 0);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &(struct sigaction){.sa_handler = on_hangup, .sa_flags = SA_RESTART}, NULL);
}

/* Until one that ends the service; the others are followed meanwhile. */
static void wait_for_signal(struct service *service)
{
    while (atomic_load(&signals_seen) == 0) {
        sem_wait(&signalled); /* or interrupted: look again */
        if (atomic_exchange(&reload_wanted, 0))
            service_reload(service);
    }
}

/* ---- up and down ---- */

/* What a network takes is mapped, each piece for itself, and unmapped when the network goes. The C library would learn
 * from the first such piece that is freed to take the next ones from a heap, which has holes then, and keeps them. */
static void give_memory_back(void)
{
    mallopt(M_MMAP_THRESHOLD, MAPPED_LEAST);
}

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
    struct network *network = repository_take(service->repository, NULL, 0);
    char names[512];

    repository_names(service->repository, names, sizeof names);
    printf("espalier: serving %s (%s, %s, %zu instance%s) at %s\n", names, network->info->kernels,
           network->info->precision, service->instances, service->instances == 1 ? "" : "s", url);
    fflush(stdout);
    repository_release(service->repository, network);
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
    wait_for_signal(service);
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
    give_memory_back();
    allow_files(settings->connections);
    catch_signals();
    status = service_open(&service, settings, err);
    if (status == ESP_OK)
        status = serve(&service, &listener, err);
    service_close(&service);
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
