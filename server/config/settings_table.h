/* The table of the settings, for the files of this folder; settings.h is for everyone else. */
#ifndef SERVER_CONFIG_SETTINGS_TABLE_H
#define SERVER_CONFIG_SETTINGS_TABLE_H

#include "server/config/settings.h"

#include <stddef.h>

enum {
    SETTINGS_MAX = 64,            /* rows */
    SETTING_ENVIRONMENT_MAX = 64, /* characters of a variable's name */
    SETTING_SECRET_LEAST = 16,    /* characters: fewer could be guessed */
    SETTING_SECRET_MOST = 1024
};

enum setting_type {
    TEXT,
    NUMBER, /* from least to most */
    CHOICE, /* one of the words in unit */
    SECRET  /* empty for none; nothing prints it */
};

struct setting {
    const char *group; /* the heading that it stands under */
    const char *name;  /* "queue-depth" */
    enum setting_type type;
    size_t offset; /* in struct settings, of a uint64_t (NUMBER) or a const char * */
    uint64_t least, most;
    const char *initial; /* the default, as one would write it */
    const char *unit;    /* what to write there: "MILLISECONDS", "text|json" */
    const char *help;
};

/* The rows of a group stand together. A row without a name ends them. */
extern const struct setting setting_table[];

/* NULL where no setting has this name. */
const struct setting *setting_find(const char *name, size_t length);

/* "queue-depth" is ESPALIER_QUEUE_DEPTH. */
void setting_environment(const struct setting *setting, char name[SETTING_ENVIRONMENT_MAX]);

/* Checks a value and takes it; a text has to live as long as `settings`. `said` is how the person gave it, see
 * values.h. */
enum esp_status setting_set(const struct setting *setting, struct settings *settings, const char *said,
                            const char *value, struct esp_error *err);

/* settings_file.c: sets what settings->config says. settings->config_text is then what the texts point into. */
enum esp_status settings_read_file(struct settings *settings, struct esp_error *err);

#endif
