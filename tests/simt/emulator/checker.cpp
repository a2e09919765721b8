// SPDX-License-Identifier: Apache-2.0
#include "checker.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

namespace simt {

uintptr_t arena_start;

void *reserve(size_t nbytes) {
    void *memory = mmap(nullptr, nbytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        perror("simt: the checker's memory");
        abort();
    }
    return memory;
}

static void open_all(void) {
    if (arena_start != 0) return;
    if (CHECKED_ARENA_NBYTES != ARENA_NBYTES) abort();
    arena_start = (uintptr_t)arena();
    contents_open();
    races_open(CHECKED_ARENA_NBYTES + variables_nbytes());
}

// Neither device memory nor a variable of the program.
static void check_elsewhere(const void *at, size_t nbytes, access kind, const void *pc) {
    const void *stacks;
    size_t stacks_nbytes;
    fiber_stacks(&stacks, &stacks_nbytes);
    const bool is_read = kind == access::read;
    if ((uintptr_t)at - (uintptr_t)stacks < stacks_nbytes) {
        report(fault::out_of_bounds, pc, nullptr, "%s %zu bytes of another thread's stack",
               is_read ? "reads" : "writes", nbytes);
        return;
    }
    const uintptr_t closure = (uintptr_t)running->closure;
    if ((uintptr_t)at - closure < running->closure_nbytes || is_constant(at)) {
        if (is_read) return;
        report(fault::out_of_bounds, pc, nullptr, "writes %zu bytes of constant memory", nbytes);
        return;
    }
    char where[200];
    describe_memory(at, where, sizeof where);
    report(fault::out_of_bounds, pc, nullptr, "%s %zu bytes at %s", is_read ? "reads" : "writes",
           nbytes, where);
}

void check_access(const void *at, size_t nbytes, access kind, const void *pc) {
    if (current == nullptr) return;
    size_t index = (uintptr_t)at - arena_start;
    if (index >= CHECKED_ARENA_NBYTES) {
        if ((uintptr_t)at - (uintptr_t)current->fiber.stack_low < current->fiber.stack_nbytes)
            return;
        index = (uintptr_t)at - variables_start();
        if (index >= variables_nbytes()) {
            check_elsewhere(at, nbytes, kind, pc);
            return;
        }
        index += CHECKED_ARENA_NBYTES;
    }
    if (check_contents(index, nbytes, kind, pc)) check_races(index, nbytes, kind, pc);
}

static void on_content(const void *at, size_t nbytes, content now) {
    open_all();
    const size_t index = (uintptr_t)at - arena_start;
    set_contents(index, nbytes, now);
    if (now == content::none) races_forget(index, nbytes);
}

static void on_launch(void) {
    open_all();
    contents_begin_launch();
    races_begin_launch();
}

static void on_block(void) {
    contents_begin_block();
    races_begin_block();
}

static const checks all_checks = {check_access, on_content,          on_launch,
                                  on_block,     races_block_barrier, races_warp_barrier};
const checks *checker = &all_checks;

}  // namespace simt
