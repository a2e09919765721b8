// SPDX-License-Identifier: Apache-2.0
//
// cp.async: what a thread has issued is copied when it waits for it, or at once (set_async_copies):
// a device may do either, so that a missing wait shows with the one and a copy into what is still
// being read with the other. For the checker the target is under way in both.
#include "async_copy.h"

#include <string.h>

#include "internal.h"

namespace simt {

enum { COPIES_MAX = 64 };

struct async_copy {
    void *to;
    const void *from;
    const void *pc;
    int group;
};

static async_copy copies[THREADS_MAX][COPIES_MAX];  // the first n_copies of each thread

static bool is_early;

void set_async_copies(bool early) {
    is_early = early;
}

void async_copy16(void *to_shared, const void *from_global) {
    thread *self = current;
    const void *pc = self->pc = __builtin_return_address(0);
    if ((uintptr_t)to_shared % 16 != 0 || (uintptr_t)from_global % 16 != 0) {
        report(fault::misaligned, pc, nullptr, "cp.async from %p to %p", from_global, to_shared);
        return;
    }
    if (!is_shared(to_shared) || is_shared(from_global)) {
        report(fault::out_of_bounds, pc, nullptr, "cp.async copies from global to shared memory");
        return;
    }
    if (self->n_copies == COPIES_MAX) {
        report(fault::async_copy, pc, nullptr, "more than %d cp.async under way in a thread",
               COPIES_MAX);
        abandon(cudaErrorLaunchFailure);
    }
    if (checker != nullptr) {
        checker->on_access(from_global, 16, access::read, pc);
        checker->on_access(to_shared, 16, access::async_begin, pc);
    }
    copies[self->number][self->n_copies++] = {to_shared, from_global, pc, self->group};
    if (is_early) memcpy(to_shared, from_global, 16);
}

void async_commit(void) {
    current->group++;
}

// Group g is complete when no more than n_groups of the committed ones are later.
void async_wait(int n_groups) {
    thread *self = current;
    async_copy *own = copies[self->number];
    int n_left = 0;
    for (int i = 0; i < self->n_copies; i++) {
        const async_copy copy = own[i];
        if (copy.group >= self->group - n_groups) {
            own[n_left++] = copy;
            continue;
        }
        self->pc = copy.pc;
        if (!is_early) memcpy(copy.to, copy.from, 16);
        if (checker != nullptr) checker->on_access(copy.to, 16, access::async_end, copy.pc);
    }
    self->n_copies = n_left;
}

void async_leave(void) {
    if (current->n_copies == 0) return;
    report(fault::async_copy, copies[current->number][0].pc, nullptr,
           "the thread ends with %d cp.async that nothing waited for", current->n_copies);
}

}  // namespace simt
