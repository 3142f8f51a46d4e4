/* The configuration file: lines of NAME = VALUE, comments and blank lines. */
#include "server/config/settings_table.h"
#include "server/file.h"

#include <ctype.h>
#include <string.h>

enum {
    FILE_SIZE_MAX = 1 << 16,
    LINE_LENGTH_MAX = 4096,
    PATH_SHOWN = 200, /* characters of the path: an error's text has to hold more than that */
    WHERE_MAX = PATH_SHOWN + 16,
    SAID_MAX = WHERE_MAX + SETTING_ENVIRONMENT_MAX
};

struct reader {
    struct settings *settings;
    unsigned line;
    unsigned set_in[SETTINGS_MAX]; /* the line that set it; 0: none yet */
    char where[WHERE_MAX];         /* "espalier.conf:7" */
};

/* Cuts the spaces off at both ends. */
static char *trim(char *text)
{
    size_t length;

    while (isspace((unsigned char)*text))
        text++;
    for (length = strlen(text); length > 0 && isspace((unsigned char)text[length - 1]); length--)
        ;
    text[length] = '\0';
    return text;
}

/* Quotes the name unless it cannot be one: someone may have taken the file of a token for this one. */
static enum esp_status fail_unknown(const struct reader *reader, const char *name, struct esp_error *err)
{
    if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz_-")])
        name = "...";
    return esp_fail(err, ESP_ERROR_ARGUMENT, "%s: there is no setting '%.64s'; see espalier serve --help",
                    reader->where, name);
}

static enum esp_status read_setting(struct reader *reader, const char *name, const char *value, struct esp_error *err)
{
    const struct setting *setting = setting_find(name, strlen(name));
    char said[SAID_MAX];

    if (!setting)
        return fail_unknown(reader, name, err);
    if (setting->offset == offsetof(struct settings, config))
        return esp_fail(err, ESP_ERROR_ARGUMENT, "%s: a configuration file cannot name another one; take config out",
                        reader->where);
    unsigned *set_in = &reader->set_in[setting - setting_table];
    if (*set_in)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "%s: line %u has set %s already; take one of the two out",
                        reader->where, *set_in, name);
    *set_in = reader->line;
    snprintf(said, sizeof said, "%s: %s", reader->where, name);
    return setting_set(setting, reader->settings, said, value, err);
}

/* No error quotes the line: it may be a secret's. */
static enum esp_status read_line(struct reader *reader, char *line, size_t length, struct esp_error *err)
{
    if (strlen(line) != length)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "%s: there is a NUL; a configuration file is plain text",
                        reader->where);
    if (length > LINE_LENGTH_MAX)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "%s: the line has %zu characters; %d are allowed", reader->where,
                        length, LINE_LENGTH_MAX);
    line = trim(line);
    if (*line == '\0' || *line == '#')
        return ESP_OK;
    char *equals = strchr(line, '=');
    if (!equals)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "%s: there is no '='; write NAME = VALUE, or # before a comment",
                        reader->where);
    *equals = '\0';
    return read_setting(reader, trim(line), trim(equals + 1), err);
}

/* There is room for one more character behind the text. */
static enum esp_status read_lines(struct reader *reader, char *text, size_t size, struct esp_error *err)
{
    enum esp_status status = ESP_OK;

    for (char *line = text, *end = text + size; line < end && status == ESP_OK;) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((newline ? newline : end) - line);
        line[length] = '\0';
        snprintf(reader->where, sizeof reader->where, "%.*s:%u", PATH_SHOWN, reader->settings->config, ++reader->line);
        status = read_line(reader, line, length, err);
        line += length + 1;
    }
    return status;
}

enum esp_status settings_read_file(struct settings *settings, struct esp_error *err)
{
    struct reader reader = {.settings = settings};
    struct esp_error fault = {0};
    size_t size;

    settings->config_text = (char *)file_read(settings->config, FILE_SIZE_MAX, &size, &fault);
    if (!settings->config_text)
        return esp_fail(err, fault.status, "cannot read the configuration file %.*s: %s", PATH_SHOWN, settings->config,
                        fault.text);
    if (size > FILE_SIZE_MAX)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "%.*s is no configuration file: it has more than %d bytes", PATH_SHOWN,
                        settings->config, FILE_SIZE_MAX);
    return read_lines(&reader, settings->config_text, size, err);
}
