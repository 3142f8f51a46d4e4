#include "server/process.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    SPARE_FILES = 64,        /* beside the connections */
    MAPPED_LEAST = 128 << 10 /* bytes */
};

/* Otherwise the first socket would be taken for the standard error, and be written to. */
static void open_standard_descriptors(void)
{
    int lowest;

    do
        lowest = open("/dev/null", O_RDWR);
    while (lowest >= 0 && lowest <= STDERR_FILENO);
    if (lowest > STDERR_FILENO)
        close(lowest);
}

/* What a network takes is mapped, each piece for itself, and unmapped when the network goes. The C library would learn
 * from the first such piece that is freed to take the next ones from a heap, which has holes then, and keeps them. */
static void give_memory_back(void)
{
    mallopt(M_MMAP_THRESHOLD, MAPPED_LEAST);
}

/* A connection is an open file, and the usual limit is just the usual number of connections. */
static uint64_t allow_files(uint64_t connections)
{
    struct rlimit limit;
    rlim_t wanted = connections + SPARE_FILES;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return 0;
    limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > wanted ? wanted : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur < wanted ? limit.rlim_cur : 0;
}

uint64_t process_prepare(uint64_t connections)
{
    open_standard_descriptors();
    give_memory_back();
    return allow_files(connections);
}
