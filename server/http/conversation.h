/* A request on its connection, from its first line until its answer has gone out: what the library calls. The functions
 * of the exchange (transport.h) are here, too. */
#ifndef SERVER_HTTP_CONVERSATION_H
#define SERVER_HTTP_CONVERSATION_H

#include "server/http/body.h"
#include "server/http/client_address.h"
#include "server/http/cors.h"
#include "server/http/transport.h"

#include <microhttpd.h>
#include <stdatomic.h>

/* What all conversations share; it must outlive them. */
struct conversation_parts {
    struct application application;
    struct connections *connections;
    struct body_limits limits;
    const struct trusted *trusted; /* whose X-Forwarded-For is believed */
    const struct cors *cors;       /* NULL: no word of it */
    atomic_bool draining;          /* from then on connections are closed after the answer */
};

/* MHD_OPTION_URI_LOG_CALLBACK, with the parts as its context: opens the conversation, which becomes the request's own
 * context for the other two. NULL where there is no memory. */
void *conversation_open(void *parts, const char *uri, struct MHD_Connection *connection);

/* MHD_AccessHandlerCallback. */
enum MHD_Result conversation_call(void *parts, struct MHD_Connection *connection, const char *path, const char *method,
                                  const char *version, const char *bytes, size_t *size, void **slot);

/* MHD_OPTION_NOTIFY_COMPLETED. */
void conversation_close(void *parts, struct MHD_Connection *connection, void **slot,
                        enum MHD_RequestTerminationCode code);

#endif
