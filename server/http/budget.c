#include "server/http/budget.h"

static bool fits(const struct budget *budget, size_t others, size_t share)
{
    return others == 0 || (others <= budget->limit && share <= budget->limit - others);
}

bool budget_fits(struct budget *budget, size_t share)
{
    return fits(budget, atomic_load(&budget->held), share);
}

bool budget_hold(struct budget *budget, size_t *share, size_t wanted)
{
    size_t held = atomic_load(&budget->held);

    if (wanted == *share)
        return true;
    do {
        if (wanted > *share && !fits(budget, held - *share, wanted))
            return false;
    } while (!atomic_compare_exchange_weak(&budget->held, &held, held - *share + wanted));
    *share = wanted;
    return true;
}
