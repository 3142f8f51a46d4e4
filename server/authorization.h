/* Who may do what: the token that a request brings against the one that is set. Thread-safe. */
#ifndef SERVER_AUTHORIZATION_H
#define SERVER_AUTHORIZATION_H

#include "server/http/exchange.h"

/* Whether the request brings `token` as `Authorization: Bearer TOKEN`. Answers otherwise, and gives false: 403 where
 * `token` is empty, as nobody may then; 401 where another one, or none, was brought. How long it looks tells nothing of
 * the token but its length. */
bool authorization_admin(const struct request *request, const char *token, struct response *response);

#endif
