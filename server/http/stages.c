#include "server/http/stages.h"

#include <stdlib.h>
#include <string.h>

static void take_out(struct stages *stages, int socket)
{
    struct connection_slot *slots = stages->slots, *slot = &slots[socket];
    struct stage_list *list = &stages->lists[slot->stage];

    *(slot->before == NO_SOCKET ? &list->first : &slots[slot->before].after) = slot->after;
    *(slot->after == NO_SOCKET ? &list->last : &slots[slot->after].before) = slot->before;
    list->count--;
}

static void put_in(struct stages *stages, int socket, enum connection_stage stage, uint64_t now)
{
    struct connection_slot *slots = stages->slots, *slot = &slots[socket];
    struct stage_list *list = &stages->lists[stage];

    slot->stage = stage;
    slot->since = now;
    slot->before = list->last;
    slot->after = NO_SOCKET;
    *(list->last == NO_SOCKET ? &list->first : &slots[list->last].after) = socket;
    list->last = socket;
    list->count++;
}

static bool make_slot(struct stages *stages, int socket)
{
    size_t capacity = stages->capacity;

    while (capacity <= (size_t)socket)
        capacity *= 2;
    if (capacity == stages->capacity)
        return true;
    struct connection_slot *slots = realloc(stages->slots, capacity * sizeof *slots);
    if (!slots)
        return false;
    memset(slots + stages->capacity, 0, (capacity - stages->capacity) * sizeof *slots);
    stages->slots = slots;
    stages->capacity = capacity;
    return true;
}

bool stages_open(struct stages *stages, size_t capacity)
{
    *stages = (struct stages){.slots = calloc(capacity, sizeof *stages->slots), .capacity = capacity};
    for (int stage = 0; stage < CONNECTION_STAGES; stage++)
        stages->lists[stage] = (struct stage_list){NO_SOCKET, NO_SOCKET, 0};
    return stages->slots != NULL;
}

void stages_close(struct stages *stages)
{
    free(stages->slots);
    stages->slots = NULL;
}

bool stages_add(struct stages *stages, int socket, enum connection_stage stage, uint64_t now)
{
    if (!make_slot(stages, socket))
        return false;
    stages->slots[socket] = (struct connection_slot){0};
    put_in(stages, socket, stage, now);
    return true;
}

void stages_move(struct stages *stages, int socket, enum connection_stage stage, uint64_t now)
{
    take_out(stages, socket);
    put_in(stages, socket, stage, now);
}

void stages_remove(struct stages *stages, int socket)
{
    take_out(stages, socket);
    stages->slots[socket].stage = CONNECTION_NONE;
}

bool stages_has(const struct stages *stages, int socket)
{
    return (size_t)socket < stages->capacity && stages->slots[socket].stage != CONNECTION_NONE;
}
