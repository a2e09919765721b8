// SPDX-License-Identifier: Apache-2.0
//
// The threads of one block: who runs next, block barriers, and what is wrong when no one can run.
// A thread runs until it must wait; then it switches to the next one itself.
#include <stdio.h>
#include <string.h>

#include "internal.h"

// The built-in variables, which language.h shows to kernels as const under these names.
uint3 simt_thread_index __asm__("threadIdx");
uint3 simt_block_index __asm__("blockIdx");
uint3 simt_block_shape __asm__("blockDim");
uint3 simt_grid_shape __asm__("gridDim");

namespace simt {

thread_local thread *current;
schedule block_order = schedule::forward;
int abandon_error;

static thread threads[THREADS_MAX];
warp_lanes warps[WARPS_MAX];
static unsigned n_live, n_at_barrier;
static block_shape block;
static barrier_votes votes;  // of the barrier that was passed last
static fiber host;           // what called run_block
static uint64_t random_state = 1;

uint64_t random_number(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

void set_schedule(schedule order, uint64_t seed) {
    block_order = order;
    random_state = seed * 0x9e3779b97f4a7c15ULL | 1;
}

const block_shape &running_block(void) {
    return block;
}

thread *thread_of(unsigned number) {
    return &threads[number];
}

int lane(void) {
    return (int)current->lane;
}

unsigned char *dynamic_shared(void) {
    return block.dynamic_shared;
}

// ---- who runs next

static unsigned n_warps(void) {
    return (block.n_threads + WARP_LANES - 1) / WARP_LANES;
}

void wake(thread *one) {
    one->state = state::ready;
    warps[one->warp].ready |= 1u << one->lane;
    warps[one->warp].at_collective &= ~(1u << one->lane);
}

void block_thread(simt::state state) {
    const uint32_t bit = 1u << current->lane;
    warp_lanes *warp = &warps[current->warp];
    current->state = state;
    warp->ready &= ~bit;
    if (state == state::at_collective) warp->at_collective |= bit;
    if (state == state::done) warp->live &= ~bit;
}

static unsigned pick_lane(uint32_t lanes) {
    if (block_order == schedule::reverse) return 31 - (unsigned)__builtin_clz(lanes);
    if (block_order == schedule::random) {
        for (unsigned skip = random_number() % __builtin_popcount(lanes); skip > 0; skip--)
            lanes &= lanes - 1;
    }
    return (unsigned)__builtin_ctz(lanes);
}

// Stays within a warp while it can, unless chance decides. NULL: no thread can run.
static thread *pick_thread(void) {
    const unsigned n = n_warps();
    unsigned warp = current->warp;
    if (block_order == schedule::random) warp = (unsigned)(random_number() % n);
    for (unsigned i = 0; i < n; i++) {
        const uint32_t ready = warps[warp].ready;
        if (ready != 0) return &threads[warp * WARP_LANES + pick_lane(ready)];
        warp = block_order == schedule::reverse ? (warp + n - 1) % n : (warp + 1) % n;
    }
    return nullptr;
}

static void switch_to(thread *to) {
    thread *from = current;
    if (to == from) return;
    current = to;
    if (to != nullptr) simt_thread_index = to->index;
    fiber_switch(&from->fiber, to == nullptr ? &host : &to->fiber, from->state == state::done);
}

// What each place of the block's waiting threads has: "31 in a shuffle at f.cu:12".
static void describe_waiting(char *out, size_t cap) {
    static const char *const verbs[] = {"__syncwarp", "a vote", "a shuffle", "ldmatrix", "mma"};
    size_t n = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < block.n_threads; i++) {
        const thread *first = &threads[i];
        if (first->state != state::at_barrier && first->state != state::at_collective) continue;
        unsigned n_same = 0, n_before = 0;
        for (unsigned j = 0; j < block.n_threads; j++) {
            const thread *other = &threads[j];
            if (other->state != first->state || other->pc != first->pc ||
                other->mask != first->mask) {
                continue;
            }
            n_same++;
            n_before += j < i;
        }
        if (n_before > 0 || n >= cap) continue;
        const bool at_barrier = first->state == state::at_barrier;
        n += (size_t)snprintf(out + n, cap - n, "%s%u in %s", n == 0 ? "" : ", ", n_same,
                              at_barrier ? "__syncthreads" : verbs[(int)first->kind]);
        if (!at_barrier && n < cap)
            n += (size_t)snprintf(out + n, cap - n, " with mask %08x", first->mask);
        if (n < cap) n += (size_t)snprintf(out + n, cap - n, " at %s", place_of(first->pc));
    }
}

// No thread can run, but not all have left.
[[noreturn]] static void report_standstill(void) {
    thread *first = nullptr;
    bool mismatch = false;
    for (unsigned i = 0; i < block.n_threads; i++) {
        thread *one = &threads[i];
        if (one->state != state::at_collective) continue;
        if (first == nullptr) first = one;
        for (unsigned j = one->warp * WARP_LANES; j < i; j++) {
            const thread *other = &threads[j];
            const bool is_named = ((one->mask >> other->lane) | (other->mask >> one->lane)) & 1;
            mismatch |=
                other->state == state::at_collective && is_named && !is_same_collective(one, other);
        }
    }
    char waiting[2000];
    describe_waiting(waiting, sizeof waiting);
    if (first != nullptr) current = first;
    report(mismatch ? fault::mismatch : fault::deadlock, current->pc, nullptr,
           "no thread can go on: %s", waiting);
    abandon(cudaErrorLaunchFailure);
}

void run_next(void) {
    thread *next = pick_thread();
    if (next == nullptr) {
        // Lanes that have left since are waited for no more.
        for (unsigned i = 0; i < block.n_threads; i++) {
            if (threads[i].state == state::at_collective) release_lanes(&threads[i]);
        }
        next = pick_thread();
    }
    if (next == nullptr && n_live > 0) report_standstill();
    switch_to(next);
}

void abandon(int error) {
    abandon_error = error;
    current->state = state::done;
    switch_to(nullptr);
    __builtin_unreachable();
}

void trap(void) {
    report(fault::trap, __builtin_return_address(0), nullptr, "__trap");
    abandon(cudaErrorLaunchFailure);
}

// ---- block barriers

// All threads that have not left are at a barrier: at the same one, if all is well.
static void pass_barrier(void) {
    const thread *first = nullptr;
    votes = {0, 0};
    for (unsigned i = 0; i < block.n_threads; i++) {
        thread *one = &threads[i];
        if (one->state != state::at_barrier) continue;
        if (first == nullptr) first = one;
        if (one->line != first->line || strcmp(one->file, first->file) != 0) {
            report(fault::divergent_barrier, one->pc, first->pc,
                   "__syncthreads is met by thread %u of the block in another one, at %s",
                   first->number, place_of(first->pc));
        }
        votes.n_true += one->vote;
        votes.n_threads++;
        wake(one);
    }
    n_at_barrier = 0;
    if (checker != nullptr) checker->on_block_barrier();
}

barrier_votes block_barrier(bool vote, const char *file, int line) {
    thread *self = current;
    self->file = file;
    self->line = line;
    self->vote = vote;
    self->pc = __builtin_return_address(0);
    self->mask = 0;
    block_thread(state::at_barrier);
    if (++n_at_barrier == n_live) pass_barrier();
    // Who comes last goes on, except by chance.
    if (self->state != state::ready || block_order == schedule::random) run_next();
    return votes;
}

// ---- a block from its begin to its end

static void leave(void) {
    async_leave();
    block_thread(state::done);
    n_live--;
    if (n_live > 0 && n_at_barrier == n_live) pass_barrier();
    run_next();
}

static void enter(void) {
    fiber_entered(&current->fiber, &host);
    running->thread(running->closure);
    leave();
}

bool run_block(const block_shape &shape) {
    block = shape;
    simt_block_index = shape.index;
    simt_block_shape = {running->block.x, running->block.y, running->block.z};
    simt_grid_shape = {running->grid.x, running->grid.y, running->grid.z};
    n_live = shape.n_threads;
    n_at_barrier = 0;
    abandon_error = 0;
    host.stack_low = nullptr;
    memset(warps, 0, sizeof warps);
    const dim3 dim = running->block;
    for (unsigned i = 0; i < shape.n_threads; i++) {
        thread *one = &threads[i];
        one->index = {i % dim.x, i / dim.x % dim.y, i / dim.x / dim.y};
        one->number = i;
        one->lane = i % WARP_LANES;
        one->warp = i / WARP_LANES;
        one->n_copies = one->group = 0;
        fiber_prepare(&one->fiber, (int)i, enter);
        warps[one->warp].live |= 1u << one->lane;
        wake(one);
    }
    if (checker != nullptr) checker->on_block();
    current = &threads[0];
    current = pick_thread();
    simt_thread_index = current->index;
    fiber_switch(&host, &current->fiber, false);
    current = nullptr;
    if (abandon_error == 0) return true;
    for (unsigned i = 0; i < shape.n_threads; i++) fiber_forget(&threads[i].fiber);
    return false;
}

}  // namespace simt
