/* A bounded first-in-first-out queue of pointers between threads. It takes its memory when it is created and never
 * blocks: a full queue says so, for the client to come back later, and an empty one gives nothing. Who takes sleeps on
 * the bell that the queue rings. All functions are thread-safe, except that queue_destroy must be the last. */
#ifndef SERVER_WORK_QUEUE_H
#define SERVER_WORK_QUEUE_H

#include "server/work/bell.h"

#include <stdbool.h>
#include <stddef.h>

struct queue;

enum queue_result { QUEUE_OK, QUEUE_FULL, QUEUE_CLOSED };

/* NULL where there is no memory. `capacity` is at least 1. The bell rings for each item, and for everyone when the
 * queue is closed; it must outlive the queue. */
struct queue *queue_create(size_t capacity, struct bell *bell);
void queue_destroy(struct queue **queue); /* sets the pointer to NULL; NULL is fine */

enum queue_result queue_push(struct queue *queue, void *item);

/* Takes the oldest items: at most `most`, and no more than an even share, rounded up, for each of `takers` who are free
 * to take (at least 1). Gives how many were taken; 0 where nothing waits. */
size_t queue_take(struct queue *queue, void **items, size_t most, size_t takers);

/* From now on nothing can be pushed; what is there can still be taken. */
void queue_close(struct queue *queue);

/* Whether the queue is closed and empty, which it then remains. */
bool queue_over(struct queue *queue);

size_t queue_length(struct queue *queue);
size_t queue_capacity(const struct queue *queue);

#endif
