#include "server/authorization.h"

#include "server/problem.h"

#include <string.h>
#include <strings.h>

static bool same(const char *a, const char *b)
{
    size_t length = strlen(b);
    volatile unsigned char differs = strlen(a) != length;

    if (differs)
        return false;
    for (size_t i = 0; i < length; i++)
        differs |= (unsigned char)(a[i] ^ b[i]);
    return !differs;
}

/* The scheme's letters may be large or small (RFC 9110, section 11.1). */
static const char *bearer(const char *authorization)
{
    static const char scheme[] = "Bearer ";

    if (strncasecmp(authorization, scheme, sizeof scheme - 1))
        return "";
    authorization += sizeof scheme - 1;
    return authorization + strspn(authorization, " ");
}

bool authorization_admin(const struct request *request, const char *token, struct response *response)
{
    if (!*token)
        return problem(response, 403,
                       "networks can be managed only where the daemon has an admin token; set --admin-token-file");
    if (same(bearer(request->authorization), token))
        return true;
    problem(response, 401, "send the admin token as Authorization: Bearer TOKEN");
    response_header(response, "WWW-Authenticate", "Bearer realm=\"espalier\"");
    return false;
}
