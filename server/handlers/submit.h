/* The way of a request for inference from its handler into the queue. */
#ifndef SERVER_HANDLERS_SUBMIT_H
#define SERVER_HANDLERS_SUBMIT_H

#include "server/service.h"

struct exchange;

/* A job for the exchange; answers and gives NULL where there is none left. */
struct job *submit_begin(struct service *service, struct exchange *exchange);

/* All that there is to know about the job is in it: hands it over to the queue, or answers why not. Neither the job nor
 * the exchange may be touched afterwards. */
void submit(struct service *service, struct job *job);

#endif
