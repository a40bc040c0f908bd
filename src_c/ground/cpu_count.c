/* How many processors this process may use: those its affinity mask allows, and no more than a container's quota of
 * processor time is worth.
 *
 * The quota counts because a thread for each processor of a large host in a container with the time of two would use
 * up the quota of a scheduling period (100 ms) in a fraction of it, and then all threads would stand still until the
 * next. A fraction of a processor counts as one: what a quota of 1.5 allows, one thread cannot use. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "../clstm.h"

#if defined(_WIN32)
#include <windows.h>

int clstm_cpu_count(void) {
    DWORD_PTR process = 0, machine = 0;
    int count = 0;
    if (GetProcessAffinityMask(GetCurrentProcess(), &process, &machine))
        for (; process != 0; process &= process - 1) count++;
    if (count == 0) count = (int)GetActiveProcessorCount(ALL_PROCESSOR_GROUPS); /* mask 0: spread over groups of 64 */
    return count > 0 ? count : 1;
}

#elif defined(__linux__)
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int allowed_by_affinity(void) {
    int count = 0, retry = 1;
    for (int bits = 1024; retry && bits <= 1 << 20; bits *= 2) { /* the call fails while the mask is too short */
        cpu_set_t *mask = CPU_ALLOC((size_t)bits);
        const size_t bytes = CPU_ALLOC_SIZE((size_t)bits);
        if (mask == NULL) break;
        if (sched_getaffinity(0, bytes, mask) == 0) {
            count = CPU_COUNT_S(bytes, mask);
            retry = 0;
        }
        CPU_FREE(mask);
    }
    if (count == 0) count = (int)sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? count : 1;
}

/* Reads the integers at the start of directory/file, at most two; those that are not there stay as they are. */
static void read_numbers(const char *directory, const char *file, long long *first, long long *second) {
    char path[PATH_MAX + 128];
    if (snprintf(path, sizeof path, "%s/%s", directory, file) >= (int)sizeof path) return;
    FILE *stream = fopen(path, "re");
    if (stream == NULL) return;
    if (fscanf(stream, "%lld", first) == 1 && second != NULL && fscanf(stream, "%lld", second) != 1) *second = 0;
    fclose(stream);
}

/* Processors' worth of time that one control group grants, rounded up; INT_MAX if it sets no limit. */
static int quota_of_group(const char *directory, int version) {
    long long quota = 0, period = 0; /* so many microseconds of processor time in a period of so many microseconds */
    if (version == 2) {
        read_numbers(directory, "cpu.max", &quota, &period);
    } else {
        read_numbers(directory, "cpu.cfs_quota_us", &quota, NULL);
        read_numbers(directory, "cpu.cfs_period_us", &period, NULL);
    }
    if (quota <= 0 || period <= 0 || quota / period >= INT_MAX) return INT_MAX; /* "max" or -1: no limit */
    return (int)((quota + period - 1) / period);
}

/* The least quota of the group `path` and the groups around it. Inside a container some of the directories may not
 * exist, but the mount point itself is then the container's group. */
static int quota_of_path(const char *mount, const char *path, int version) {
    char directory[PATH_MAX + 64];
    const size_t root = strlen(mount);
    int least = INT_MAX;
    if (snprintf(directory, sizeof directory, "%s%s", mount, path) >= (int)sizeof directory) return least;
    for (;;) {
        const int quota = quota_of_group(directory, version);
        if (quota < least) least = quota;
        char *slash = strrchr(directory + root, '/');
        if (slash == NULL) return least;
        *slash = '\0';
    }
}

/* Lines of /proc/self/cgroup are id:controllers:path, with no controllers in version 2. */
static int allowed_by_quota(void) {
    char line[PATH_MAX];
    int least = INT_MAX;
    FILE *stream = fopen("/proc/self/cgroup", "re");
    if (stream == NULL) return least;
    while (fgets(line, sizeof line, stream) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers == NULL ? NULL : strchr(controllers + 1, ':');
        if (path == NULL) continue;
        *controllers = *path = ','; /* so that each name stands between commas */
        const int version = path == controllers + 1 ? 2 : 1;
        char *cpu = strstr(controllers, ",cpu,");
        if (version == 1 && (cpu == NULL || cpu >= path)) continue;
        const int quota = quota_of_path(version == 2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu", path + 1, version);
        if (quota < least) least = quota;
    }
    fclose(stream);
    return least;
}

int clstm_cpu_count(void) {
    const int affinity = allowed_by_affinity(), quota = allowed_by_quota();
    return quota < affinity ? quota : affinity;
}

#else
#include <unistd.h>

int clstm_cpu_count(void) {
    const long count = sysconf(_SC_NPROCESSORS_ONLN); /* macOS: no affinity masks, no quotas */
    return count > 0 ? (int)count : 1;
}

#endif
