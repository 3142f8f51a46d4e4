#include "server/probe/target.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char default_path[] = "/readyz", plain[] = "http://", secure[] = "https://";

/* What may stand in a request line: no space, nothing that ends a line, no #. */
static bool is_sendable(const char *text)
{
    while (*text > 0x20 && *text < 0x7f && *text != '#')
        text++;
    return *text == '\0';
}

static void write_url(struct probe_target *target)
{
    const struct place *place = &target->place;
    bool brackets = strchr(place->host, ':') != NULL;

    snprintf(target->authority, sizeof target->authority, "%s%s%s:%s", brackets ? "[" : "", place->host,
             brackets ? "]" : "", place->port);
    snprintf(target->url, sizeof target->url, "%s%s%s", target->tls ? secure : plain, target->authority, target->path);
}

static bool read_authority(const char *text, size_t length, const char *default_port, struct place *place)
{
    char with_port[PLACE_HOST_MAX + 16];

    if (memchr(text, '@', length))
        return false;
    if (place_read(text, length, place))
        return strcmp(place->port, "0") != 0;
    int written = snprintf(with_port, sizeof with_port, "%.*s%s", (int)length, text, default_port);
    return written < (int)sizeof with_port && place_read(with_port, (size_t)written, place);
}

enum esp_status probe_target_of_url(struct probe_target *target, const char *url, struct esp_error *err)
{
    target->tls = !strncasecmp(url, secure, strlen(secure));
    const char *scheme = target->tls ? secure : plain;
    if (strncasecmp(url, scheme, strlen(scheme)) || !is_sendable(url))
        return esp_fail(err, ESP_ERROR_ARGUMENT, "cannot ask '%.200s'; give a URL such as http://127.0.0.1:8080", url);

    const char *authority = url + strlen(scheme);
    size_t length = strcspn(authority, "/?");
    const char *path = authority + length;
    if (!read_authority(authority, length, target->tls ? ":443" : ":80", &target->place) || *path == '?')
        return esp_fail(err, ESP_ERROR_ARGUMENT, "cannot ask '%.200s'; give http://HOST:PORT or http://HOST:PORT/PATH",
                        url);
    if (strlen(path) >= PROBE_PATH_MAX)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "the URL's path is too long; %d characters are allowed",
                        PROBE_PATH_MAX - 1);
    snprintf(target->path, sizeof target->path, "%s", path[0] && path[1] ? path : default_path);
    write_url(target);
    return ESP_OK;
}

enum esp_status probe_target_of_listener(struct probe_target *target, const char *listen, bool tls,
                                         struct esp_error *err)
{
    struct place *place = &target->place;

    target->tls = tls;
    if (!place_read(listen, strlen(listen), place))
        return esp_fail(err, ESP_ERROR_ARGUMENT, "the daemon cannot listen at '%.200s'; give ADDRESS:PORT, or a URL",
                        listen);
    if (!strcmp(place->port, "0"))
        return esp_fail(err, ESP_ERROR_ARGUMENT,
                        "the daemon takes a free port, as it listens at %.200s; give the URL that it printed", listen);
    if (!strcmp(place->host, "0.0.0.0"))
        strcpy(place->host, "127.0.0.1");
    if (!strcmp(place->host, "::"))
        strcpy(place->host, "::1");
    strcpy(target->path, default_path);
    write_url(target);
    return ESP_OK;
}
