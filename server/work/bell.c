#include "server/work/bell.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* A sleeper counts itself and then looks at `rung`; who rings counts that up and then looks for sleepers. One of the
 * two sees the other: both orders are sequentially consistent. */
struct bell {
    pthread_mutex_t lock;
    pthread_cond_t rings;
    atomic_uint rung;
    atomic_size_t sleepers;
};

struct bell *bell_create(void)
{
    struct bell *bell = calloc(1, sizeof *bell);
    if (!bell)
        return NULL;
    pthread_mutex_init(&bell->lock, NULL);
    pthread_cond_init(&bell->rings, NULL);
    return bell;
}

void bell_destroy(struct bell **bell)
{
    if (!*bell)
        return;
    pthread_cond_destroy(&(*bell)->rings);
    pthread_mutex_destroy(&(*bell)->lock);
    free(*bell);
    *bell = NULL;
}

unsigned bell_listen(struct bell *bell)
{
    return atomic_load(&bell->rung);
}

void bell_sleep(struct bell *bell, unsigned heard)
{
    pthread_mutex_lock(&bell->lock);
    atomic_fetch_add(&bell->sleepers, 1);
    if (atomic_load(&bell->rung) == heard)
        pthread_cond_wait(&bell->rings, &bell->lock);
    atomic_fetch_sub(&bell->sleepers, 1);
    pthread_mutex_unlock(&bell->lock);
}

void bell_ring(struct bell *bell, size_t count)
{
    atomic_fetch_add(&bell->rung, 1);
    if (atomic_load(&bell->sleepers) == 0)
        return;
    pthread_mutex_lock(&bell->lock);
    size_t sleepers = atomic_load(&bell->sleepers);
    for (size_t i = 0; i < count && i < sleepers; i++)
        pthread_cond_signal(&bell->rings);
    pthread_mutex_unlock(&bell->lock);
}
