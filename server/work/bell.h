/* A bell that wakes threads which have found nothing to do. It knows nothing of what there is to do: who makes work
 * rings it, and who looks for work listens first, then looks, then sleeps.
 *
 *     unsigned heard = bell_listen(bell);
 *     if (!look_for_work())
 *         bell_sleep(bell, heard);
 *
 * Whatever was rung for after bell_listen keeps the thread awake, so no work is overlooked. Ringing costs next to
 * nothing while nobody sleeps. All functions are thread-safe, except that bell_destroy must be the last. */
#ifndef SERVER_WORK_BELL_H
#define SERVER_WORK_BELL_H

#include <stddef.h>

struct bell;

/* NULL where there is no memory. */
struct bell *bell_create(void);
void bell_destroy(struct bell **bell); /* sets the pointer to NULL; NULL is fine */

unsigned bell_listen(struct bell *bell);

/* Returns at once where the bell has rung since `heard`, otherwise when it rings; sometimes earlier. */
void bell_sleep(struct bell *bell, unsigned heard);

/* Wakes `count` sleepers, or as many as there are. */
void bell_ring(struct bell *bell, size_t count);

#endif
