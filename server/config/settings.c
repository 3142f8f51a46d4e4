#include "server/config/settings.h"

#include "server/config/settings_table.h"
#include "server/config/values.h"
#include "server/file.h"

#include <stdlib.h>
#include <string.h>

enum { TOKEN_FILE_MAX = 1 << 16 };

/* ---- where the values come from ---- */

static void set_defaults(struct settings *settings)
{
    *settings = (struct settings){0};
    for (const struct setting *setting = setting_table; setting->name; setting++)
        setting_set(setting, settings, setting->name, setting->initial, NULL);
}

static enum esp_status set_from_environment(struct settings *settings, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    char name[SETTING_ENVIRONMENT_MAX];

    for (const struct setting *setting = setting_table; setting->name && status == ESP_OK; setting++) {
        setting_environment(setting, name);
        const char *value = getenv(name);
        if (value)
            status = setting_set(setting, settings, name, value, err);
    }
    return status;
}

/* Reads the flag at argv[*at] and its value, and moves *at to the last of the two. No error quotes what may be a
 * secret: what follows a '=', or a piece of one that the shell has split. */
static enum esp_status set_from_flag(struct settings *settings, int argc, char **argv, int *at, struct esp_error *err)
{
    const char *flag = argv[*at];
    size_t length = strcspn(flag, "=");
    char said[SETTING_ENVIRONMENT_MAX];

    if (strncmp(flag, "--", 2))
        return esp_fail(err, ESP_ERROR_ARGUMENT, "argument %d is no flag; see espalier serve --help", *at);
    const struct setting *setting = setting_find(flag + 2, length - 2);
    if (!setting)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "there is no setting '%.*s'; see espalier serve --help", (int)length,
                        flag);
    if (flag[length] != '=' && *at + 1 >= argc)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "%s lacks its value; write %s %s", flag, flag, setting->unit);
    snprintf(said, sizeof said, "--%s", setting->name);
    return setting_set(setting, settings, said, flag[length] == '=' ? flag + length + 1 : argv[++*at], err);
}

static enum esp_status set_from_environment_and_flags(struct settings *settings, int argc, char **argv,
                                                      struct esp_error *err)
{
    enum esp_status status = set_from_environment(settings, err);
    for (int i = 1; i < argc && status == ESP_OK; i++)
        status = set_from_flag(settings, argc, argv, &i, err);
    return status;
}

/* ---- reading ---- */

static enum esp_status read_help(enum settings_help *form, int argc, char **argv, struct esp_error *err)
{
    enum esp_status status = ESP_OK;

    for (int i = 1; i < argc && *form == HELP_NONE && status == ESP_OK; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h") || !strcmp(argv[i], "--help=text"))
            *form = HELP_TEXT;
        else if (!strcmp(argv[i], "--help=markdown"))
            *form = HELP_MARKDOWN;
        else if (!strcmp(argv[i], "--help=config"))
            *form = HELP_CONFIG;
        else if (!strncmp(argv[i], "--help=", 7))
            status = value_choice("--help", argv[i] + 7, "text|markdown|config", err);
    }
    return status;
}

enum esp_status settings_read(struct settings *settings, int argc, char **argv, struct esp_error *err)
{
    set_defaults(settings);
    enum esp_status status = read_help(&settings->help, argc, argv, err);
    if (status != ESP_OK || settings->help)
        return status;
    status = set_from_environment_and_flags(settings, argc, argv, err);
    if (status != ESP_OK || !*settings->config)
        return status;
    status = settings_read_file(settings, err); /* which file, they said; now they beat it */
    return status == ESP_OK ? set_from_environment_and_flags(settings, argc, argv, err) : status;
}

/* ---- what all of them together tell ---- */

/* Cuts the text behind its first line. */
static enum esp_status take_first_line(const char *path, char *text, size_t size, struct esp_error *err)
{
    char said[256];

    if (size > TOKEN_FILE_MAX || memchr(text, '\0', size))
        return esp_fail(err, ESP_ERROR_ARGUMENT,
                        "admin-token-file %.200s is no text; write the token in its first line", path);
    text[size] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    if (!*text)
        return esp_fail(err, ESP_ERROR_ARGUMENT,
                        "the first line of admin-token-file %.200s is empty; write the token there", path);
    snprintf(said, sizeof said, "the first line of admin-token-file %.200s", path);
    return value_secret(said, text, SETTING_SECRET_LEAST, SETTING_SECRET_MOST, err);
}

enum esp_status settings_read_admin_token(const char *path, char **token, struct esp_error *err)
{
    struct esp_error fault = {0};
    size_t size;

    *token = (char *)file_read(path, TOKEN_FILE_MAX, &size, &fault);
    if (!*token)
        return esp_fail(err, fault.status, "cannot read admin-token-file %.200s: %s", path, fault.text);
    enum esp_status status = take_first_line(path, *token, size, err);
    if (status != ESP_OK) {
        free(*token);
        *token = NULL;
    }
    return status;
}

static enum esp_status check_together(const struct settings *settings, struct esp_error *err)
{
    if (*settings->admin_token && *settings->admin_token_file)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "both admin-token and admin-token-file are given; give one of them");
    if (!*settings->tls_certificate != !*settings->tls_key)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "%s is given without %s; TLS wants both",
                        *settings->tls_key ? "tls-key" : "tls-certificate",
                        *settings->tls_key ? "tls-certificate" : "tls-key");
    if (settings_yes(settings->admin_metrics) && !*settings->admin_listen)
        return esp_fail(err, ESP_ERROR_ARGUMENT,
                        "admin-metrics is yes without an admin-listen; give ADDRESS:PORT there");
    if (settings_yes(settings->open_metrics) && !*settings->tokens_file)
        return esp_fail(err, ESP_ERROR_ARGUMENT,
                        "open-metrics is yes without a tokens-file; everything is open then: take it out, or give one");
    return ESP_OK;
}

enum esp_status settings_complete(struct settings *settings, struct esp_error *err)
{
    enum esp_status status = check_together(settings, err);

    if (status != ESP_OK || !*settings->admin_token_file)
        return status;
    status = settings_read_admin_token(settings->admin_token_file, &settings->token_text, err);
    if (status == ESP_OK)
        settings->admin_token = settings->token_text;
    return status;
}

bool settings_yes(const char *choice)
{
    return *choice == 'y';
}

void settings_free(struct settings *settings)
{
    free(settings->config_text);
    free(settings->token_text);
    *settings = (struct settings){0};
}
