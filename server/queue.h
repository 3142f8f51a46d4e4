/* A bounded first-in-first-out queue of pointers between threads. It takes its memory when it is created and never
 * blocks who pushes: a full queue says so, for the client to come back later. All functions are thread-safe, except
 * that queue_destroy must be the last. */
#ifndef SERVER_QUEUE_H
#define SERVER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

struct queue;

enum queue_result { QUEUE_OK, QUEUE_FULL, QUEUE_CLOSED };

/* NULL where there is no memory. `capacity` is at least 1. */
struct queue *queue_create(size_t capacity);
void queue_destroy(struct queue **queue);

enum queue_result queue_push(struct queue *queue, void *item);

/* The oldest item; waits for one. NULL once the queue is closed and empty. */
void *queue_pop(struct queue *queue);

/* From now on nothing can be pushed; what is there can still be popped, and everyone who waits wakes up. */
void queue_close(struct queue *queue);

size_t queue_length(struct queue *queue);
size_t queue_capacity(const struct queue *queue);

#endif
