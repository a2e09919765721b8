// SPDX-License-Identifier: Apache-2.0
//
// The functions that code compiled with -fsanitize=thread calls at each access to memory that is
// not a variable of its own function alone (gcc/tsan.cc, sanitizer.def). An access of a type that
// is aligned to its size (or, for 16 bytes, to 8) comes as readN or writeN, all others as ranges.
#include "checker.h"

#define CALLER __builtin_return_address(0)

static inline void check(const void *at, size_t nbytes, simt::access kind, const void *pc) {
    if (simt::current == nullptr) return;
    if ((uintptr_t)at % nbytes != 0) {
        simt::report(simt::fault::misaligned, pc, nullptr, "%s %zu bytes at %p",
                     kind == simt::access::read ? "reads" : "writes", nbytes, at);
    }
    simt::check_access(at, nbytes, kind, pc);
}

#define ACCESSES(nbytes)                                             \
    extern "C" void __tsan_read##nbytes(void *at) {                  \
        check(at, nbytes, simt::access::read, CALLER);               \
    }                                                                \
    extern "C" void __tsan_write##nbytes(void *at) {                 \
        check(at, nbytes, simt::access::write, CALLER);              \
    }                                                                \
    extern "C" void __tsan_volatile_read##nbytes(void *at) {         \
        check(at, nbytes, simt::access::read, CALLER);               \
    }                                                                \
    extern "C" void __tsan_volatile_write##nbytes(void *at) {        \
        check(at, nbytes, simt::access::write, CALLER);              \
    }                                                                \
    extern "C" void __tsan_unaligned_read##nbytes(void *at) {        \
        simt::check_access(at, nbytes, simt::access::read, CALLER);  \
    }                                                                \
    extern "C" void __tsan_unaligned_write##nbytes(void *at) {       \
        simt::check_access(at, nbytes, simt::access::write, CALLER); \
    }
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

extern "C" void __tsan_read_range(void *at, unsigned long nbytes) {
    simt::check_access(at, nbytes, simt::access::read, CALLER);
}

extern "C" void __tsan_write_range(void *at, unsigned long nbytes) {
    simt::check_access(at, nbytes, simt::access::write, CALLER);
}

extern "C" void __tsan_init(void) {}
extern "C" void __tsan_func_entry(void *) {}
extern "C" void __tsan_func_exit(void) {}
extern "C" void __tsan_vptr_update(void **, void *) {}

// The guard of a static variable that has a constructor, be it one that does nothing.
extern "C" unsigned char __tsan_atomic8_load(const volatile unsigned char *at, int) {
    return *at;
}
