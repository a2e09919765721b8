// SPDX-License-Identifier: Apache-2.0
#include "fiber.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if !defined(__x86_64__)
#error "the emulator's switch between fibers is written for x86-64"
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

// What a call must preserve goes to the old stack and comes from the new one (System V ABI).
asm(R"(
.text
.type simt_switch_stacks, @function
simt_switch_stacks:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size simt_switch_stacks, . - simt_switch_stacks
)");
extern "C" void simt_switch_stacks(void **old_stack_pointer, void *new_stack_pointer);

namespace simt {

#if defined(__SANITIZE_ADDRESS__)
static const size_t STACK_NBYTES = 256 << 10;  // red zones take room
#else
static const size_t STACK_NBYTES = 64 << 10;
#endif
static const size_t PAGE = 4096, N_STACKS = 1024, STRIDE = STACK_NBYTES + PAGE;

static char *stacks;

static void make_stacks(void) {
    void *memory = mmap(nullptr, N_STACKS * STRIDE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        perror("simt: stacks");
        abort();
    }
    stacks = static_cast<char *>(memory);
    for (size_t i = 0; i < N_STACKS; i++) mprotect(stacks + i * STRIDE, PAGE, PROT_NONE);
}

void fiber_stacks(const void **low, size_t *nbytes) {
    *low = stacks;
    *nbytes = stacks == nullptr ? 0 : N_STACKS * STRIDE;
}

void fiber_prepare(fiber *self, int i, void (*entry)(void)) {
    if (stacks == nullptr) make_stacks();
    char *low = stacks + (size_t)i * STRIDE + PAGE;
    self->stack_low = low;
    self->stack_nbytes = STACK_NBYTES;
    self->fake_stack = nullptr;
    // As if `entry` had been called: the stack is 8 beyond a multiple of 16.
    void **top = reinterpret_cast<void **>(low + STACK_NBYTES);
    *--top = nullptr;
    *--top = reinterpret_cast<void *>(entry);
    top -= 6;
    memset(top, 0, 6 * sizeof *top);
    self->stack_pointer = top;
}

void fiber_entered(fiber *self, fiber *from) {
#if defined(__SANITIZE_ADDRESS__)
    const void *low;
    size_t nbytes;
    __sanitizer_finish_switch_fiber(self->fake_stack, &low, &nbytes);
    // Only AddressSanitizer knows the bounds of the stack that the first fiber was entered from.
    if (from != nullptr && from->stack_low == nullptr) {
        from->stack_low = low;
        from->stack_nbytes = nbytes;
    }
#else
    (void)self;
    (void)from;
#endif
}

void fiber_switch(fiber *from, fiber *to, bool for_good) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(for_good ? nullptr : &from->fake_stack, to->stack_low,
                                   to->stack_nbytes);
#else
    (void)for_good;
#endif
    simt_switch_stacks(&from->stack_pointer, to->stack_pointer);
    fiber_entered(from, nullptr);
}

void fiber_forget(fiber *self) {
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(self->stack_low, self->stack_nbytes);
#else
    (void)self;
#endif
}

}  // namespace simt
