#include "server/authorization.h"

#include "server/problem.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The scheme's letters may be large or small (RFC 9110, section 11.1). */
static const char *bearer(const char *authorization)
{
    static const char scheme[] = "Bearer ";

    if (strncasecmp(authorization, scheme, sizeof scheme - 1))
        return "";
    authorization += sizeof scheme - 1;
    return authorization + strspn(authorization, " ");
}

/* RFC 6750, section 3.1: a code says why, but for who brought nothing. */
static bool challenge(struct response *response, const char *token, const char *whose)
{
    if (*token)
        problem(response, 401, "this token is unknown; send %s as Authorization: Bearer TOKEN", whose);
    else
        problem(response, 401, "send %s as Authorization: Bearer TOKEN", whose);
    response_header(response, "WWW-Authenticate", "Bearer realm=\"espalier\"%s",
                    *token ? ", error=\"invalid_token\"" : "");
    return false;
}

static bool check_admin(enum token_kind kind, const char *token, struct tokens *tokens, struct response *response)
{
    if (kind == TOKEN_ADMIN)
        return true;
    if (!tokens_has_admin(tokens))
        return problem(response, 403,
                       "networks can be managed only where the daemon has an admin token; set --admin-token-file");
    if (kind == TOKEN_UNKNOWN)
        return challenge(response, token, "the admin token");
    problem(response, 403, "this token may ask, but not manage networks; send the admin token");
    response_header(response, "WWW-Authenticate", "Bearer realm=\"espalier\", error=\"insufficient_scope\"");
    return false;
}

bool authorization_check(enum access access, struct tokens *tokens, struct exchange *exchange)
{
    const char *token = bearer(exchange->request.authorization);
    struct response *response = &exchange->response;
    char name[TOKEN_NAME_MAX + 1];

    if (access == ACCESS_OPEN)
        return true;
    enum token_kind kind = tokens_find(tokens, token, name);
    snprintf(exchange->caller, sizeof exchange->caller, "%s", name);
    if (access == ACCESS_ADMIN)
        return check_admin(kind, token, tokens, response);
    return kind != TOKEN_UNKNOWN || tokens_count(tokens) == 0 || challenge(response, token, "a token");
}
