#include "server/config/settings.h"

#include "espalier/limits.h"
#include "server/config/values.h"

#include <ctype.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum type { TEXT, NUMBER, PRECISION };

struct setting {
    const char *name;
    enum type type;
    size_t offset; /* in struct settings */
    uint64_t least, most;
    const char *initial; /* the default, as one would write it */
    const char *unit;    /* what to write there */
    const char *help;
};

#define FIELD(field) offsetof(struct settings, field)

static const struct setting table[] = {
    {"listen", TEXT, FIELD(listen), 0, 0, "127.0.0.1:8080", "ADDRESS:PORT",
     "where to listen; IPv6 as [::1]:8080; port 0 takes a free one"},
    {"model", TEXT, FIELD(model), 0, 0, "", "DIRECTORY",
     "the network, or a directory of several; the bundled one unless given"},
    {"default-model", TEXT, FIELD(default_model), 0, 0, "", "NAME",
     "the network of requests that name none; the first by name unless given"},
    {"instances", NUMBER, FIELD(instances), 0, 1024, "0", "NUMBER", "requests that run at a time; 0: the CPUs usable"},
    {"batch", NUMBER, FIELD(batch), 1, ESP_BATCH_MAX, "8", "NUMBER",
     "requests that one instance runs together, if they wait anyway; 1: none"},
    {"kernels", TEXT, FIELD(kernels), 0, 0, "auto", "NAME", "the kernel set that computes"},
    {"precision", PRECISION, FIELD(precision), 0, 0, "auto", "WORD",
     "what it multiplies in: fp32, bf16, or auto, which is bf16 only where that is much faster"},
    {"queue-depth", NUMBER, FIELD(queue_depth), 1, 65536, "256", "NUMBER", "requests that may wait; more are told 429"},
    {"queue-macs", NUMBER, FIELD(queue_macs), 0, (uint64_t)1 << 50, "0", "MACS",
     "multiply-accumulates that may wait; more are told 429; 0: those of queue-depth whole networks"},
    {"queue-bytes", NUMBER, FIELD(queue_bytes), 1024, (uint64_t)1 << 40, "268435456", "BYTES",
     "what the bodies of all requests may take together; more are told 429"},
    {"timeout-ms", NUMBER, FIELD(timeout_ms), 1, 3600000, "30000", "MILLISECONDS",
     "a request that still waits after it is told 504"},
    {"io-threads", NUMBER, FIELD(io_threads), 1, 64, "2", "NUMBER", "threads that read requests and write answers"},
    {"connections", NUMBER, FIELD(connections), 1, 65536, "1024", "NUMBER", "clients connected at a time"},
    {"max-body", NUMBER, FIELD(max_body), 1024, 1u << 30, "33554432", "BYTES", "largest body of a request"},
    {"max-pixels", NUMBER, FIELD(max_pixels), 1, 1u << 30, "100000000", "NUMBER", "largest image, width x height"},
    {"idle-timeout", NUMBER, FIELD(idle_timeout), 1, 86400, "30", "SECONDS", "a silent connection is closed after it"},
    {"header-timeout-ms", NUMBER, FIELD(header_timeout_ms), 10, 3600000, "10000", "MILLISECONDS",
     "a request's header has to be complete after it, however it trickles in"},
    {"body-timeout-ms", NUMBER, FIELD(body_timeout_ms), 10, 3600000, "60000", "MILLISECONDS",
     "so has its body, counted from the header"},
    {"send-timeout-ms", NUMBER, FIELD(send_timeout_ms), 10, 3600000, "60000", "MILLISECONDS",
     "a client has to have taken its answer after it"},
    {"drain-delay-ms", NUMBER, FIELD(drain_delay_ms), 0, 3600000, "0", "MILLISECONDS",
     "how long shutting down goes on serving while /readyz says 503, for balancers to notice"},
    {"drain-timeout-ms", NUMBER, FIELD(drain_timeout_ms), 0, 3600000, "10000", "MILLISECONDS",
     "how long it then waits for the requests under way"},
    {"admin-token", TEXT, FIELD(admin_token), 0, 0, "", "TOKEN",
     "who sends it may load and unload networks; better in the environment, as others can read command lines"},
    {"admin-token-file", TEXT, FIELD(admin_token_file), 0, 0, "", "FILE", "the same, as the first line of a file"},
    {"trusted-proxies", TEXT, FIELD(trusted_proxies), 0, 0, "", "LIST",
     "addresses and networks (10.0.0.0/8,::1) whose X-Forwarded-For is believed"},
    {"log-format", TEXT, FIELD(log_format), 0, 0, "text", "WORD", "text or json"},
    {"log-level", TEXT, FIELD(log_level), 0, 0, "info", "WORD", "debug, info, warn, error or off"},
};

enum { SETTINGS = sizeof table / sizeof table[0], ENVIRONMENT_NAME_MAX = 64 };

/* "queue-depth" is ESPALIER_QUEUE_DEPTH. */
static void environment_name(const struct setting *setting, char name[ENVIRONMENT_NAME_MAX])
{
    int length = snprintf(name, ENVIRONMENT_NAME_MAX, "ESPALIER_%s", setting->name);
    for (int i = 0; i < length; i++)
        name[i] = name[i] == '-' ? '_' : (char)toupper((unsigned char)name[i]);
}

/* `said` is how the person gave it: "--queue-depth" or "ESPALIER_QUEUE_DEPTH". */
static enum esp_status set(struct settings *settings, const struct setting *setting, const char *said,
                           const char *value, struct esp_error *err)
{
    char *field = (char *)settings + setting->offset;
    uint64_t number = 0;
    enum esp_precision precision;
    enum esp_status status = ESP_OK;

    if (setting->type == NUMBER) {
        status = value_number(said, value, setting->least, setting->most, &number, err);
        memcpy(field, &number, sizeof number);
        return status;
    }
    if (setting->type == PRECISION)
        status = value_precision(said, value, &precision, err);
    memcpy(field, &value, sizeof value);
    return status;
}

static enum esp_status set_from_environment(struct settings *settings, struct esp_error *err)
{
    char name[ENVIRONMENT_NAME_MAX];

    for (size_t i = 0; i < SETTINGS; i++) {
        environment_name(&table[i], name);
        const char *value = getenv(name);
        if (value && set(settings, &table[i], name, value, err) != ESP_OK)
            return err ? err->status : ESP_ERROR_ARGUMENT;
    }
    return ESP_OK;
}

static const struct setting *find(const char *name, size_t length)
{
    for (size_t i = 0; i < SETTINGS; i++)
        if (strlen(table[i].name) == length && !memcmp(table[i].name, name, length))
            return &table[i];
    return NULL;
}

/* Reads the flag at argv[*at] and its value, and moves *at to the last of the two. */
static enum esp_status set_from_flag(struct settings *settings, int argc, char **argv, int *at, struct esp_error *err)
{
    const char *flag = argv[*at];
    size_t length = strcspn(flag, "=");
    const struct setting *setting = strncmp(flag, "--", 2) ? NULL : find(flag + 2, length - 2);
    char said[ENVIRONMENT_NAME_MAX];

    if (!setting)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "there is no setting '%s'; see espalier serve --help", flag);
    if (flag[length] != '=' && *at + 1 >= argc)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "%s lacks its value; write %s %s", flag, flag, setting->unit);
    snprintf(said, sizeof said, "--%s", setting->name);
    return set(settings, setting, said, flag[length] == '=' ? flag + length + 1 : argv[++*at], err);
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return true;
    return false;
}

enum esp_status settings_read(struct settings *settings, int argc, char **argv, struct esp_error *err)
{
    *settings = (struct settings){.help = asks_for_help(argc, argv)};
    for (size_t i = 0; i < SETTINGS; i++)
        set(settings, &table[i], table[i].name, table[i].initial, NULL);
    if (settings->help)
        return ESP_OK;
    enum esp_status status = set_from_environment(settings, err);
    for (int i = 1; i < argc && status == ESP_OK; i++)
        status = set_from_flag(settings, argc, argv, &i, err);
    return status;
}

void settings_help(FILE *out)
{
    char name[ENVIRONMENT_NAME_MAX];

    for (size_t i = 0; i < SETTINGS; i++) {
        const struct setting *setting = &table[i];
        environment_name(setting, name);
        fprintf(out, "  --%s %s\n      %s", setting->name, setting->unit, setting->help);
        if (*setting->initial)
            fprintf(out, " (default %s", setting->initial);
        if (setting->type == NUMBER)
            fprintf(out, ", %" PRIu64 " to %" PRIu64, setting->least, setting->most);
        fprintf(out, "%s; %s\n", *setting->initial ? ")" : "", name);
    }
}
