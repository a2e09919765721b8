// SPDX-License-Identifier: Apache-2.0
//
// What the emulator's parts share. One kernel runs at a time (run() holds a lock), one block of it
// at a time, one thread of that at a time; each thread is a fiber. All state here is that of the
// running kernel and is touched by the thread that called run() alone.
#ifndef WADER_TESTS_SIMT_INTERNAL_H
#define WADER_TESTS_SIMT_INTERNAL_H

#include "cooperation.h"
#include "emulator.h"
#include "fiber.h"

namespace simt {

enum { WARP_LANES = 32, THREADS_MAX = 1024, WARPS_MAX = THREADS_MAX / WARP_LANES };

enum class state : uint8_t { ready, at_barrier, at_collective, done };
enum class collective : uint8_t { barrier, vote, shuffle, load_matrices, product };

struct thread {
    uint3 index;
    unsigned number, lane, warp;
    simt::state state;
    // Where it waits. `pc` is the address that the emulator's function returns to.
    const char *file;
    int line;
    const void *pc;
    bool vote;
    // The collective it waits in: what it brings and what it gets.
    collective kind;
    bool is_aligned;  // all lanes must come to the same place
    uint32_t mask;
    unsigned form;  // what must be the same for all lanes besides
    int source;
    value16 value;
    const void *row;
    float d[4];
    uint32_t a[4], b[2];
    void (*resolve)(thread *warp, uint32_t lanes);  // for all `lanes` at once
    // cp.async
    int n_copies, group;
    simt::fiber fiber;
};

// NULL outside kernels, and for other threads than the one that called run().
extern thread_local thread *current;
extern thread_local const kernel_launch *running;

// ---- block.cpp: threads of one block

struct block_shape {
    uint3 index;
    unsigned n_threads;
    unsigned char *dynamic_shared;
};
// Runs the block to its end. False when it was abandoned.
bool run_block(const block_shape &shape);
// Leaves the kernel without finishing it. Not from a signal handler.
[[noreturn]] void abandon(int error);
const block_shape &running_block(void);
thread *thread_of(unsigned number);
uint64_t random_number(void);  // of the schedule
void wake(thread *one);
void block_thread(simt::state state);  // `current` can no longer run ...
void run_next(void);                   // ... until someone wakes it
struct warp_lanes {
    uint32_t live, ready, at_collective;  // sets of lanes
};
extern warp_lanes warps[WARPS_MAX];
extern schedule block_order;
extern int abandon_error;  // 0: the kernel came to its end

// ---- collective.cpp

// Waits until each lane of `mask` that has not left is here; the last one resolves for all.
void join(collective kind, uint32_t mask, void (*resolve)(thread *warp, uint32_t lanes),
          const char *file, int line);
// Resolves the collective that `self` waits in, if all lanes that it names are there.
bool release_lanes(thread *self);
bool is_same_collective(const thread *a, const thread *b);

// ---- async_copy.cpp

void async_leave(void);  // of a thread that ends

// ---- faults.cpp

// Counts a fault and tells it, unless one of its kind and place has been told in this launch. `pc`
// is a return address within the kernel, or NULL; `other` tells apart what is the same otherwise.
void report(fault kind, const void *pc, const void *other, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
// The two halves of report(), for what happens often: whether it is to be told, and telling it.
bool is_news(fault kind, const void *pc, const void *other);
void tell_fault(fault kind, const void *pc, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void forget_places(void);                     // at the begin of a launch
void describe_thread(char *out, size_t cap);  // "kernel k, block (0, 0, 0), thread (0, 0, 0)"
// "file:line" of a return address, and where it was inlined into.
const char *place_of(const void *pc);
bool is_place_known(const void *pc);  // that it is in a kernel file

// ---- memory.cpp

// Where dynamic shared memory of a size lies.
unsigned char *shared_window(size_t nbytes);
void describe_memory(const void *at, char *out, size_t cap);
bool in_arena(const void *at);
bool is_shared(const void *at);  // the arena's window or a static variable
unsigned char *arena(void);
extern const size_t ARENA_NBYTES;
enum { WINDOW_NBYTES = 1 << 17 };  // the arena begins with shared memory

// ---- crash.cpp

void install_crash_handler(void);

// ---- The checker: linked in in the check flavour only, where it sets `checker`.

enum class access : uint8_t { read, write, atomic, async_begin, async_end };
enum class content : uint8_t { none = 0, fresh = 1, pending = 2, written = 3 };

struct checks {
    void (*on_access)(const void *at, size_t nbytes, access kind, const void *pc);
    void (*on_content)(const void *at, size_t nbytes, content now);  // outside kernels
    void (*on_launch)(void);
    void (*on_block)(void);
    void (*on_block_barrier)(void);
    void (*on_warp_barrier)(unsigned warp, uint32_t lanes);
};
extern const checks *checker;  // NULL in the other flavours

}  // namespace simt

#endif
