#include "server/http/connections.h"

#include "server/clock.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#define MS         ((uint64_t)1000000) /* nanoseconds */
#define FOR_GOOD   UINT64_MAX
#define CALM_AFTER (250 * MS) /* a connection on which nothing has happened for it is really idle */

enum {
    SPARE_SLOTS = 256, /* a process has other open files, too; the table grows where these are too few */
    LOOKS = 16         /* each idle connection is looked at so often in the time that a header may take */
};

struct connections {
    pthread_mutex_t lock;
    pthread_cond_t room; /* for the acceptor: a connection is gone, or idle */
    pthread_cond_t calm; /* for who stops: nothing is under way, or the doors are closed */
    pthread_cond_t some; /* for the watchdog: there is a connection */
    struct connection_limits limits;
    struct stages stages;
    struct connection_counts counts;
    uint64_t moved;  /* when a connection last entered a stage */
    uint64_t looked; /* when the watchdog last looked at idle ones */
    size_t next;     /* the slot at which it goes on */
    bool doors_closed, over;
};

/* ---- waiting ---- */

static void make_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC); /* that of clock_now */
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* Sleeps until the condition is signalled or the moment has come; now and then it wakes earlier. */
static void sleep_until(struct connections *all, pthread_cond_t *condition, uint64_t moment)
{
    struct timespec until = {(time_t)(moment / (1000 * MS)), (long)(moment % (1000 * MS))};

    if (moment == FOR_GOOD)
        pthread_cond_wait(condition, &all->lock);
    else
        pthread_cond_timedwait(condition, &all->lock, &until);
}

/* ---- with the lock held: the table ---- */

/* Connections that have something to do, or are just coming or going. */
static size_t under_way(const struct connections *all)
{
    return all->counts.open - all->stages.lists[CONNECTION_IDLE].count;
}

static void enter(struct connections *all, int socket, enum connection_stage stage, uint64_t now)
{
    stages_move(&all->stages, socket, stage, now);
    all->moved = now;
    if (stage != CONNECTION_IDLE)
        return;
    pthread_cond_signal(&all->room);
    if (under_way(all) == 0)
        pthread_cond_signal(&all->calm);
}

static void forget(struct connections *all, int socket)
{
    stages_remove(&all->stages, socket);
    all->counts.open--;
    all->moved = clock_now();
    pthread_cond_signal(&all->room);
    if (under_way(all) == 0)
        pthread_cond_signal(&all->calm);
}

/* ---- with the lock held: idle connections, and late ones ---- */

/* How many bytes have ever come on a connection; 0 where the system does not tell. */
static uint64_t bytes_received(int socket)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;

    return getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_bytes_received : 0;
}

/* The library does not tell when the first byte of a request comes, only when its first line is complete. */
static bool still_idle(struct connections *all, int socket, uint64_t now)
{
    if (bytes_received(socket) <= all->stages.slots[socket].read)
        return true;
    enter(all, socket, CONNECTION_HEADER, now);
    return false;
}

static void shut(struct connections *all, int socket)
{
    enter(all, socket, CONNECTION_CLOSING, clock_now());
    shutdown(socket, SHUT_RDWR);
}

/* What a slow reader has not taken is not kept for him after the end either. */
static void shut_late(struct connections *all, int socket)
{
    struct linger at_once = {.l_onoff = 1};

    if (all->stages.slots[socket].stage == CONNECTION_ANSWER)
        setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    all->stages.slots[socket].late = true;
    shut(all, socket);
}

static void shut_all_late(struct connections *all, enum connection_stage stage, uint64_t limit_ms, uint64_t now,
                          uint64_t *count)
{
    struct stage_list *list = &all->stages.lists[stage];

    while (list->first != NO_SOCKET && now >= all->stages.slots[list->first].since + limit_ms * MS) {
        shut_late(all, list->first);
        ++*count;
    }
}

/* Looks at so many slots, going round, that each gets its turn LOOKS times while a header may be under way. */
static void look_at_idle(struct connections *all, uint64_t now)
{
    uint64_t round = all->limits.header_ms * MS / LOOKS + 1;
    size_t most = all->stages.capacity, count = now - all->looked >= round ? most : (now - all->looked) * most / round;

    for (size_t i = 0; i < count; i++) {
        int socket = (int)all->next;
        all->next = (all->next + 1) % most;
        if (all->stages.slots[socket].stage == CONNECTION_IDLE)
            still_idle(all, socket, now);
    }
    if (count > 0)
        all->looked = now;
}

/* Tells when that may be tried again where nobody has been idle for `least` yet. */
static bool evict_oldest(struct connections *all, uint64_t least, uint64_t *again)
{
    struct stage_list *idle = &all->stages.lists[CONNECTION_IDLE];
    uint64_t now = clock_now();

    *again = FOR_GOOD;
    while (idle->first != NO_SOCKET) {
        int oldest = idle->first;
        if (now < all->stages.slots[oldest].since + least) {
            *again = all->stages.slots[oldest].since + least;
            return false;
        }
        if (still_idle(all, oldest, now)) {
            shut(all, oldest);
            all->counts.evicted++;
            return true;
        }
    }
    return false;
}

/* Whether nothing is under way, and nothing has just been or is about to be; otherwise when to look again. */
static bool calm(struct connections *all, uint64_t *again)
{
    struct stage_list *idle = &all->stages.lists[CONNECTION_IDLE];
    uint64_t now = clock_now();

    *again = FOR_GOOD;
    if (!all->doors_closed || under_way(all) > 0)
        return false;
    if (all->counts.open == 0)
        return true;
    *again = all->moved + CALM_AFTER;
    if (now < *again)
        return false;
    for (int socket = idle->first, after; socket != NO_SOCKET; socket = after) {
        after = all->stages.slots[socket].after;
        still_idle(all, socket, now);
    }
    *again = FOR_GOOD;
    return under_way(all) == 0;
}

/* ---- life ---- */

enum esp_status connections_create(struct connections **connections, const struct connection_limits *limits,
                                   struct esp_error *err)
{
    struct connections *all = *connections = calloc(1, sizeof *all);

    if (!all || !stages_open(&all->stages, limits->most + SPARE_SLOTS)) {
        free(all);
        *connections = NULL;
        return esp_fail(err, ESP_ERROR_MEMORY, "out of memory");
    }
    all->limits = *limits;
    pthread_mutex_init(&all->lock, NULL);
    make_condition(&all->room);
    make_condition(&all->calm);
    make_condition(&all->some);
    return ESP_OK;
}

void connections_destroy(struct connections **connections)
{
    struct connections *all = *connections;

    if (!all)
        return;
    pthread_cond_destroy(&all->some);
    pthread_cond_destroy(&all->calm);
    pthread_cond_destroy(&all->room);
    pthread_mutex_destroy(&all->lock);
    stages_close(&all->stages);
    free(all);
    *connections = NULL;
}

struct connection_counts connections_count(struct connections *connections)
{
    pthread_mutex_lock(&connections->lock);
    struct connection_counts counts = connections->counts;
    pthread_mutex_unlock(&connections->lock);
    return counts;
}

/* ---- for the acceptor ---- */

/* Those that were shut down already are as good as gone, so no other need go for the same room. */
bool connections_make_room(struct connections *connections)
{
    struct connections *all = connections;
    const struct stage_list *closing = &all->stages.lists[CONNECTION_CLOSING];

    pthread_mutex_lock(&all->lock);
    while (!all->over && all->counts.open >= all->limits.most) {
        uint64_t again = FOR_GOOD;
        if (all->counts.open - closing->count < all->limits.most || !evict_oldest(all, CALM_AFTER, &again))
            sleep_until(all, &all->room, again);
    }
    bool goes_on = !all->over;
    pthread_mutex_unlock(&all->lock);
    return goes_on;
}

void connections_evict(struct connections *connections)
{
    uint64_t again;

    pthread_mutex_lock(&connections->lock);
    evict_oldest(connections, CALM_AFTER, &again);
    pthread_mutex_unlock(&connections->lock);
}

/* A socket that is known is that of a connection which the library has closed without a word, as it does where memory
 * has run out before it could begin. */
bool connections_add(struct connections *connections, int socket)
{
    struct connections *all = connections;

    pthread_mutex_lock(&all->lock);
    if (stages_has(&all->stages, socket))
        forget(all, socket);
    all->moved = clock_now();
    bool added = stages_add(&all->stages, socket, CONNECTION_NEW, all->moved);
    all->counts.open += added;
    all->counts.accepted += added;
    if (all->counts.open == 1)
        pthread_cond_signal(&all->some);
    pthread_mutex_unlock(&all->lock);
    return added;
}

void connections_close_doors(struct connections *connections)
{
    pthread_mutex_lock(&connections->lock);
    connections->doors_closed = true;
    pthread_cond_signal(&connections->calm);
    pthread_mutex_unlock(&connections->lock);
}

/* ---- for the I/O threads ---- */

void connections_started(struct connections *connections, int socket)
{
    pthread_mutex_lock(&connections->lock);
    enter(connections, socket, CONNECTION_IDLE, clock_now());
    pthread_mutex_unlock(&connections->lock);
}

void connections_gone(struct connections *connections, int socket)
{
    pthread_mutex_lock(&connections->lock);
    forget(connections, socket);
    pthread_mutex_unlock(&connections->lock);
}

/* Until now the handshake was taken for a header, and had that much time. */
void connections_greeted(struct connections *connections, int socket)
{
    uint64_t read = bytes_received(socket);

    pthread_mutex_lock(&connections->lock);
    struct connection_slot *slot = &connections->stages.slots[socket];
    slot->read = read;
    if (slot->stage == CONNECTION_HEADER)
        enter(connections, socket, CONNECTION_IDLE, clock_now());
    pthread_mutex_unlock(&connections->lock);
}

/* A header whose first byte was seen keeps the time of that. */
static bool enters(const struct connection_slot *slot, enum connection_stage stage)
{
    return slot->stage != CONNECTION_CLOSING && slot->stage != stage;
}

void connections_enter(struct connections *connections, int socket, enum connection_stage stage)
{
    uint64_t read = stage == CONNECTION_IDLE ? bytes_received(socket) : 0;

    pthread_mutex_lock(&connections->lock);
    struct connection_slot *slot = &connections->stages.slots[socket];
    if (enters(slot, stage)) {
        slot->read = read;
        enter(connections, socket, stage, clock_now());
    }
    pthread_mutex_unlock(&connections->lock);
}

bool connections_late(struct connections *connections, int socket)
{
    pthread_mutex_lock(&connections->lock);
    bool late = connections->stages.slots[socket].late;
    pthread_mutex_unlock(&connections->lock);
    return late;
}

/* ---- for the watchdog ---- */

bool connections_rest(struct connections *connections, unsigned ms)
{
    struct connections *all = connections;
    uint64_t until = clock_now() + ms * MS;

    pthread_mutex_lock(&all->lock);
    while (!all->over && (clock_now() < until || all->counts.open == 0))
        sleep_until(all, &all->some, all->counts.open ? until : FOR_GOOD);
    bool goes_on = !all->over;
    pthread_mutex_unlock(&all->lock);
    return goes_on;
}

/* A connection that is neither silent, or the library would have closed it, nor seen to have begun a request, sends
 * that header all too slowly where the system does not tell what has come. */
void connections_watch(struct connections *connections)
{
    const struct connection_limits *limits = &connections->limits;
    struct connection_counts *counts = &connections->counts;
    uint64_t now = clock_now();

    pthread_mutex_lock(&connections->lock);
    look_at_idle(connections, now);
    shut_all_late(connections, CONNECTION_IDLE, limits->idle_ms + limits->header_ms, now, &counts->late_headers);
    shut_all_late(connections, CONNECTION_HEADER, limits->header_ms, now, &counts->late_headers);
    shut_all_late(connections, CONNECTION_BODY, limits->body_ms, now, &counts->late_bodies);
    shut_all_late(connections, CONNECTION_ANSWER, limits->answer_ms, now, &counts->late_answers);
    pthread_mutex_unlock(&connections->lock);
}

/* ---- for who stops the server ---- */

bool connections_wait_calm(struct connections *connections, uint64_t ms)
{
    uint64_t end = clock_now() + ms * MS, again;
    bool is_calm;

    pthread_mutex_lock(&connections->lock);
    while (!(is_calm = calm(connections, &again)) && clock_now() < end)
        sleep_until(connections, &connections->calm, again < end ? again : end);
    pthread_mutex_unlock(&connections->lock);
    return is_calm;
}

void connections_end(struct connections *connections)
{
    pthread_mutex_lock(&connections->lock);
    connections->over = true;
    pthread_cond_broadcast(&connections->room);
    pthread_cond_broadcast(&connections->calm);
    pthread_cond_broadcast(&connections->some);
    pthread_mutex_unlock(&connections->lock);
}
