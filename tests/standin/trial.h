// SPDX-License-Identifier: Apache-2.0
//
// For tests of the stand-in: trials, each in a process of its own, because the environment is read
// once and what is wrong ends the program.
#ifndef WADER_TESTS_STANDIN_TRIAL_H
#define WADER_TESTS_STANDIN_TRIAL_H

#include <signal.h>

#include <initializer_list>
#include <string>

#include "cuda/runtime.h"
#include "tests/check.h"

struct trial_end {
    int signal, exit_code;  // the one that it ended by; 0: the other one
    std::string text;       // what it wrote to stderr
};

// Runs `what` with variables "NAME=value" in its environment. After `seconds` it is killed.
trial_end trial_run(void (*what)(), std::initializer_list<const char *> environment = {},
                    double seconds = 60);

// The trial must end by abort() with a message that has `part` in it. Here, because check.h counts
// for each source.
static inline void trial_misuse(const char *name, void (*what)(), const char *part,
                                std::initializer_list<const char *> environment = {}) {
    const trial_end end = trial_run(what, environment);
    if (end.signal != SIGABRT)
        CHECK_FAIL("%s: signal %d, exit code %d: %s", name, end.signal, end.exit_code,
                   end.text.c_str());
    CHECK_CONTAINS(end.text.c_str(), "standin: misuse: ");
    CHECK_CONTAINS(end.text.c_str(), "STANDIN_SEED=");
    CHECK_CONTAINS(end.text.c_str(), part);
}

// It must end well.
static inline void trial_well(const char *name, void (*what)(),
                              std::initializer_list<const char *> environment = {}) {
    const trial_end end = trial_run(what, environment);
    check_count++;
    if (end.signal != 0 || end.exit_code != 0)
        CHECK_FAIL("%s: signal %d, exit code %d: %s", name, end.signal, end.exit_code,
                   end.text.c_str());
}

// ---- within a trial

// Ends the trial with a message unless they are equal.
#define WANT(got, want) want_equal(__FILE__, __LINE__, #got, (long long)(got), (long long)(want))
void want_equal(const char *file, int line, const char *what, long long got, long long want);

// A device with two streams, an event of each, device and pinned memory of BENCH_NBYTES.
enum { BENCH_NBYTES = 4096 };
struct bench {
    struct CUstream_st *a, *b;
    struct CUevent_st *event_a, *event_b;
    char *memory, *pinned;
};
bench bench_open(int device = 0);
void bench_close(bench *bench);

// Asks until it is done; returns a code of runtime.h.
int await_event(struct CUevent_st *event);
int await_stream(struct CUstream_st *stream);

#endif
