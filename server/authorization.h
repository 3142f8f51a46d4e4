/* Who may do what: the token that a request brings against those that there are.
 *
 * Where there is a tokens-file, requests want a token of it; the admin token, which may do everything, does as well.
 * What manages networks wants the admin token, and is closed where there is none. Thread-safe. */
#ifndef SERVER_AUTHORIZATION_H
#define SERVER_AUTHORIZATION_H

#include "server/http/exchange.h"
#include "server/tokens.h"

enum access {
    ACCESS_TOKEN, /* for whoever brings a token, or for everybody where there are none */
    ACCESS_ADMIN, /* for whoever brings the admin token */
    ACCESS_OPEN   /* for everybody */
};

/* Whether the request may. Answers otherwise, and gives false: 401 where the token is missing or unknown, 403 where it
 * is a client's on the admin's route, or there is no admin token, so that nobody may. Writes the token's name to
 * exchange->caller. */
bool authorization_check(enum access access, struct tokens *tokens, struct exchange *exchange);

#endif
