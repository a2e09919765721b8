// SPDX-License-Identifier: Apache-2.0
//
// A thread gives way at barriers and collectives alone, so that reading, computing and writing is
// atomic by itself; the checker is told that it was meant so.
#include "atomics.h"

#include "internal.h"

static bool is_usable(const void *at, size_t nbytes, const void *pc) {
    if ((uintptr_t)at % nbytes != 0) {
        simt::report(simt::fault::misaligned, pc, nullptr, "atomic access to %zu bytes at %p",
                     nbytes, at);
        return false;
    }
    if (simt::checker != nullptr) simt::checker->on_access(at, nbytes, simt::access::atomic, pc);
    return true;
}

#define DEFINE(name, type, result)                                               \
    type name(type *at, type value) {                                            \
        if (!is_usable(at, sizeof(type), __builtin_return_address(0))) return 0; \
        const type old = *at;                                                    \
        *at = (type)(result);                                                    \
        return old;                                                              \
    }
SIMT_ATOMICS(DEFINE)

#define DEFINE_CAS(type)                                                         \
    type atomicCAS(type *at, type expected, type value) {                        \
        if (!is_usable(at, sizeof(type), __builtin_return_address(0))) return 0; \
        const type old = *at;                                                    \
        if (old == expected) *at = value;                                        \
        return old;                                                              \
    }
DEFINE_CAS(int)
DEFINE_CAS(unsigned)
DEFINE_CAS(unsigned long long)
