/* What the bodies of all requests take together is bounded: each request holds a share of the budget, which grows as
 * its body arrives, and gives it back when it is over. Thread-safe. */
#ifndef SERVER_HTTP_BUDGET_H
#define SERVER_HTTP_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct budget {
    size_t limit;       /* bytes */
    atomic_size_t held; /* by everybody */
};

/* Whether `share` more bytes would fit now. Nothing is held for them: who only promises a body takes no room. Whoever
 * is alone gets any share, so that a large body is not refused for good. */
bool budget_fits(struct budget *budget, size_t share);

/* Changes a share from *share to `wanted` bytes. False, and nothing has changed, where it would grow and does not fit.
 */
bool budget_hold(struct budget *budget, size_t *share, size_t wanted);

#endif
