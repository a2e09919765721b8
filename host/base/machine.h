// SPDX-License-Identifier: Apache-2.0
//
// What this machine leaves a job to plan with.
#ifndef WADER_HOST_BASE_MACHINE_H
#define WADER_HOST_BASE_MACHINE_H

#include <stddef.h>

// Bytes that this process can take now without pushing anything out: what Linux reports as
// available (/proc/meminfo, MemAvailable), or what the memory control group leaves if that is less.
// SIZE_MAX where nothing tells. Any thread may ask; the answer changes from one moment to the next.
size_t memory_available(void);

// Processors that this process may run on: a job's share where a batch system or taskset gave it
// one. At least 1.
int processors_available(void);

#endif
