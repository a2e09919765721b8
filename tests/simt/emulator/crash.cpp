// SPDX-License-Identifier: Apache-2.0
//
// What the machine or a sanitizer notices is told with kernel, block and thread. An access of a
// kernel that the machine refuses ends that kernel, as on a device, not the program.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <initializer_list>

#include "internal.h"

namespace simt {

static struct { const void *pc, *address; } crash;

static struct sigaction outside[NSIG];  // what happens to signals outside kernels

// Runs on the stack of the thread that crashed, whose frames are lost.
[[noreturn]] static void end_crashed(void) {
    char where[200];
    describe_memory(crash.address, where, sizeof where);
    const fault kind = in_arena(crash.address) ? fault::out_of_bounds : fault::crash;
    // Where the emulator was at work for the kernel, the kernel's call is what helps.
    const void *pc = is_place_known(crash.pc) ? crash.pc : current->pc;
    report(kind, pc, nullptr, "the machine refuses access to %s", where);
    abandon(cudaErrorIllegalAddress);
}

static void on_signal(int number, siginfo_t *info, void *machine) {
    if (current == nullptr || running == nullptr) {
        sigaction(number, &outside[number], nullptr);  // the signal comes again
        return;
    }
    ucontext_t *context = static_cast<ucontext_t *>(machine);
    greg_t *registers = context->uc_mcontext.gregs;
    crash.pc = reinterpret_cast<const void *>(registers[REG_RIP] + 1);
    crash.address = info->si_addr;
    fiber_forget(&current->fiber);
    // As if end_crashed() had been called by the stack's first frame.
    const uintptr_t top = (uintptr_t)current->fiber.stack_low + current->fiber.stack_nbytes;
    registers[REG_RSP] = (greg_t)(top / 16 * 16 - 8);
    registers[REG_RIP] = reinterpret_cast<greg_t>(end_crashed);
}

// The calling thread gets a stack of its own for signals, as a fiber's may be what overflowed.
void install_crash_handler(void) {
    static thread_local char *stack;
    static const size_t nbytes = 64 << 10;
    if (stack != nullptr) return;
    stack = static_cast<char *>(malloc(nbytes));
    if (stack == nullptr) abort();
    stack_t alternative = {};
    alternative.ss_sp = stack;
    alternative.ss_size = nbytes;
    sigaltstack(&alternative, nullptr);
    static bool is_installed;
    if (is_installed) return;
    is_installed = true;
    struct sigaction action = {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL})
        sigaction(number, &action, &outside[number]);
}

// ---- sanitizers

#if defined(__SANITIZE_ADDRESS__)

extern "C" void *__asan_get_report_pc(void);
extern "C" void __ubsan_get_current_report_data(const char **kind, const char **message,
                                                const char **file, unsigned *line, unsigned *column,
                                                char **address);

// Kernel files are compiled so that they go on after a report. A fault of the host's is one too
// many, wherever it is noticed.
extern "C" const char *__asan_default_options(void) {
    return "halt_on_error=0:allow_user_segv_handler=1";
}

static void fail_at_exit(void) {
    fflush(nullptr);
    _exit(1);
}

static void note_host_fault(void) {
    if (running == nullptr) atexit(fail_at_exit);
}

extern "C" void __asan_on_error(void) {
    const char *pc = static_cast<const char *>(__asan_get_report_pc());
    note_host_fault();
    report(fault::sanitizer, pc + 1, nullptr, "AddressSanitizer reports what follows");
}

extern "C" void __ubsan_on_report(void) {
    const char *kind, *message, *file;
    unsigned line, column;
    char *address;
    __ubsan_get_current_report_data(&kind, &message, &file, &line, &column, &address);
    note_host_fault();
    report(fault::sanitizer, nullptr, file + line, "UndefinedBehaviorSanitizer at %s:%u: %s", file,
           line, message);
}

#endif

}  // namespace simt
