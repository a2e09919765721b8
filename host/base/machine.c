// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE  // sched_getaffinity
#include "host/base/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/base/base.h"

// The first number behind `label` in a small file of /proc or /sys; behind nothing, the file's
// first. False where there is none ("max" is how a control group says unlimited).
static bool read_number(const char *path, const char *label, unsigned long long *out) {
    char line[256];
    bool found = false;
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    while (!found && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, label, strlen(label)) != 0) continue;
        char *end, *digits = line + strlen(label);
        *out = strtoull(digits, &end, 10);
        found = end != digits;
    }
    fclose(file);
    return found;
}

static void lower(size_t *available, unsigned long long nbytes) {
    if (nbytes < *available) *available = (size_t)nbytes;
}

// Version 2 and version 1 of control groups, as a container sees its own.
static void lower_to_control_group(size_t *available) {
    static const struct {
        const char *limit, *used;
    } files[] = {
        {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"},
        {"/sys/fs/cgroup/memory/memory.limit_in_bytes",
         "/sys/fs/cgroup/memory/memory.usage_in_bytes"},
    };
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        unsigned long long limit, used;
        if (read_number(files[i].limit, "", &limit) && read_number(files[i].used, "", &used)) {
            lower(available, limit > used ? limit - used : 0);
        }
    }
}

size_t memory_available(void) {
    size_t available = SIZE_MAX;
    unsigned long long kib;
    if (read_number("/proc/meminfo", "MemAvailable:", &kib)) lower(&available, kib * 1024);
    lower_to_control_group(&available);
    return available;
}

int processors_available(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
    // More processors than a cpu_set_t holds.
    const long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 && n < 65536 ? (int)n : 1;
}
