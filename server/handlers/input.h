/* What a POST brings: options from the query and from the body, and the picture. */
#ifndef SERVER_HANDLERS_INPUT_H
#define SERVER_HANDLERS_INPUT_H

#include "server/http/exchange.h"
#include "server/service.h"

/* Reads everything into the job: the network that it asks, its options, image and document. The picture must be there
 * for `with_image`, and must not be there otherwise. Answers with a problem and gives false where something is wrong.
 */
bool input_read(struct service *service, const struct request *request, struct job *job, bool with_image,
                struct response *response);

#endif
