// SPDX-License-Identifier: Apache-2.0
//
// Stacks and the switch between them: what a CUDA thread runs on. x86-64 only.
//
// A fiber is never returned from: its last act is a switch with `for_good`. Its first frame must
// own no address-taken locals, whose red zones AddressSanitizer would leave behind on the stack.
#ifndef WADER_TESTS_SIMT_FIBER_H
#define WADER_TESTS_SIMT_FIBER_H

#include <stddef.h>

namespace simt {

struct fiber {
    void *stack_pointer;
    void *fake_stack;  // AddressSanitizer's
    const void *stack_low;
    size_t stack_nbytes;
};

// Stack number i of 1024, with a page between each two that no one may touch. They are made at the
// first call. Fiber `self` begins with `entry` when it is switched to.
void fiber_prepare(fiber *self, int i, void (*entry)(void));
// What an entry does first, and what follows each switch.
void fiber_entered(fiber *self, fiber *from);
void fiber_switch(fiber *from, fiber *to, bool for_good);

// Bounds of all stacks together.
void fiber_stacks(const void **low, size_t *nbytes);
// For stacks that were left in the midst of things.
void fiber_forget(fiber *self);

}  // namespace simt

#endif
