#include "server/queue.h"

#include <pthread.h>
#include <stdlib.h>

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    size_t capacity, first, length;
    bool closed;
    void *items[]; /* [capacity], a ring that begins at `first` */
};

struct queue *queue_create(size_t capacity)
{
    struct queue *queue = calloc(1, sizeof *queue + capacity * sizeof queue->items[0]);
    if (!queue)
        return NULL;
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->filled, NULL);
    queue->capacity = capacity;
    return queue;
}

void queue_destroy(struct queue **queue)
{
    if (!*queue)
        return;
    pthread_cond_destroy(&(*queue)->filled);
    pthread_mutex_destroy(&(*queue)->lock);
    free(*queue);
    *queue = NULL;
}

enum queue_result queue_push(struct queue *queue, void *item)
{
    enum queue_result result = QUEUE_OK;

    pthread_mutex_lock(&queue->lock);
    if (queue->closed)
        result = QUEUE_CLOSED;
    else if (queue->length == queue->capacity)
        result = QUEUE_FULL;
    else
        queue->items[(queue->first + queue->length++) % queue->capacity] = item;
    if (result == QUEUE_OK)
        pthread_cond_signal(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
    return result;
}

void *queue_pop(struct queue *queue)
{
    void *item = NULL;

    pthread_mutex_lock(&queue->lock);
    while (queue->length == 0 && !queue->closed)
        pthread_cond_wait(&queue->filled, &queue->lock);
    if (queue->length > 0) {
        item = queue->items[queue->first];
        queue->first = (queue->first + 1) % queue->capacity;
        queue->length--;
    }
    pthread_mutex_unlock(&queue->lock);
    return item;
}

void queue_close(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}

size_t queue_length(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    size_t length = queue->length;
    pthread_mutex_unlock(&queue->lock);
    return length;
}

size_t queue_capacity(const struct queue *queue)
{
    return queue->capacity;
}
