#include "server/work/queue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* How far behind the oldest item others of its kind are looked for. */
enum { LOOK_BEHIND = 64 };

struct queue {
    struct bell *bell;
    pthread_mutex_t lock;
    size_t capacity;
    atomic_uint_least64_t macs_limit;
    struct queue_item ends; /* of a ring: its next is the oldest, its previous the newest */
    uint64_t tickets;
    atomic_size_t length; /* changed under the lock, so that looking at it takes none */
    atomic_uint_least64_t macs;
    atomic_bool closed; /* likewise */
};

struct queue *queue_create(const struct queue_limits *limits, struct bell *bell)
{
    struct queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return NULL;
    pthread_mutex_init(&queue->lock, NULL);
    queue->capacity = limits->items;
    atomic_init(&queue->macs_limit, limits->macs);
    queue->ends.previous = queue->ends.next = &queue->ends;
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

/* ---- with the lock held ---- */

static void link_last(struct queue *queue, struct queue_item *item)
{
    item->ticket = ++queue->tickets;
    item->previous = queue->ends.previous;
    item->next = &queue->ends;
    item->previous->next = item;
    queue->ends.previous = item;
    atomic_fetch_add(&queue->length, 1);
    atomic_fetch_add(&queue->macs, item->macs);
}

static void unlink_item(struct queue *queue, struct queue_item *item)
{
    item->ticket = 0;
    item->previous->next = item->next;
    item->next->previous = item->previous;
    atomic_fetch_sub(&queue->length, 1);
    atomic_fetch_sub(&queue->macs, item->macs);
}

static enum queue_result append(struct queue *queue, struct queue_item *item)
{
    size_t length = atomic_load(&queue->length);
    uint64_t macs = atomic_load(&queue->macs), limit = atomic_load(&queue->macs_limit);

    if (atomic_load(&queue->closed))
        return QUEUE_CLOSED;
    if (length >= queue->capacity)
        return QUEUE_FULL;
    if (length > 0 && (macs >= limit || item->macs > limit - macs))
        return QUEUE_FULL_OF_MACS;
    link_last(queue, item);
    return QUEUE_OK;
}

static size_t images_of(const struct queue_item *item)
{
    return item->images ? item->images : 1;
}

static size_t remove_oldest(struct queue *queue, struct queue_item **items, size_t most, size_t takers)
{
    size_t share = (atomic_load(&queue->length) + takers - 1) / takers, count = 0, looked = 0, images = 0;
    const void *kind = queue->ends.next->kind;

    if (share > most)
        share = most;
    for (struct queue_item *item = queue->ends.next, *next; item != &queue->ends && count < share; item = next) {
        next = item->next;
        if (item->kind == kind) {
            images += images_of(item);
            if (count > 0 && images > most)
                break;
            unlink_item(queue, item);
            items[count++] = item;
        } else if (++looked == LOOK_BEHIND) {
            break;
        }
    }
    return count;
}

/* ---- for everyone ---- */

enum queue_result queue_push(struct queue *queue, struct queue_item *item)
{
    pthread_mutex_lock(&queue->lock);
    enum queue_result result = append(queue, item);
    pthread_mutex_unlock(&queue->lock);
    if (result == QUEUE_OK)
        bell_ring(queue->bell, 1);
    return result;
}

enum queue_result queue_room(struct queue *queue)
{
    size_t length = queue_length(queue);

    if (length >= queue->capacity)
        return QUEUE_FULL;
    return length > 0 && queue_macs(queue) >= queue_macs_limit(queue) ? QUEUE_FULL_OF_MACS : QUEUE_OK;
}

size_t queue_take(struct queue *queue, struct queue_item **items, size_t most, size_t takers)
{
    if (queue_length(queue) == 0)
        return 0;
    pthread_mutex_lock(&queue->lock);
    size_t count = remove_oldest(queue, items, most, takers);
    pthread_mutex_unlock(&queue->lock);
    return count;
}

size_t queue_list(struct queue *queue, struct queue_entry *entries)
{
    size_t count = 0;

    pthread_mutex_lock(&queue->lock);
    for (struct queue_item *item = queue->ends.next; item != &queue->ends; item = item->next)
        entries[count++] = (struct queue_entry){item, item->ticket, item->deadline_ns, item->socket};
    pthread_mutex_unlock(&queue->lock);
    return count;
}

bool queue_remove(struct queue *queue, const struct queue_entry *entry)
{
    pthread_mutex_lock(&queue->lock);
    bool waits = entry->item->ticket == entry->ticket;
    if (waits)
        unlink_item(queue, entry->item);
    pthread_mutex_unlock(&queue->lock);
    return waits;
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

uint64_t queue_macs(struct queue *queue)
{
    return atomic_load(&queue->macs);
}

size_t queue_capacity(const struct queue *queue)
{
    return queue->capacity;
}

uint64_t queue_macs_limit(struct queue *queue)
{
    return atomic_load(&queue->macs_limit);
}

void queue_set_macs_limit(struct queue *queue, uint64_t macs)
{
    atomic_store(&queue->macs_limit, macs);
}
