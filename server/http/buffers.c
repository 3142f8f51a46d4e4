#include "server/http/buffers.h"

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Buffers from MAPPED_LEAST on are mapped: unmapped, one is gone for sure, where free() might keep its memory.
 * AddressSanitizer gets all of them from malloc, which it guards, and sees who uses one that waits. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
enum { MAPPED_LEAST = INT_MAX };
#else
#define ASAN_POISON_MEMORY_REGION(address, size)   ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
enum { MAPPED_LEAST = 32 << 10 };
#endif

enum {
    SMALLEST = 4 << 10,
    SHELVES = 11,
    LOOK_EVERY = 4096 /* takes: what nobody needed for so many is idle */
};

_Static_assert(SMALLEST << (SHELVES - 1) == BUFFER_KEPT_MAX, "the last shelf has the largest buffers that are kept");

/* A buffer that waits begins with this. */
struct kept {
    struct kept *next;
    size_t room;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static size_t kept_bytes;
static unsigned takes;

/* Buffers of one size. */
static struct shelf {
    struct kept *first;
    size_t waiting; /* buffers */
    size_t idle;    /* the fewest that have waited since the last look: so many nobody needed */
} shelves[SHELVES];

static size_t size_on(const struct shelf *shelf)
{
    return (size_t)SMALLEST << (shelf - shelves);
}

/* Where buffers for `size` bytes, BUFFER_KEPT_MAX or fewer, wait. */
static struct shelf *shelf_of(size_t size)
{
    struct shelf *shelf = shelves;
    while (size_on(shelf) < size)
        shelf++;
    return shelf;
}

size_t buffer_room(size_t size)
{
    size_t room = SMALLEST;
    while (room < size)
        room = room > SIZE_MAX / 2 ? SIZE_MAX : room * 2;
    return room;
}

/* ---- the system ---- */

static bool is_mapped(size_t room)
{
    return room >= (size_t)MAPPED_LEAST;
}

static void *system_take(size_t room)
{
    if (!is_mapped(room))
        return malloc(room);
    void *buffer = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return buffer == MAP_FAILED ? NULL : buffer;
}

static void *system_grow(void *buffer, size_t room, size_t larger)
{
    if (!is_mapped(room))
        return realloc(buffer, larger);
    void *grown = mremap(buffer, room, larger, MREMAP_MAYMOVE);
    return grown == MAP_FAILED ? NULL : grown;
}

static void system_give(void *buffer, size_t room)
{
    if (is_mapped(room))
        munmap(buffer, room);
    else
        free(buffer);
}

/* ---- with the lock held ---- */

static void put_on(struct shelf *shelf, struct kept *buffer)
{
    *buffer = (struct kept){shelf->first, size_on(shelf)};
    shelf->first = buffer;
    shelf->waiting++;
    kept_bytes += size_on(shelf);
    ASAN_POISON_MEMORY_REGION(buffer + 1, size_on(shelf) - sizeof *buffer);
}

static struct kept *take_from(struct shelf *shelf)
{
    struct kept *buffer = shelf->first;

    if (!buffer)
        return NULL;
    shelf->first = buffer->next;
    shelf->waiting--;
    if (shelf->idle > shelf->waiting)
        shelf->idle = shelf->waiting;
    kept_bytes -= size_on(shelf);
    ASAN_UNPOISON_MEMORY_REGION(buffer, size_on(shelf));
    return buffer;
}

/* Every now and then, what waits is idle until it is taken. */
static void look(void)
{
    if (++takes % LOOK_EVERY == 0)
        for (struct shelf *shelf = shelves; shelf < shelves + SHELVES; shelf++)
            shelf->idle = shelf->waiting;
}

/* Where most bytes are idle or, if none are, where most bytes wait. */
static struct shelf *fullest(void)
{
    struct shelf *idle = shelves, *waiting = shelves;

    for (struct shelf *shelf = shelves; shelf < shelves + SHELVES; shelf++) {
        if (shelf->idle * size_on(shelf) > idle->idle * size_on(idle))
            idle = shelf;
        if (shelf->waiting * size_on(shelf) > waiting->waiting * size_on(waiting))
            waiting = shelf;
    }
    return idle->idle ? idle : waiting;
}

/* Takes away what is too much: a list for the caller, once the lock is released. */
static struct kept *take_surplus(void)
{
    struct kept *surplus = NULL;

    while (kept_bytes > BUFFERS_KEPT_MAX) {
        struct shelf *shelf = fullest();
        shelf->idle -= shelf->idle > 0;
        struct kept *buffer = take_from(shelf);
        buffer->next = surplus;
        surplus = buffer;
    }
    return surplus;
}

/* ---- for everyone ---- */

void *buffer_take(size_t size)
{
    struct kept *buffer = NULL;

    if (size <= BUFFER_KEPT_MAX) {
        struct shelf *shelf = shelf_of(size);
        pthread_mutex_lock(&lock);
        look();
        buffer = take_from(shelf);
        pthread_mutex_unlock(&lock);
    }
    return buffer ? buffer : system_take(buffer_room(size));
}

void *buffer_grow(void *buffer, size_t size, size_t used, size_t larger)
{
    if (size > BUFFER_KEPT_MAX)
        return system_grow(buffer, buffer_room(size), buffer_room(larger)); /* its pages move, nothing is copied */
    void *grown = buffer_take(larger);
    if (!grown || !buffer)
        return grown;
    memcpy(grown, buffer, used);
    buffer_give(buffer, size);
    return grown;
}

void buffer_give(void *buffer, size_t size)
{
    if (!buffer)
        return;
    if (size > BUFFER_KEPT_MAX) {
        system_give(buffer, buffer_room(size));
        return;
    }
    pthread_mutex_lock(&lock);
    put_on(shelf_of(size), buffer);
    struct kept *surplus = take_surplus();
    pthread_mutex_unlock(&lock);
    while (surplus) {
        struct kept *next = surplus->next;
        system_give(surplus, surplus->room);
        surplus = next;
    }
}

size_t buffers_kept(void)
{
    pthread_mutex_lock(&lock);
    size_t bytes = kept_bytes;
    pthread_mutex_unlock(&lock);
    return bytes;
}
