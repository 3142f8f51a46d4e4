/* How many CPUs this process may use: the smaller of its affinity mask and the CPU quotas of its cgroup and of all the
 * cgroups above it (version 2's cpu.max, version 1's cpu.cfs_quota_us), rounded up. Thread-safe. */
#ifndef SERVER_CPUS_H
#define SERVER_CPUS_H

/* The answer, at least 1. */
unsigned cpus_usable(void);

/* The quota alone, as the files below `root` state it ("" for the real ones: root/proc/self/cgroup and
 * root/sys/fs/cgroup); 0 where there is none. */
unsigned cpus_quota(const char *root);

#endif
