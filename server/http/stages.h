/* Which stage each connection is in and since when: a table indexed by socket, in which those of one stage are a list
 * in the order in which they entered it. So the first of a list is the first to be late. Used under the lock of
 * connections.c; it takes memory only where a socket has a larger number than any before. */
#ifndef SERVER_HTTP_STAGES_H
#define SERVER_HTTP_STAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum connection_stage {
    CONNECTION_NONE,    /* there is no such connection */
    CONNECTION_NEW,     /* on its way to an I/O thread */
    CONNECTION_IDLE,    /* no byte of a request has come yet, or since the last one */
    CONNECTION_HEADER,  /* of a request, from its first byte to its end */
    CONNECTION_BODY,    /* likewise, also one that is read and forgotten */
    CONNECTION_WORK,    /* the request is complete */
    CONNECTION_ANSWER,  /* on its way, until the system has taken all of it */
    CONNECTION_CLOSING, /* shut down here; the library has not closed it yet */
    CONNECTION_STAGES
};

enum { NO_SOCKET = -1 };

struct connection_slot {
    enum connection_stage stage;
    int before, after; /* in the list of the stage, or NO_SOCKET */
    bool late;
    uint64_t since; /* when the stage began */
    uint64_t read;  /* bytes that had come when it became idle */
};

struct stage_list {
    int first, last; /* NO_SOCKET in an empty one */
    size_t count;
};

struct stages {
    struct connection_slot *slots; /* [capacity] */
    size_t capacity;
    struct stage_list lists[CONNECTION_STAGES];
};

/* False where there is no memory. */
bool stages_open(struct stages *stages, size_t capacity);
void stages_close(struct stages *stages);

/* A socket comes, for which there must be no entry yet; false where there is no memory. */
bool stages_add(struct stages *stages, int socket, enum connection_stage stage, uint64_t now);
void stages_move(struct stages *stages, int socket, enum connection_stage stage, uint64_t now);
void stages_remove(struct stages *stages, int socket);

bool stages_has(const struct stages *stages, int socket);

#endif
