/* What a request's header says about its body, checked before a byte of the body is read.
 *
 * Where two readers could understand a header differently, a proxy before us might see one request and we another: such
 * headers are refused, and the connection is closed. */
#ifndef SERVER_HTTP_FRAMING_H
#define SERVER_HTTP_FRAMING_H

#include "server/http/exchange.h"

struct MHD_Connection;

struct framing {
    bool chunked;
    uint64_t length; /* as declared; 0 where nothing is */
};

/* Answers 400 and gives false for two lengths, a length together with a coding, or a coding other than `chunked`. */
bool framing_read(struct framing *framing, struct MHD_Connection *connection, struct response *response);

/* Answers 415 and gives false for a Content-Encoding other than identity. */
bool framing_identity(struct MHD_Connection *connection, struct response *response);

#endif
