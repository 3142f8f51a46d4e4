#include "server/work/sweep.h"

#include "server/clock.h"

#include <poll.h>
#include <stdlib.h>

enum { GONE = POLLRDHUP | POLLHUP | POLLERR };

struct sweep {
    struct queue *queue;
    void (*removed)(void *context, struct queue_item *item, enum sweep_verdict why);
    void *context;
    struct queue_entry *entries; /* [as many as may wait] */
    struct pollfd *sockets;      /* likewise */
};

enum esp_status sweep_create(struct sweep **sweep, struct queue *queue,
                             void (*removed)(void *context, struct queue_item *item, enum sweep_verdict why),
                             void *context, struct esp_error *err)
{
    struct sweep *made = calloc(1, sizeof *made);
    size_t most = queue_capacity(queue);

    *sweep = made;
    if (!made)
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    made->queue = queue;
    made->removed = removed;
    made->context = context;
    made->entries = calloc(most, sizeof made->entries[0]);
    made->sockets = calloc(most, sizeof made->sockets[0]);
    if (made->entries && made->sockets)
        return ESP_OK;
    sweep_destroy(sweep);
    return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
}

void sweep_destroy(struct sweep **sweep)
{
    if (!*sweep)
        return;
    free((*sweep)->entries);
    free((*sweep)->sockets);
    free(*sweep);
    *sweep = NULL;
}

static void take_out(struct sweep *sweep, const struct queue_entry *entry, enum sweep_verdict why)
{
    if (queue_remove(sweep->queue, entry))
        sweep->removed(sweep->context, entry->item, why);
}

/* The sockets are looked at without the queue's lock, so one may be closed, and another one have its number, by then.
 * But then its request no longer waits, and queue_remove says so. */
void sweep_once(struct sweep *sweep)
{
    size_t count = queue_length(sweep->queue) ? queue_list(sweep->queue, sweep->entries) : 0;
    uint64_t now = clock_now();

    for (size_t i = 0; i < count; i++)
        sweep->sockets[i] = (struct pollfd){.fd = sweep->entries[i].socket, .events = POLLRDHUP};
    if (count == 0 || poll(sweep->sockets, count, 0) < 0)
        return;
    for (size_t i = 0; i < count; i++) {
        if (sweep->sockets[i].revents & GONE)
            take_out(sweep, &sweep->entries[i], SWEEP_GONE);
        else if (now > sweep->entries[i].deadline_ns)
            take_out(sweep, &sweep->entries[i], SWEEP_LATE);
    }
}
