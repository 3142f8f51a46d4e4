/* Whom a probe asks, and for what. Thread-safe. */
#ifndef SERVER_PROBE_TARGET_H
#define SERVER_PROBE_TARGET_H

#include "espalier/error.h"
#include "server/http/place.h"

enum {
    PROBE_AUTHORITY_MAX = PLACE_HOST_MAX + PLACE_PORT_MAX + 2,
    PROBE_PATH_MAX = 1024,
    PROBE_URL_MAX = PROBE_AUTHORITY_MAX + PROBE_PATH_MAX + 8
};

struct probe_target {
    struct place place;
    bool tls;
    char authority[PROBE_AUTHORITY_MAX]; /* "127.0.0.1:8080", "[::1]:8080" */
    char path[PROBE_PATH_MAX];
    char url[PROBE_URL_MAX]; /* for people */
};

/* `url` is http://HOST[:PORT][/PATH], or https://...: port 80, or 443, and /readyz unless it says otherwise. A lone /
 * is no path either, as the page there answers 200 whatever state the daemon is in. ESP_ERROR_ARGUMENT: the text says
 * what would be right. */
enum esp_status probe_target_of_url(struct probe_target *target, const char *url, struct esp_error *err);

/* The daemon on this machine that listens there, with TLS or without; one that listens at all addresses is asked at the
 * loopback. ESP_ERROR_ARGUMENT: as above; nobody knows which port 0 became. */
enum esp_status probe_target_of_listener(struct probe_target *target, const char *listen, bool tls,
                                         struct esp_error *err);

#endif
