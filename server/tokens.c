#include "server/tokens.h"

#include "server/config/settings_table.h"
#include "server/config/values.h"
#include "server/file.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_SIZE_MAX = 4 << 20, DIGEST_SIZE = 32, PATH_SHOWN = 200, SAID_MAX = PATH_SHOWN + 32 };

struct row {
    uint8_t digest[DIGEST_SIZE];
    enum token_kind kind;
    unsigned line;
    char name[TOKEN_NAME_MAX + 1];
};

struct table {
    size_t count, clients;
    struct row rows[TOKENS_MAX + 1]; /* the clients' and the admin's */
};

struct tokens {
    const struct settings *settings;
    pthread_mutex_t lock;
    struct table *table;
};

/* ---- reading ---- */

static enum esp_status add(struct table *table, const char *token, enum token_kind kind, unsigned line,
                           const char *name, const char *said, struct esp_error *err)
{
    struct row *row = &table->rows[table->count];

    *row = (struct row){.kind = kind, .line = line};
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, token, strlen(token), row->digest) != GNUTLS_E_SUCCESS)
        return esp_fail(err, ESP_ERROR_MEMORY, "a token cannot be hashed: SHA-256 is missing");
    for (size_t i = 0; i < table->count; i++)
        if (!memcmp(table->rows[i].digest, row->digest, DIGEST_SIZE)) {
            if (kind == TOKEN_ADMIN)
                return esp_fail(err, ESP_ERROR_ARGUMENT,
                                "%s has the admin token in line %u; a client's must be another one", said,
                                table->rows[i].line);
            return esp_fail(err, ESP_ERROR_ARGUMENT, "%s has the token of line %u again; take one of them out", said,
                            table->rows[i].line);
        }
    snprintf(row->name, sizeof row->name, "%s", name);
    table->count++;
    table->clients += kind == TOKEN_CLIENT;
    return ESP_OK;
}

static bool is_name(const char *text)
{
    size_t length = strlen(text);
    return length <= TOKEN_NAME_MAX && length == strspn(text, "abcdefghijklmnopqrstuvwxyz"
                                                              "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
}

/* TOKEN, or TOKEN NAME. No error quotes anything: a name may be a token that has slipped. */
static enum esp_status read_line(struct table *table, char *line, unsigned number, const char *said,
                                 struct esp_error *err)
{
    static const char spaces[] = " \t\r";
    char *rest, unnamed[TOKEN_NAME_MAX], *token = strtok_r(line, spaces, &rest), *name = strtok_r(NULL, spaces, &rest);

    if (!token || *token == '#')
        return ESP_OK;
    if (table->count == TOKENS_MAX)
        return esp_fail(err, ESP_ERROR_ARGUMENT, "%s: there are more than %d tokens", said, TOKENS_MAX);
    enum esp_status status = value_secret(said, token, SETTING_SECRET_LEAST, SETTING_SECRET_MOST, err);
    if (status != ESP_OK)
        return status;
    if (name && (!is_name(name) || strtok_r(NULL, spaces, &rest)))
        return esp_fail(err, ESP_ERROR_ARGUMENT,
                        "%s: what follows the token is no name; give up to %d of a-z A-Z 0-9 . _ -, without spaces",
                        said, TOKEN_NAME_MAX);
    snprintf(unnamed, sizeof unnamed, "line-%u", number);
    return add(table, token, TOKEN_CLIENT, number, name ? name : unnamed, said, err);
}

static enum esp_status read_lines(struct table *table, const char *path, char *text, size_t size, struct esp_error *err)
{
    enum esp_status status = ESP_OK;
    char said[SAID_MAX];
    unsigned number = 0;

    if (size > FILE_SIZE_MAX || memchr(text, '\0', size))
        return esp_fail(err, ESP_ERROR_ARGUMENT, "tokens-file %.*s is no text; write a token in each line", PATH_SHOWN,
                        path);
    text[size] = '\0';
    for (char *line = text, *next; line && status == ESP_OK; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        snprintf(said, sizeof said, "%.*s:%u", PATH_SHOWN, path, ++number);
        status = read_line(table, line, number, said, err);
    }
    if (status == ESP_OK && table->clients == 0)
        return esp_fail(
            err, ESP_ERROR_ARGUMENT,
            "tokens-file %.*s has no token, so that nobody could ask; write one, such as: openssl rand -hex 32",
            PATH_SHOWN, path);
    return status;
}

static enum esp_status read_file(struct table *table, const char *path, struct esp_error *err)
{
    struct esp_error fault = {0};
    size_t size;
    char *text = (char *)file_read(path, FILE_SIZE_MAX, &size, &fault);

    if (!text)
        return esp_fail(err, fault.status, "cannot read tokens-file %.*s: %s", PATH_SHOWN, path, fault.text);
    enum esp_status status = read_lines(table, path, text, size, err);
    explicit_bzero(text, size);
    free(text);
    return status;
}

static enum esp_status add_admin(struct table *table, const struct settings *settings, struct esp_error *err)
{
    char *text = NULL;
    enum esp_status status = ESP_OK;

    if (*settings->admin_token_file)
        status = settings_read_admin_token(settings->admin_token_file, &text, err);
    const char *token = text ? text : settings->admin_token;
    if (status == ESP_OK && *token)
        status = add(table, token, TOKEN_ADMIN, 0, "admin", settings->tokens_file, err);
    free(text);
    return status;
}

static enum esp_status read_table(const struct settings *settings, struct table **table, struct esp_error *err)
{
    struct table *made = *table = calloc(1, sizeof *made);
    enum esp_status status = ESP_OK;

    if (!made)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    if (*settings->tokens_file)
        status = read_file(made, settings->tokens_file, err);
    if (status == ESP_OK)
        status = add_admin(made, settings, err);
    if (status == ESP_OK)
        return ESP_OK;
    free(made);
    *table = NULL;
    return status;
}

/* ---- life ---- */

enum esp_status tokens_open(struct tokens **tokens, const struct settings *settings, struct esp_error *err)
{
    struct tokens *made = calloc(1, sizeof *made);

    *tokens = NULL;
    if (!made)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    made->settings = settings;
    enum esp_status status = read_table(settings, &made->table, err);
    if (status != ESP_OK) {
        free(made);
        return status;
    }
    pthread_mutex_init(&made->lock, NULL);
    *tokens = made;
    return ESP_OK;
}

void tokens_close(struct tokens **tokens)
{
    if (!*tokens)
        return;
    pthread_mutex_destroy(&(*tokens)->lock);
    free((*tokens)->table);
    free(*tokens);
    *tokens = NULL;
}

enum esp_status tokens_reload(struct tokens *tokens, struct esp_error *err)
{
    struct table *table, *former;
    enum esp_status status = read_table(tokens->settings, &table, err);

    if (status != ESP_OK)
        return status;
    pthread_mutex_lock(&tokens->lock);
    former = tokens->table;
    tokens->table = table;
    pthread_mutex_unlock(&tokens->lock);
    free(former);
    return ESP_OK;
}

/* ---- asking ---- */

size_t tokens_count(struct tokens *tokens)
{
    pthread_mutex_lock(&tokens->lock);
    size_t count = tokens->table->clients;
    pthread_mutex_unlock(&tokens->lock);
    return count;
}

bool tokens_has_admin(struct tokens *tokens)
{
    pthread_mutex_lock(&tokens->lock);
    bool has = tokens->table->count > tokens->table->clients;
    pthread_mutex_unlock(&tokens->lock);
    return has;
}

/* The compiler may not stop early either: it has to take each byte as if it were read from a device. */
static bool same(const uint8_t *a, const uint8_t *b)
{
    volatile uint8_t differs = 0;

    for (size_t i = 0; i < DIGEST_SIZE; i++)
        differs |= a[i] ^ b[i];
    return differs == 0;
}

enum token_kind tokens_find(struct tokens *tokens, const char *token, char name[TOKEN_NAME_MAX + 1])
{
    uint8_t digest[DIGEST_SIZE];
    struct row found = {.kind = TOKEN_UNKNOWN};

    *name = '\0';
    if (gnutls_hash_fast(GNUTLS_DIG_SHA256, token, strlen(token), digest) != GNUTLS_E_SUCCESS)
        return TOKEN_UNKNOWN;
    pthread_mutex_lock(&tokens->lock);
    for (size_t i = 0; i < tokens->table->count; i++)
        if (same(tokens->table->rows[i].digest, digest))
            found = tokens->table->rows[i];
    pthread_mutex_unlock(&tokens->lock);
    memcpy(name, found.name, sizeof found.name);
    return found.kind;
}
