#include "server/http/origin.h"

#include "server/http/request_id.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

/* Each with its length, as a NUL byte may be in it. */
struct seen {
    const char *id, *trace;
    size_t id_length, trace_length;
    unsigned traces;
    struct forwarded forwarded;
};

static bool is(const char *name, size_t length, const char *wanted)
{
    return length == strlen(wanted) && !strncasecmp(name, wanted, length);
}

static enum MHD_Result see(void *context, enum MHD_ValueKind kind, const char *name, size_t name_length,
                           const char *value, size_t length)
{
    struct seen *seen = context;

    (void)kind;
    if (!value)
        return MHD_YES;
    if (is(name, name_length, "X-Request-Id")) {
        seen->id = value;
        seen->id_length = length;
    } else if (is(name, name_length, "traceparent")) {
        seen->trace = value;
        seen->trace_length = length;
        seen->traces++;
    } else if (is(name, name_length, "X-Forwarded-For")) {
        forwarded_add(&seen->forwarded, value);
    }
    return MHD_YES;
}

static void read_peer(struct sockaddr_storage *peer, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info ? info->client_addr : NULL;

    if (address && address->sa_family == AF_INET)
        memcpy(peer, address, sizeof(struct sockaddr_in));
    else if (address && address->sa_family == AF_INET6)
        memcpy(peer, address, sizeof(struct sockaddr_in6));
}

void origin_read(struct exchange *exchange, struct MHD_Connection *connection, const struct trusted *trusted)
{
    struct sockaddr_storage peer = {0};
    struct seen seen = {0};

    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, see, &seen);
    read_peer(&peer, connection);
    request_id_choose(exchange->request.id, seen.id, seen.id_length);
    trace_take(&exchange->trace, seen.traces == 1 ? seen.trace : NULL, seen.trace_length);
    client_address(trusted, (const struct sockaddr *)&peer, &seen.forwarded, exchange->client);
}
