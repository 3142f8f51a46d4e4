#include "server/metrics/process.h"

#include "server/metrics/print.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Numbers of the fields in /proc/self/stat, see proc(5). */
enum { FIELD_STATE = 3, FIELD_THREADS = 20, FIELD_START = 22, FIELD_VIRTUAL = 23, FIELD_RESIDENT = 24, FIELDS };

struct stat_file {
    unsigned long long fields[FIELDS]; /* by number, from FIELD_STATE + 1 on */
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time = {0};
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* ---- /proc/self/stat ---- */

/* Reads a small file; false where there is none. */
static bool read_file(const char *path, char *text, size_t size)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, text, size - 1) : -1;

    if (file >= 0)
        close(file);
    text[length > 0 ? length : 0] = 0;
    return length > 0;
}

static bool read_stat(struct stat_file *stat)
{
    char text[1024];

    if (!read_file("/proc/self/stat", text, sizeof text))
        return false;
    char *at = strrchr(text, ')'); /* the program's name may hold anything */
    if (!at || strlen(at) < sizeof ") S")
        return false;
    at += sizeof ") S" - 1;
    for (int i = FIELD_STATE + 1; i < FIELDS; i++)
        stat->fields[i] = strtoull(at, &at, 10);
    return true;
}

/* ---- files ---- */

/* The kernel's own call: opendir() would allocate. */
static bool count_files(uint64_t *count)
{
    _Alignas(struct dirent64) char entries[4096];
    int folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ssize_t size = folder >= 0 ? 0 : -1;

    *count = 0;
    while (folder >= 0 && (size = getdents64(folder, entries, sizeof entries)) > 0)
        for (char *at = entries; at < entries + size; at += ((struct dirent64 *)at)->d_reclen)
            *count += ((struct dirent64 *)at)->d_name[0] != '.';
    if (folder >= 0)
        close(folder);
    *count -= *count > 0; /* the folder itself */
    return size == 0;
}

static void print_files(FILE *out)
{
    struct rlimit limit;
    uint64_t count;

    if (count_files(&count))
        print_one(out, "process_open_fds", "gauge", "Open file descriptors.", count);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        print_one(out, "process_max_fds", "gauge", "File descriptors that may be open.", limit.rlim_cur);
}

/* ---- time ---- */

static void print_time(FILE *out, const char *name, const char *type, const char *help, uint64_t ns)
{
    print_head(out, name, type, help);
    print_seconds(out, name, NULL, ns);
}

/* Since 1970. The kernel counts ticks since the machine was started; a tick is also the finest that makes sense here,
 * and the same each time we ask. */
static uint64_t start_ns(uint64_t ticks)
{
    uint64_t tick = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    uint64_t boot = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_BOOTTIME);

    return (boot + tick / 2) / tick * tick + ticks * tick;
}

void process_print(FILE *out)
{
    struct stat_file stat;

    print_time(out, "process_cpu_seconds_total", "counter", "CPU time of all threads, in seconds.",
               clock_ns(CLOCK_PROCESS_CPUTIME_ID));
    print_files(out);
    if (!read_stat(&stat))
        return;
    print_one(out, "process_resident_memory_bytes", "gauge", "Memory in use.",
              stat.fields[FIELD_RESIDENT] * (uint64_t)sysconf(_SC_PAGESIZE));
    print_one(out, "process_virtual_memory_bytes", "gauge", "Memory of the address space.", stat.fields[FIELD_VIRTUAL]);
    print_one(out, "process_threads", "gauge", "Threads.", stat.fields[FIELD_THREADS]);
    print_time(out, "process_start_time_seconds", "gauge", "When the process started, in seconds since 1970.",
               start_ns(stat.fields[FIELD_START]));
}
