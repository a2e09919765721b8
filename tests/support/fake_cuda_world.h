// SPDX-License-Identifier: Apache-2.0
//
// Inside fake_cuda: devices, streams, operations. fake_cuda.c has the devices and what they run,
// fake_cuda_time.c how long passes take, fake_cuda_calls.c device.h and runtime.h,
// fake_cuda_forward.c matmul.h and forward.h.
#ifndef WADER_TESTS_SUPPORT_FAKE_CUDA_WORLD_H
#define WADER_TESTS_SUPPORT_FAKE_CUDA_WORLD_H

#include <pthread.h>

#include "cuda/forward.h"
#include "tests/support/fake_cuda.h"

enum fake_operation_kind { OP_ZERO, OP_COPY, OP_RECORD, OP_WAIT, OP_PRODUCT, OP_PASS, OP_GRAPH };

struct fake_operation {
    enum fake_operation_kind kind;
    struct fake_operation *next;
    char *to;          // OP_ZERO, OP_COPY; all that OP_PRODUCT and OP_PASS use
    const char *from;  // OP_COPY
    size_t nbytes;
    struct CUevent_st *event;  // OP_RECORD, OP_WAIT: its n-th record
    int64_t nth;
    struct CUgraphExec_st *graph;
    struct memory_plan plan;  // OP_PASS, of the block at `to`
    int32_t slot, n_rows, n_titles;
    double enqueued;  // when
};

struct fake_queue {
    struct fake_operation *first, *last;
};

struct CUstream_st {
    struct fake_device *device;
    struct CUstream_st *next;
    struct fake_queue queue;  // the first one may be running
    struct CUgraphExec_st *captured;
    // With fake_spec.pass_seconds: how far it is, and when the pass that takes its time ends, or 0.
    double at, ends;
};

struct CUevent_st {
    struct fake_device *device;
    int64_t n_records, n_done;
    double seconds;  // when the last one was done
    double at;       // where its stream was then
};

struct CUgraphExec_st {
    struct fake_device *device;
    struct fake_queue queue;
};

struct fake_block {
    struct fake_block *next;
    char *begin;
    size_t nbytes;
    bool is_pinned;
};

enum fake_thing {
    ALIVE_MEMORY,
    ALIVE_PINNED,
    ALIVE_STREAM,
    ALIVE_EVENT,
    ALIVE_GRAPH,
    ALIVE_LIBRARY,
    ALIVE_PLAN,
    FAKE_THINGS
};

struct fake_device {
    int32_t index;
    pthread_t thread;
    pthread_mutex_t mutex;  // guards all below
    pthread_cond_t changed;
    bool quit, runs;  // runs: an operation, without the mutex
    int dead;         // the code of every call, or 0
    pthread_t owner;  // the one thread that calls
    struct CUstream_st *streams;
    struct fake_block *blocks;
    size_t used_nbytes;
    uint64_t random;
    int64_t n_calls[FAKE_CALLS], n_alive[FAKE_THINGS];
    struct fake_use use;
};

extern struct fake_cuda_spec fake_spec;

// A call begins: on `device`, or that which the thread uses. Takes the device's mutex, whatever it
// returns: the code that the call is to return.
struct fake_device *fake_current(void);
int fake_enter(struct fake_device *device, enum fake_call call);
void fake_leave(struct fake_device *device);

void fake_hang(void);  // without any mutex

struct fake_device *fake_use(int32_t index);         // the thread uses it from here on
void fake_change_owner(struct fake_device *device);  // where nothing is left of another thread's

// Under the mutex.
void fake_enqueue(struct CUstream_st *stream, const struct fake_operation *operation);
void fake_pop(struct fake_queue *queue);
void fake_clear(struct fake_queue *queue);
// A rule is broken unless all of this lies in one block.
void fake_require(const struct fake_device *device, const void *begin, size_t nbytes,
                  bool is_pinned);
// Whether something enqueued is this event or graph, or uses that memory.
bool fake_is_used(struct fake_device *device, const void *thing, size_t nbytes);

// fake_cuda_forward.c: the titles' tokens.
int32_t fake_run_pass(const struct fake_operation *operation);

// fake_cuda_time.c. A pass computes at once, and then takes its time while other streams go on. It
// begins when it could have begun, not when the thread that plays the device came to it.
// Under the mutex: `operation`, the first of the stream, was run. False: it takes its time now.
bool fake_time_is_over(struct CUstream_st *stream, const struct fake_operation *operation,
                       int32_t n_tokens);
void fake_time_end_passes(struct fake_device *device);  // whose time is over
void fake_time_condition(pthread_cond_t *condition);    // makes it
void fake_time_wait(struct fake_device *device);        // for a pass to end, or for `changed`
int64_t fake_choices_alive(void);

// Notes the first rule that was broken.
void fake_broken(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *fake_zeroed(size_t nbytes);  // or ends the program

#endif
