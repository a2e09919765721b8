// SPDX-License-Identifier: Apache-2.0
//
// CUDA C's words, vector types and built-in variables.
#ifndef WADER_TESTS_SIMT_LANGUAGE_H
#define WADER_TESTS_SIMT_LANGUAGE_H

#include <stddef.h>
#include <stdint.h>

// ---- words

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __constant__ static const
// One block runs at a time, so that its shared arrays may be static variables. Not thread_local:
// AddressSanitizer guards static variables only. `extern __shared__` does not compile, by intent:
// kernels use DYNAMIC_SHARED.
#define __shared__   static
#define __align__(n) __attribute__((aligned(n)))

// ---- vector types, aligned as on a device

#define SIMT_VECTORS(name, element)                                                    \
    struct name##1 {                                                                   \
        element x;                                                                     \
    };                                                                                 \
    struct alignas(2 * sizeof(element)) name##2 {                                      \
        element x, y;                                                                  \
    };                                                                                 \
    struct name##3 {                                                                   \
        element x, y, z;                                                               \
    };                                                                                 \
    struct alignas(sizeof(element) < 4 ? 4 * sizeof(element) : 16) name##4 {           \
        element x, y, z, w;                                                            \
    };                                                                                 \
    static inline name##1 make_##name##1(element x) {                                  \
        return {x};                                                                    \
    }                                                                                  \
    static inline name##2 make_##name##2(element x, element y) {                       \
        return {x, y};                                                                 \
    }                                                                                  \
    static inline name##3 make_##name##3(element x, element y, element z) {            \
        return {x, y, z};                                                              \
    }                                                                                  \
    static inline name##4 make_##name##4(element x, element y, element z, element w) { \
        return {x, y, z, w};                                                           \
    }
SIMT_VECTORS(char, signed char)
SIMT_VECTORS(uchar, unsigned char)
SIMT_VECTORS(short, short)
SIMT_VECTORS(ushort, unsigned short)
SIMT_VECTORS(int, int)
SIMT_VECTORS(uint, unsigned)
SIMT_VECTORS(longlong, long long)
SIMT_VECTORS(ulonglong, unsigned long long)
SIMT_VECTORS(float, float)
SIMT_VECTORS(double, double)
#undef SIMT_VECTORS

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
    constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
};

// ---- built-in variables

// The scheduler writes them before it lets a thread run. They are const here because they do not
// change while one thread runs, which spares an instrumented build a call at each use.
extern const uint3 threadIdx, blockIdx, blockDim, gridDim;
static const int warpSize = 32;

#endif
