/* The tokens that requests may bring, and whose they are: those of the tokens-file, for clients, and the admin token.
 *
 * The file: a token in each line, and behind it, if you like, the name under which its requests are in the log. A line
 * that begins with # is a comment.
 *
 *     # openssl rand -hex 32
 *     3f1c7e…  mobile-app
 *     9b02d4…  batch-jobs
 *
 * Of a token only its SHA-256 is kept. What a request brings is hashed, too, and compared with every one of them to the
 * last byte: how long that takes tells nothing of any token, neither its bytes nor its length, nor which one was found.
 *
 * All functions are thread-safe, but for open and close. */
#ifndef SERVER_TOKENS_H
#define SERVER_TOKENS_H

#include "server/config/settings.h"

enum { TOKENS_MAX = 4096, TOKEN_NAME_MAX = 32 };

enum token_kind { TOKEN_UNKNOWN, TOKEN_CLIENT, TOKEN_ADMIN };

struct tokens;

/* Reads the files that the settings name, which must outlive it. ESP_ERROR_ARGUMENT or ESP_ERROR_IO: the text names
 * file and line, and never quotes a token. */
enum esp_status tokens_open(struct tokens **tokens, const struct settings *settings, struct esp_error *err);
void tokens_close(struct tokens **tokens); /* sets the pointer to NULL; NULL is fine */

/* Reads tokens-file and admin-token-file again. After an error all stays as it was. */
enum esp_status tokens_reload(struct tokens *tokens, struct esp_error *err);

/* How many clients' tokens there are; 0 where there is no file, and everybody may ask. */
size_t tokens_count(struct tokens *tokens);

bool tokens_has_admin(struct tokens *tokens);

/* Whose a token is; writes the name of a client's, which is that of its line ("line-3") where the file gives none, and
 * "admin" for the admin's. */
enum token_kind tokens_find(struct tokens *tokens, const char *token, char name[TOKEN_NAME_MAX + 1]);

#endif
