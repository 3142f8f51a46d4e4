/* How fast the instances have worked lately, in MACs for each second of an instance's time, and so how long what waits
 * will take. What an instance spends on decoding and on waiting for others counts as its time, too: a load of large
 * pictures has a slower pace. All functions are thread-safe. */
#ifndef SERVER_WORK_PACE_H
#define SERVER_WORK_PACE_H

#include <pthread.h>
#include <stdint.h>

struct pace {
    pthread_mutex_t lock;
    double macs, seconds; /* both fade: what lies PACE_SECONDS of instances' time back counts a third */
};

#define PACE_SECONDS 4.0

void pace_open(struct pace *pace);
void pace_close(struct pace *pace);

/* An instance has been busy for `ns` nanoseconds and has run `macs`; 0 where it helped another one. */
void pace_add(struct pace *pace, uint64_t macs, uint64_t ns);

/* Seconds that `instances` instances will need for `macs`; 0 while nothing is known. */
double pace_seconds(struct pace *pace, uint64_t macs, unsigned instances);

#endif
