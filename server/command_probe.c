/* espalier probe: asks a daemon whether it is ready, for health checks where there is no shell and no curl. */
#include "server/clock.h"
#include "server/commands.h"
#include "server/config/settings.h"
#include "server/config/values.h"
#include "server/probe/ask.h"

#include <getopt.h>
#include <stdio.h>

enum { DEFAULT_TIMEOUT_MS = 2000, TIMEOUT_MS_MAX = 3600000 };

static const char usage[] =
    "Usage: espalier probe [URL] [options]\n"
    "\n"
    "Asks a daemon whether it is ready. Exits 0 if it is, 1 if it is not, with a line that says\n"
    "why, 2 if it cannot understand what it is told.\n"
    "\n"
    "URL is http://HOST:PORT or http://HOST:PORT/PATH, or the same with https://; /readyz unless\n"
    "it has a path. Without it, the daemon is asked where `espalier serve` listens, and with TLS\n"
    "if it has a certificate, as told by its environment or the configuration file. Whose the\n"
    "certificate is, is not looked at.\n"
    "\n"
    "  --timeout-ms N  the answer has to be there after it, from 1 to 3600000 (2000)\n"
    "  --config FILE   the daemon's configuration file (ESPALIER_CONFIG)\n"
    "  --help          this text\n";

struct options {
    const char *url, *config; /* NULL: not given */
    uint64_t timeout_ms;
};

static int fail(const struct esp_error *err)
{
    fprintf(stderr, "espalier probe: %s\n", err->text);
    return err->status == ESP_ERROR_ARGUMENT ? 2 : 1;
}

/* Returns -1 to go on, or the exit status. */
static int parse(struct options *options, int argc, char **argv)
{
    static const struct option flags[] = {{"timeout-ms", required_argument, NULL, 't'},
                                          {"config", required_argument, NULL, 'c'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    struct esp_error err = {0};

    for (int flag; (flag = getopt_long(argc, argv, "", flags, NULL)) != -1;) {
        switch (flag) {
        case 't': value_number("--timeout-ms", optarg, 1, TIMEOUT_MS_MAX, &options->timeout_ms, &err); break;
        case 'c': options->config = optarg; break;
        case 'h': fputs(usage, stdout); return 0;
        default: fputs("espalier probe --help lists the options\n", stderr); return 2;
        }
    }
    if (optind + 1 < argc)
        esp_fail(&err, ESP_ERROR_ARGUMENT, "\"%s\" is too much; one URL is asked", argv[optind + 1]);
    options->url = argv[optind];
    return err.status == ESP_OK ? -1 : fail(&err);
}

/* The settings of `espalier serve`, as far as environment and file tell them. */
static enum esp_status find_listener(const struct options *options, struct probe_target *target, struct esp_error *err)
{
    char *argv[] = {(char *)"serve", (char *)"--config", (char *)options->config, NULL};
    struct settings settings;
    enum esp_status status = settings_read(&settings, options->config ? 3 : 1, argv, err);

    if (status == ESP_OK)
        status = probe_target_of_listener(target, settings.listen, *settings.tls_certificate != 0, err);
    settings_free(&settings);
    return status;
}

int esp_command_probe(int argc, char **argv)
{
    struct options options = {.timeout_ms = DEFAULT_TIMEOUT_MS};
    uint64_t start = clock_now();
    struct probe_target target;
    struct esp_error err = {0};
    int status = parse(&options, argc, argv);

    if (status >= 0)
        return status;
    if (options.url ? probe_target_of_url(&target, options.url, &err) : find_listener(&options, &target, &err))
        return fail(&err);
    return probe_ask(&target, start + options.timeout_ms * 1000000, &err) == ESP_OK ? 0 : fail(&err);
}
