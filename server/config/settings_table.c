#include "server/config/settings_table.h"

#include "espalier/limits.h"
#include "server/config/values.h"

#include <ctype.h>
#include <string.h>

#define FIELD(field) offsetof(struct settings, field)

static const char start[] = "Start", network[] = "The network", load[] = "Load", connections[] = "Connections",
                  stopping[] = "Stopping", doors[] = "Doors", administration[] = "Administration", logs[] = "Logs";

const struct setting setting_table[] = {
    {start, "config", TEXT, FIELD(config), 0, 0, "", "FILE",
     "a file with lines such as queue-depth = 64; flags and environment beat it"},
    {start, "listen", TEXT, FIELD(listen), 0, 0, "127.0.0.1:8080", "ADDRESS:PORT",
     "where to listen; IPv6 as [::1]:8080; port 0 takes a free one"},

    {network, "model", TEXT, FIELD(model), 0, 0, "", "DIRECTORY",
     "the network, or a directory of several; the bundled one unless given"},
    {network, "default-model", TEXT, FIELD(default_model), 0, 0, "", "NAME",
     "the network of requests that name none; the first by name unless given"},
    {network, "kernels", TEXT, FIELD(kernels), 0, 0, "auto", "NAME", "the kernel set that computes"},
    {network, "precision", CHOICE, FIELD(precision), 0, 0, "auto", VALUE_PRECISIONS,
     "what it multiplies in; auto is bf16 only where that is much faster"},
    {network, "instances", NUMBER, FIELD(instances), 0, 1024, "0", "NUMBER",
     "requests that run at a time; 0: the CPUs usable"},
    {network, "batch", NUMBER, FIELD(batch), 1, ESP_BATCH_MAX, "8", "NUMBER",
     "requests that one instance runs together, if they wait anyway; 1: none"},

    {load, "queue-depth", NUMBER, FIELD(queue_depth), 1, 65536, "256", "NUMBER",
     "requests that may wait; more are told 429"},
    {load, "queue-macs", NUMBER, FIELD(queue_macs), 0, (uint64_t)1 << 50, "0", "MACS",
     "multiply-accumulates that may wait; more are told 429; 0: those of queue-depth whole networks"},
    {load, "queue-bytes", NUMBER, FIELD(queue_bytes), 1024, (uint64_t)1 << 40, "268435456", "BYTES",
     "what the bodies of all requests may take together; more are told 429, but one alone always fits"},
    {load, "timeout-ms", NUMBER, FIELD(timeout_ms), 1, 3600000, "30000", "MILLISECONDS",
     "a request that still waits after it is told 504"},
    {load, "max-body", NUMBER, FIELD(max_body), 1024, 1u << 30, "33554432", "BYTES", "largest body of a request"},
    {load, "max-header", NUMBER, FIELD(max_header), 4096, 1u << 20, "65536", "BYTES",
     "memory for a request's header, of which a little is for other things; a longer one is told 431"},
    {load, "max-pixels", NUMBER, FIELD(max_pixels), 1, 1u << 30, "100000000", "NUMBER",
     "largest image, width x height"},

    {connections, "io-threads", NUMBER, FIELD(io_threads), 1, 64, "2", "NUMBER",
     "threads that read requests and write answers"},
    {connections, "connections", NUMBER, FIELD(connections), 1, 65536, "1024", "NUMBER", "clients connected at a time"},
    {connections, "connections-per-address", NUMBER, FIELD(connections_per_address), 0, 65536, "0", "NUMBER",
     "those of one address; more are closed at once; 0: any number, as behind a balancer all have one address"},
    {connections, "idle-timeout", NUMBER, FIELD(idle_timeout), 1, 86400, "30", "SECONDS",
     "a silent connection is closed after it"},
    {connections, "header-timeout-ms", NUMBER, FIELD(header_timeout_ms), 10, 3600000, "10000", "MILLISECONDS",
     "a request's header has to be complete after it, however it trickles in"},
    {connections, "body-timeout-ms", NUMBER, FIELD(body_timeout_ms), 10, 3600000, "60000", "MILLISECONDS",
     "so has its body, counted from the header"},
    {connections, "send-timeout-ms", NUMBER, FIELD(send_timeout_ms), 10, 3600000, "60000", "MILLISECONDS",
     "a client has to have taken its answer after it"},
    {connections, "trusted-proxies", TEXT, FIELD(trusted_proxies), 0, 0, "", "LIST",
     "addresses and networks (10.0.0.0/8,::1) whose X-Forwarded-For is believed"},

    {doors, "tls-certificate", TEXT, FIELD(tls_certificate), 0, 0, "", "FILE",
     "for HTTPS: the certificate in PEM, and behind it those that lead to its authority; SIGHUP reads it again"},
    {doors, "tls-key", TEXT, FIELD(tls_key), 0, 0, "", "FILE",
     "the key to it, in PEM and without a password; likewise"},
    {doors, "tokens-file", TEXT, FIELD(tokens_file), 0, 0, "", "FILE",
     "who may ask: in each line a token, and a name for the log if you like; likewise; everybody unless given"},
    {doors, "open-metrics", CHOICE, FIELD(open_metrics), 0, 0, "no", "no|yes", "whether /metrics wants no token"},
    {doors, "cors-origins", TEXT, FIELD(cors_origins), 0, 0, "", "LIST",
     "whose pages may read the answers in a browser, such as https://app.example; * for any"},

    {stopping, "drain-delay-ms", NUMBER, FIELD(drain_delay_ms), 0, 3600000, "0", "MILLISECONDS",
     "how long shutting down goes on serving while /readyz says 503, for balancers to notice"},
    {stopping, "drain-timeout-ms", NUMBER, FIELD(drain_timeout_ms), 0, 3600000, "10000", "MILLISECONDS",
     "how long it then waits for the requests under way"},

    {administration, "admin-token", SECRET, FIELD(admin_token), SETTING_SECRET_LEAST, SETTING_SECRET_MOST, "", "TOKEN",
     "who sends it may load and unload networks; better in a file, as others can read command lines"},
    {administration, "admin-token-file", TEXT, FIELD(admin_token_file), 0, 0, "", "FILE",
     "the same, as the first line of a file"},

    {administration, "admin-listen", TEXT, FIELD(admin_listen), 0, 0, "", "ADDRESS:PORT",
     "where else to listen for loading and unloading, which is possible only there then"},
    {administration, "admin-metrics", CHOICE, FIELD(admin_metrics), 0, 0, "no", "no|yes",
     "whether /metrics, too, is only there"},

    {logs, "log-format", CHOICE, FIELD(log_format), 0, 0, "text", "text|json", "lines for people or for programs"},
    {logs, "log-level", CHOICE, FIELD(log_level), 0, 0, "info", "debug|info|warn|error|off",
     "the least that is logged"},
    {0}};

_Static_assert(sizeof setting_table / sizeof *setting_table <= SETTINGS_MAX, "raise SETTINGS_MAX");

const struct setting *setting_find(const char *name, size_t length)
{
    for (const struct setting *setting = setting_table; setting->name; setting++)
        if (strlen(setting->name) == length && !memcmp(setting->name, name, length))
            return setting;
    return NULL;
}

void setting_environment(const struct setting *setting, char name[SETTING_ENVIRONMENT_MAX])
{
    int length = snprintf(name, SETTING_ENVIRONMENT_MAX, "ESPALIER_%s", setting->name);
    for (int i = 0; i < length; i++)
        name[i] = name[i] == '-' ? '_' : (char)toupper((unsigned char)name[i]);
}

enum esp_status setting_set(const struct setting *setting, struct settings *settings, const char *said,
                            const char *value, struct esp_error *err)
{
    void *field = (char *)settings + setting->offset;
    enum esp_status status = ESP_OK;

    if (setting->type == NUMBER)
        return value_number(said, value, setting->least, setting->most, field, err);
    if (setting->type == CHOICE)
        status = value_choice(said, value, setting->unit, err);
    if (setting->type == SECRET && *value)
        status = value_secret(said, value, setting->least, setting->most, err);
    if (status == ESP_OK)
        *(const char **)field = value;
    return status;
}
