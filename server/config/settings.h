/* The settings of `espalier serve`. One table in settings_table.c says it all: name, type, bounds, default, unit and
 * help. The flags (`--queue-depth 64`, `--queue-depth=64`), the environment (`ESPALIER_QUEUE_DEPTH=64`), the
 * configuration file (`queue-depth = 64`), the help texts, the documentation and every check come from it. A flag beats
 * the environment, which beats the file, which beats the default.
 *
 * The file: NAME = VALUE in each line, without quotes; spaces inside a value belong to it, those around it do not. A
 * line that begins with # is a comment. An unknown name, a name that comes twice and whatever cannot be understood is
 * an error that names file and line. */
#ifndef SERVER_CONFIG_SETTINGS_H
#define SERVER_CONFIG_SETTINGS_H

#include "espalier/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What `--help` asks for instead of a start. */
enum settings_help {
    HELP_NONE,
    HELP_TEXT,     /* --help, -h */
    HELP_MARKDOWN, /* --help=markdown: the table of the documentation */
    HELP_CONFIG    /* --help=config: a configuration file in which every default is commented out */
};

struct settings {
    const char *config;        /* the configuration file; "" for none */
    const char *listen;        /* ADDRESS:PORT */
    const char *model;         /* a model directory or one of several; "" for the bundled one */
    const char *default_model; /* name; "" for the first */
    const char *kernels;       /* "auto", or a kernel set's name */
    const char *precision;     /* fp32, bf16 or auto */
    const char *admin_token;   /* "" for none; a secret */
    const char *admin_token_file;
    const char *admin_listen;    /* ADDRESS:PORT; "" for none of its own */
    const char *admin_metrics;   /* no or yes: see settings_yes() */
    const char *tls_certificate; /* files; "" for plain HTTP */
    const char *tls_key;
    const char *tokens_file;     /* "" for none: everybody may */
    const char *open_metrics;    /* no or yes */
    const char *cors_origins;    /* with commas */
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
    uint64_t max_header; /* bytes */
    uint64_t connections;
    uint64_t connections_per_address;                             /* 0: as many as there are */
    uint64_t idle_timeout;                                        /* seconds */
    uint64_t header_timeout_ms, body_timeout_ms, send_timeout_ms; /* from the first byte to the last */
    uint64_t timeout_ms;                                          /* of a request in the queue */
    uint64_t drain_delay_ms;                                      /* from SIGTERM to taking no more connections */
    uint64_t drain_timeout_ms;                                    /* of shutting down, after it */
    enum settings_help help;                                      /* if any, nothing else was checked */
    char *config_text, *token_text;                               /* of the files: what texts above point into */
};

/* Fills `settings` from the table's defaults, the configuration file, the environment and argv[1] on. The texts point
 * into argv, the environment, and memory that `settings` owns: settings_free() it in any case, also after an error.
 * ESP_ERROR_ARGUMENT: the text says which setting is wrong and what would be right; it never quotes a secret.
 * ESP_ERROR_IO: the configuration file cannot be read. */
enum esp_status settings_read(struct settings *settings, int argc, char **argv, struct esp_error *err);

/* For who starts the daemon, once, after settings_read(): refuses settings that contradict each other, and reads
 * admin_token from admin_token_file where that is given. Errors as above. */
enum esp_status settings_complete(struct settings *settings, struct esp_error *err);

/* Reads the token in an admin-token-file, for the caller to free; NULL after an error. Thread-safe. */
enum esp_status settings_read_admin_token(const char *path, char **token, struct esp_error *err);

/* Whether a choice between no and yes is yes. */
bool settings_yes(const char *choice);

/* Frees what `settings` owns. May be called again. */
void settings_free(struct settings *settings);

/* Prints the table; nothing for HELP_NONE. */
void settings_help(enum settings_help form, FILE *out);

#endif
