// SPDX-License-Identifier: Apache-2.0
//
// What figures of speed depend on and a reader has to know: the machine, and the libraries.
#ifndef WADER_HOST_BENCH_HOST_FACTS_H
#define WADER_HOST_BENCH_HOST_FACTS_H

#include "host/base/base.h"

struct host_facts {
    char cpu[128];     // as the system calls the processor
    char flags[128];   // those of its instruction sets that something here uses, parted by spaces
    int cpu_fault;     // errno, where what the system says of the processor could not be read
    char system[128];  // kernel and its release
    int processors;    // that this process may use
    int processors_online;
    uint64_t memory_nbytes, available_nbytes;
    double load;          // average of the last minute, before the bench began
    const char *kernels;  // instruction set of the encoder's kernels on the CPU
    char libraries[160];  // "zlib 1.2.13, oneDNN 2.6.0, ..."
};

void host_facts_read(struct host_facts *facts);

#endif
