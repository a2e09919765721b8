// SPDX-License-Identifier: Apache-2.0
//
// A system that fails on command. The library that inject*.c make is loaded before the C library
// (LD_PRELOAD) and stands between a program and the calls that may fail it. What fails is told by
// the environment:
//   FAULT          one or more of KIND:N:ACTION[:on], with commas between: the N-th call of a kind,
//                  from 1, and with "on" every later one too
//   FAULT_CALLERS  whose calls count: "wader" (the program's own code) and the beginnings of
//                  libraries' names, with commas between; "wader" where it is not set
//   FAULT_FILE     where a line is appended when a fault comes ("fired KIND N FUNCTION FILE+PLACE")
//                  and, at an orderly end, one with the number of calls of each kind
// An action is the name of an errno or of one of zlib's codes; "short" (one byte is read or
// written); "kill" and "stop" (the signal comes before the call is made); "back" and "ahead" (the
// clock of the day is a day off from then on); "lie" (a product is not computed, a character
// is another, a file is not synced).
#ifndef WADER_TESTS_FAULT_INJECT_H
#define WADER_TESTS_FAULT_INJECT_H

#include <errno.h>
#include <stdbool.h>

enum fault_kind {
    FAULT_ALLOC,   // malloc, calloc, realloc, aligned ones, strdup
    FAULT_MAP,     // mmap
    FAULT_OPEN,    // open, openat, fopen, fdopen, memfd_create
    FAULT_READ,    // read, pread, fread, fgets
    FAULT_WRITE,   // write, pwrite
    FAULT_SYNC,    // fsync, fdatasync
    FAULT_CLOSE,   // close, fclose
    FAULT_RENAME,  // rename, renameat, renameat2
    FAULT_UNLINK,  // unlink, unlinkat, rmdir
    FAULT_MKDIR,
    FAULT_TRUNCATE,  // ftruncate
    FAULT_LIST,      // opendir, readdir
    FAULT_LOCK,      // flock
    FAULT_STAT,      // stat, lstat, fstat, fstatat, access
    FAULT_THREAD,    // pthread_create
    FAULT_INFLATE,   // inflate, inflateInit2, inflateReset
    FAULT_DEFLATE,   // deflate, deflateInit2
    FAULT_PROCESS,   // fork, pipe2, waitpid
    FAULT_POLL,
    FAULT_CLOCK,    // clock_gettime of the day, time
    FAULT_PRODUCT,  // oneDNN's dnnl_primitive_execute
    FAULT_TEXT,     // utf8proc_iterate
    FAULT_DISK,     // every call that changes what is on the disk: for signals
    FAULT_KINDS,
};

enum fault_effect { EFFECT_NONE, EFFECT_ERROR, EFFECT_SHORT, EFFECT_LIE };

struct fault {
    enum fault_effect effect;
    int code;  // of EFFECT_ERROR: an errno, or zlib's
};

// To be asked once for each call: what is to become of it. `caller` is where it returns to.
struct fault fault_of(enum fault_kind kind, const char *function, const void *caller);

// Whether the clock of the day is off, in seconds.
long fault_clock_shift(void);

// The function of that name behind ours, looked up once.
void *fault_next(void **slot, const char *name);

// Begins a call: where a fault comes that is an error, errno is set and `failed` returned.
#define ASK(kind, failed)                                                             \
    const struct fault fault = fault_of(kind, __func__, __builtin_return_address(0)); \
    if (fault.effect == EFFECT_ERROR) {                                               \
        errno = fault.code;                                                           \
        return failed;                                                                \
    }

#define NEXT(name)     \
    static void *slot; \
    __typeof__(&name) next = (__typeof__(&name))fault_next(&slot, #name)

#endif
