#include "server/work/queue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

struct queue {
    struct bell *bell;
    pthread_mutex_t lock;
    size_t capacity, first;
    atomic_size_t length; /* changed under the lock, so that looking at it takes none */
    atomic_bool closed;   /* likewise */
    void *items[];        /* [capacity], a ring that begins at `first` */
};

struct queue *queue_create(size_t capacity, struct bell *bell)
{
    struct queue *queue = calloc(1, sizeof *queue + capacity * sizeof queue->items[0]);
    if (!queue)
        return NULL;
    pthread_mutex_init(&queue->lock, NULL);
    queue->capacity = capacity;
    queue->bell = bell;
    return queue;
}

void queue_destroy(struct queue **queue)
{
    if (!*queue)
        return;
    pthread_mutex_destroy(&(*queue)->lock);
    free(*queue);
    *queue = NULL;
}

static enum queue_result append(struct queue *queue, void *item)
{
    size_t length = atomic_load(&queue->length);

    if (atomic_load(&queue->closed))
        return QUEUE_CLOSED;
    if (length == queue->capacity)
        return QUEUE_FULL;
    queue->items[(queue->first + length) % queue->capacity] = item;
    atomic_store(&queue->length, length + 1);
    return QUEUE_OK;
}

enum queue_result queue_push(struct queue *queue, void *item)
{
    pthread_mutex_lock(&queue->lock);
    enum queue_result result = append(queue, item);
    pthread_mutex_unlock(&queue->lock);
    if (result == QUEUE_OK)
        bell_ring(queue->bell, 1);
    return result;
}

static size_t remove_oldest(struct queue *queue, void **items, size_t most, size_t takers)
{
    size_t length = atomic_load(&queue->length), share = (length + takers - 1) / takers;
    size_t count = share < most ? share : most;

    for (size_t i = 0; i < count; i++) {
        items[i] = queue->items[queue->first];
        queue->first = (queue->first + 1) % queue->capacity;
    }
    atomic_store(&queue->length, length - count);
    return count;
}

size_t queue_take(struct queue *queue, void **items, size_t most, size_t takers)
{
    if (queue_length(queue) == 0)
        return 0;
    pthread_mutex_lock(&queue->lock);
    size_t count = remove_oldest(queue, items, most, takers);
    pthread_mutex_unlock(&queue->lock);
    return count;
}

void queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    atomic_store(&queue->closed, true);
    pthread_mutex_unlock(&queue->lock);
    bell_ring(queue->bell, SIZE_MAX);
}

/* In this order: once it is closed, nothing is added any more. */
bool queue_over(struct queue *queue)
{
    return atomic_load(&queue->closed) && queue_length(queue) == 0;
}

size_t queue_length(struct queue *queue)
{
    return atomic_load(&queue->length);
}

size_t queue_capacity(const struct queue *queue)
{
    return queue->capacity;
}
