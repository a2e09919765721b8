// SPDX-License-Identifier: Apache-2.0
//
// Atomic functions, for the types that CUDA has each for, and loads and stores with a hint.
#ifndef WADER_TESTS_SIMT_ATOMICS_H
#define WADER_TESTS_SIMT_ATOMICS_H

#include "language.h"

#define SIMT_ATOMICS_OF_INTEGER(X, type)          \
    X(atomicAdd, type, old + value)               \
    X(atomicExch, type, value)                    \
    X(atomicMin, type, value < old ? value : old) \
    X(atomicMax, type, value > old ? value : old) \
    X(atomicAnd, type, old &value)                \
    X(atomicOr, type, old | value)                \
    X(atomicXor, type, old ^ value)
#define SIMT_ATOMICS(X)                                               \
    SIMT_ATOMICS_OF_INTEGER(X, int)                                   \
    SIMT_ATOMICS_OF_INTEGER(X, unsigned)                              \
    SIMT_ATOMICS_OF_INTEGER(X, unsigned long long)                    \
    X(atomicSub, int, old - value)                                    \
    X(atomicSub, unsigned, old - value)                               \
    X(atomicInc, unsigned, old >= value ? 0 : old + 1)                \
    X(atomicDec, unsigned, old == 0 || old > value ? value : old - 1) \
    X(atomicAdd, float, old + value)                                  \
    X(atomicExch, float, value)                                       \
    X(atomicAdd, double, old + value)

#define SIMT_DECLARE(name, type, result) type name(type *at, type value);
SIMT_ATOMICS(SIMT_DECLARE)
#undef SIMT_DECLARE
int atomicCAS(int *at, int expected, int value);
unsigned atomicCAS(unsigned *at, unsigned expected, unsigned value);
unsigned long long atomicCAS(unsigned long long *at, unsigned long long expected,
                             unsigned long long value);

template <typename T>
__forceinline__ T __ldg(const T *at) {
    return *at;
}
template <typename T>
__forceinline__ T __ldcs(const T *at) {
    return *at;
}
template <typename T>
__forceinline__ T __ldcg(const T *at) {
    return *at;
}
template <typename T>
__forceinline__ void __stwb(T *at, T value) {
    *at = value;
}
template <typename T>
__forceinline__ void __stcs(T *at, T value) {
    *at = value;
}
template <typename T>
__forceinline__ void __stcg(T *at, T value) {
    *at = value;
}

#endif
