/* What waits for an instance: first in, first out, bounded in requests and in the MACs that they will cost. It
 * allocates nothing after it was created and never blocks: a full queue says so, for the client to come back later, and
 * an empty one gives nothing. Who takes sleeps on the bell that the queue rings. All functions are thread-safe, except
 * that queue_destroy must be the last. */
#ifndef SERVER_WORK_QUEUE_H
#define SERVER_WORK_QUEUE_H

#include "server/work/bell.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue;

/* Part of whatever waits. Who pushes fills in the second half, which stays as it is while the item waits. */
struct queue_item {
    struct queue_item *previous, *next; /* the queue's own */
    uint64_t ticket;                    /* the queue's own, too: no two pushes have the same one; 0: does not wait */

    const void *kind;     /* items of different kinds are not taken together */
    uint64_t macs;        /* what it will cost */
    size_t images;        /* that it brings; 0 counts as 1 */
    uint64_t deadline_ns; /* of clock_now() */
    int socket;           /* of the client that waits for it; -1 for none */
};

struct queue_limits {
    size_t items;
    uint64_t macs; /* but an empty queue takes any one item */
};

enum queue_result { QUEUE_OK, QUEUE_FULL, QUEUE_FULL_OF_MACS, QUEUE_CLOSED };

/* NULL where there is no memory. `limits->items` is at least 1. The bell rings for each item, and for everyone when the
 * queue is closed; it must outlive the queue. */
struct queue *queue_create(const struct queue_limits *limits, struct bell *bell);
void queue_destroy(struct queue **queue); /* sets the pointer to NULL; NULL is fine */

enum queue_result queue_push(struct queue *queue, struct queue_item *item);

/* QUEUE_OK, or QUEUE_FULL or QUEUE_FULL_OF_MACS where there is no room even for the smallest item. */
enum queue_result queue_room(struct queue *queue);

/* Takes the oldest item and others of its kind: at most `most`, and no more than an even share, rounded up, of all that
 * wait for each of `takers` who are free to take (at least 1), nor more images than `most`, but for those of the oldest
 * one. Gives how many were taken; 0 where nothing waits. */
size_t queue_take(struct queue *queue, struct queue_item **items, size_t most, size_t takers);

/* One that waits, as it was at the moment of queue_list. */
struct queue_entry {
    struct queue_item *item; /* not to be looked into: somebody else may have taken it meanwhile */
    uint64_t ticket, deadline_ns;
    int socket;
};

/* Writes all that wait, the oldest first; `entries` has room for as many as may wait. Gives their number. */
size_t queue_list(struct queue *queue, struct queue_entry *entries);

/* Takes just this one out, if it still waits; then it is the caller's. */
bool queue_remove(struct queue *queue, const struct queue_entry *entry);

/* From now on nothing can be pushed; what is there can still be taken. */
void queue_close(struct queue *queue);

/* Whether the queue is closed and empty, which it then remains. */
bool queue_over(struct queue *queue);

size_t queue_length(struct queue *queue);
uint64_t queue_macs(struct queue *queue); /* of all that wait */

/* The bounds. Whether what waits already fits into a new one makes no difference to it. */
size_t queue_capacity(const struct queue *queue);
uint64_t queue_macs_limit(struct queue *queue);
void queue_set_macs_limit(struct queue *queue, uint64_t macs);

#endif
