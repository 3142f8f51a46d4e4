#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "server/cpus.h"

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_line(const char *path, char *line, int size)
{
    FILE *file = fopen(path, "re");
    bool read = file && fgets(line, size, file);
    if (file)
        fclose(file);
    return read;
}

/* CPUs, rounded up, of a quota and a period in microseconds; 0 where they set no limit. */
static unsigned cpus_of(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    long long cpus = (quota - 1) / period + 1;
    return cpus > UINT_MAX ? 0 : (unsigned)cpus;
}

static unsigned smaller_limit(unsigned a, unsigned b)
{
    return !a ? b : !b || a < b ? a : b;
}

static unsigned quota_v2(const char *group)
{
    char path[PATH_MAX], line[128];
    long long quota, period;

    if (snprintf(path, sizeof path, "%s/cpu.max", group) >= (int)sizeof path || !read_line(path, line, sizeof line))
        return 0;
    return sscanf(line, "%lld %lld", &quota, &period) == 2 ? cpus_of(quota, period) : 0; /* "max" is no number */
}

static long long read_number(const char *group, const char *name)
{
    char path[PATH_MAX], line[64];
    if (snprintf(path, sizeof path, "%s/%s", group, name) >= (int)sizeof path || !read_line(path, line, sizeof line))
        return 0;
    return strtoll(line, NULL, 10);
}

static unsigned quota_v1(const char *group)
{
    return cpus_of(read_number(group, "cpu.cfs_quota_us"), read_number(group, "cpu.cfs_period_us"));
}

/* The smallest quota from `mount``path` up to `mount`. In a container the path may be the host's and not exist under
 * the mount; what isn't there sets no limit. */
static unsigned quota_upwards(const char *mount, const char *path, unsigned (*quota)(const char *))
{
    char group[PATH_MAX];
    size_t end = strlen(mount);
    unsigned limit = 0;

    if (snprintf(group, sizeof group, "%s%s", mount, path) >= (int)sizeof group)
        return quota(mount);
    for (;;) {
        limit = smaller_limit(limit, quota(group));
        char *slash = strrchr(group + end, '/');
        if (!slash)
            return limit;
        *slash = '\0';
    }
}

/* Whether "cpu" is one of the comma-separated controllers. */
static bool has_cpu(const char *controllers)
{
    for (const char *at = controllers; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (!strncmp(at, "cpu", 3) && (at[3] == ',' || at[3] == '\0'))
            return true;
    return false;
}

/* A line of /proc/self/cgroup: "hierarchy:controllers:path"; version 2's has no controllers. */
static unsigned quota_of_line(const char *root, char *line)
{
    char mount[PATH_MAX], *controllers = strchr(line, ':'), *path;

    line[strcspn(line, "\n")] = '\0';
    if (!controllers || !(path = strchr(++controllers, ':')))
        return 0;
    *path++ = '\0';
    bool v1 = *controllers != '\0';
    if (v1 && !has_cpu(controllers))
        return 0;
    int length = snprintf(mount, sizeof mount, "%s/sys/fs/cgroup%s%s", root, v1 ? "/" : "", v1 ? controllers : "");
    return length < (int)sizeof mount ? quota_upwards(mount, path, v1 ? quota_v1 : quota_v2) : 0;
}

unsigned cpus_quota(const char *root)
{
    char path[PATH_MAX], line[PATH_MAX];
    unsigned limit = 0;

    if (snprintf(path, sizeof path, "%s/proc/self/cgroup", root) >= (int)sizeof path)
        return 0;
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        limit = smaller_limit(limit, quota_of_line(root, line));
    if (file)
        fclose(file);
    return limit;
}

/* The mask is as long as the machine's, which may have more CPUs than cpu_set_t has bits. */
static unsigned cpus_in_mask(void)
{
    for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        size_t size = CPU_ALLOC_SIZE(cpus);
        if (!set)
            break;
        bool known = sched_getaffinity(0, size, set) == 0;
        int count = known ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count > 0)
            return (unsigned)count;
    }
    return 1;
}

unsigned cpus_usable(void)
{
    return smaller_limit(cpus_in_mask(), cpus_quota(""));
}
