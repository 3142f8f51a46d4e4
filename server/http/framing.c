#include "server/http/framing.h"

#include "server/problem.h"

#include <microhttpd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct seen {
    unsigned lengths, codings;
    const char *length, *coding;
    bool bad_name; /* a header whose name is no token: another reader may take it for a length */
};

/* RFC 9110, section 5.6.2. */
static bool is_token(const char *name)
{
    static const char characters[] = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    return *name && strspn(name, characters) == strlen(name);
}

static enum MHD_Result see(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct seen *seen = context;

    (void)kind;
    seen->bad_name |= !is_token(name);
    if (!strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH)) {
        seen->lengths++;
        seen->length = value;
    } else if (!strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING)) {
        seen->codings++;
        seen->coding = value;
    }
    return MHD_YES;
}

static bool refuse(struct response *response, const char *text)
{
    problem(response, 400, "%s", text);
    response->close = true; /* nobody knows where the next request would begin */
    return false;
}

bool framing_read(struct framing *framing, struct MHD_Connection *connection, struct response *response)
{
    struct seen seen = {0};

    MHD_get_connection_values(connection, MHD_HEADER_KIND, see, &seen);
    *framing = (struct framing){.chunked = seen.codings > 0};
    if (seen.bad_name)
        return refuse(response,
                      "a header's name has a character that no name may have, such as a space before the colon");
    if (seen.lengths > 1)
        return refuse(response, "there are several Content-Length headers");
    if (seen.lengths && seen.codings)
        return refuse(response, "there are both Content-Length and Transfer-Encoding");
    if (seen.codings > 1 || (seen.codings && (!seen.coding || strcasecmp(seen.coding, "chunked"))))
        return refuse(response, "the only Transfer-Encoding that is understood is chunked");
    if (seen.lengths && (!seen.length || !*seen.length || seen.length[strspn(seen.length, "0123456789")]))
        return refuse(response, "Content-Length is not a number");
    if (seen.lengths)
        framing->length = strtoull(seen.length, NULL, 10); /* at its largest where it does not fit: too large anyway */
    return true;
}

bool framing_identity(struct MHD_Connection *connection, struct response *response)
{
    const char *coding = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_ENCODING);

    if (!coding || !*coding || !strcasecmp(coding, "identity"))
        return true;
    return problem(response, 415, "Content-Encoding %.64s is not understood; send the body as it is", coding);
}
