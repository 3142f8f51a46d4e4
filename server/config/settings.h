/* The settings of `espalier serve`. One table in settings.c says it all: name, type, bounds, default, unit and help.
 * The flags (`--queue-depth 64`, `--queue-depth=64`), the environment (`ESPALIER_QUEUE_DEPTH=64`), the help text and
 * every check come from it. A flag beats the environment, which beats the default. */
#ifndef SERVER_CONFIG_SETTINGS_H
#define SERVER_CONFIG_SETTINGS_H

#include "espalier/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct settings {
    const char *listen;        /* ADDRESS:PORT */
    const char *model;         /* a model directory or one of several; "" for the bundled one */
    const char *default_model; /* name; "" for the first */
    const char *kernels;       /* "auto", or a kernel set's name */
    const char *precision;     /* fp32, bf16 or auto */
    const char *admin_token;   /* "" for none; a secret */
    const char *admin_token_file;
    const char *trusted_proxies; /* addresses and networks, with commas */
    const char *log_format;      /* text or json */
    const char *log_level;       /* debug, info, warn, error or off */
    uint64_t instances;          /* 0: as many as CPUs usable */
    uint64_t batch;              /* the most requests that run together */
    uint64_t io_threads;
    uint64_t queue_depth; /* requests */
    uint64_t queue_macs;  /* 0: as many as queue_depth whole networks */
    uint64_t queue_bytes; /* of all bodies that are held */
    uint64_t max_body;    /* bytes */
    uint64_t max_pixels;
    uint64_t connections;
    uint64_t idle_timeout;                                        /* seconds */
    uint64_t header_timeout_ms, body_timeout_ms, send_timeout_ms; /* from the first byte to the last */
    uint64_t timeout_ms;                                          /* of a request in the queue */
    uint64_t drain_delay_ms;                                      /* from SIGTERM to taking no more connections */
    uint64_t drain_timeout_ms;                                    /* of shutting down, after it */
    bool help;                                                    /* --help was there; nothing else was checked */
};

/* Fills `settings` from the table's defaults, the environment and argv[1] on; the texts point into argv and the
 * environment. ESP_ERROR_ARGUMENT: the text says which setting is wrong and what would be right. */
enum esp_status settings_read(struct settings *settings, int argc, char **argv, struct esp_error *err);

/* Writes a line or two for each setting. */
void settings_help(FILE *out);

#endif
