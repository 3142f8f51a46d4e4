/* The handlers: each answers exchange->response, or hands the exchange on (see http/transport.h). They run on the I/O
 * threads, so none of them waits. */
#ifndef SERVER_HANDLERS_HANDLERS_H
#define SERVER_HANDLERS_HANDLERS_H

struct exchange;
struct service;

void handle_page(struct service *service, struct exchange *exchange);
void handle_openapi(struct service *service, struct exchange *exchange);
/* Before the body is read: may answer already. */
void admit_classify(struct service *service, struct exchange *exchange);

void handle_classify(struct service *service, struct exchange *exchange);
void handle_cost(struct service *service, struct exchange *exchange);
void handle_categories(struct service *service, struct exchange *exchange);
void handle_healthz(struct service *service, struct exchange *exchange);
void handle_readyz(struct service *service, struct exchange *exchange);
void handle_metrics(struct service *service, struct exchange *exchange);
void handle_v2_server(struct service *service, struct exchange *exchange);
void handle_v2_live(struct service *service, struct exchange *exchange);
void handle_v2_ready(struct service *service, struct exchange *exchange);
void handle_v2_model(struct service *service, struct exchange *exchange);
void handle_v2_model_ready(struct service *service, struct exchange *exchange);
void handle_v2_infer(struct service *service, struct exchange *exchange);
void handle_index(struct service *service, struct exchange *exchange);
void handle_load(struct service *service, struct exchange *exchange);
void handle_unload(struct service *service, struct exchange *exchange);

#endif
