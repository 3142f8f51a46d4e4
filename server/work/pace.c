#include "server/work/pace.h"

#include <math.h>

void pace_open(struct pace *pace)
{
    pthread_mutex_init(&pace->lock, NULL);
    pace->macs = pace->seconds = 0;
}

void pace_close(struct pace *pace)
{
    pthread_mutex_destroy(&pace->lock);
}

void pace_add(struct pace *pace, uint64_t macs, uint64_t ns)
{
    double seconds = (double)ns / 1e9, left = exp(-seconds / PACE_SECONDS);

    pthread_mutex_lock(&pace->lock);
    pace->macs = pace->macs * left + (double)macs;
    pace->seconds = pace->seconds * left + seconds;
    pthread_mutex_unlock(&pace->lock);
}

double pace_seconds(struct pace *pace, uint64_t macs, unsigned instances)
{
    pthread_mutex_lock(&pace->lock);
    double seconds = pace->macs > 0 ? (double)macs * pace->seconds / pace->macs / instances : 0;
    pthread_mutex_unlock(&pace->lock);
    return seconds;
}
