// SPDX-License-Identifier: Apache-2.0
//
// Work that may crash, loop or ask for any amount of memory, done in a child process under limits.
//
// The child is a plain fork, without exec: it works on the parent's mapped file and answers through
// memory that the parent has mapped MAP_SHARED, so there is nothing to pass on, and it serves every
// program that has this library in it. What speaks against it is that, after a fork in a process
// with threads, POSIX allows async-signal-safe calls alone, because a lock that another thread held
// stays locked. The C libraries of Linux take malloc's locks around fork; the others that matter
// are those of the library at work, which the parent must never call: then nobody held them.
#ifndef WADER_WEIGHTS_HDF5_CHILD_H
#define WADER_WEIGHTS_HDF5_CHILD_H

#include "host/base/base.h"

struct child_limits {
    size_t memory_nbytes;   // of address space, beyond what the process has already
    unsigned cpu_seconds;   // of processor time
    unsigned wall_seconds;  // until it is ended, however little it did
};

struct child_end {
    int signal;     // what killed it, or 0
    int exit_code;  // else, 0 when work() came back; -1 where nobody can tell: this process has its
                    // children's ends discarded (SIGCHLD ignored). Let shared memory tell then.
};

// Runs work(context) in a child and waits for its end. It says nothing on stderr, dumps no core,
// opens no file, outlives neither this process nor its limits, and leaves signals that ask the
// program to stop to the parent. STATUS_IO when there can be no child.
enum status child_run(void (*work)(void *context), void *context, const struct child_limits *limits,
                      struct child_end *end, struct error *error);

#endif
