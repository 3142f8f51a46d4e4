/* Looks through the queue for those that need not wait any longer: whose deadline has passed, and whose client has
 * gone. They cost no engine time. For one thread, again and again, every few hundredths of a second. */
#ifndef SERVER_WORK_SWEEP_H
#define SERVER_WORK_SWEEP_H

#include "espalier/error.h"
#include "server/work/queue.h"

enum sweep_verdict { SWEEP_LATE, SWEEP_GONE };

struct sweep;

/* `removed` gets each item that was taken out of the queue, and why; the item is its own from then on. */
enum esp_status sweep_create(struct sweep **sweep, struct queue *queue,
                             void (*removed)(void *context, struct queue_item *item, enum sweep_verdict why),
                             void *context, struct esp_error *err);
void sweep_destroy(struct sweep **sweep);

void sweep_once(struct sweep *sweep);

#endif
