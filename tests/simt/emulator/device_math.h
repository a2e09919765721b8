// SPDX-License-Identifier: Apache-2.0
//
// Intrinsics, and the mathematical functions whose results a device need not round correctly: those
// are macros, so that with SIMT_MATH=perturbed each result is moved by as much as the CUDA C++
// Programming Guide ("Mathematical Functions") allows it to be off. A test that passes with these
// has a bound that is wide enough. Standard headers come first, as macros would break them.
#ifndef WADER_TESTS_SIMT_DEVICE_MATH_H
#define WADER_TESTS_SIMT_DEVICE_MATH_H

#include <math.h>
#include <string.h>

#include <cmath>

#include "formats.h"
#include "language.h"

namespace simt {

// `exact`, or with SIMT_MATH=perturbed a value within ulp_max units in the last place of it. The
// same arguments give the same value.
float perturbed(float exact, float ulp_max);

static inline float reciprocal_root(float x) {
    return 1.0f / ::sqrtf(x);
}
static inline float fast_exponential(float x) {
    return perturbed(::expf(x), 2 + ::floorf(::fabsf(1.173f * x)));
}
// 2^-21.41 at most from 0.5 to 2, elsewhere 3 units.
static inline float fast_logarithm(float x) {
    const float exact = ::logf(x);
    if (x < 0.5f || x > 2) return perturbed(exact, 3);
    return exact + (perturbed(1, 3) - 1);
}

}  // namespace simt

#define expf(x)            simt::perturbed(::expf(x), 1)
#define exp2f(x)           simt::perturbed(::exp2f(x), 2)
#define logf(x)            simt::perturbed(::logf(x), 1)
#define log2f(x)           simt::perturbed(::log2f(x), 1)
#define erff(x)            simt::perturbed(::erff(x), 2)
#define tanhf(x)           simt::perturbed(::tanhf(x), 2)
#define rsqrtf(x)          simt::perturbed(simt::reciprocal_root(x), 2)
#define __expf(x)          simt::fast_exponential(x)
#define __logf(x)          simt::fast_logarithm(x)
#define __fdividef(x, y)   simt::perturbed((float)(x) / (float)(y), 2)
#define __frsqrt_rn(x)     ((float)(1.0 / ::sqrt((double)(float)(x))))
#define __frcp_rn(x)       (1.0f / (float)(x))
#define __fsqrt_rn(x)      ::sqrtf(x)
#define __fdiv_rn(x, y)    ((float)(x) / (float)(y))
#define __fmaf_rn(x, y, z) ::fmaf(x, y, z)
#define __fadd_rn(x, y)    ((float)(x) + (float)(y))
#define __fsub_rn(x, y)    ((float)(x) - (float)(y))
#define __fmul_rn(x, y)    ((float)(x) * (float)(y))

// ---- bits

static inline unsigned __float_as_uint(float x) {
    return simt::bits_of_float(x);
}
static inline int __float_as_int(float x) {
    return (int)simt::bits_of_float(x);
}
static inline float __uint_as_float(unsigned bits) {
    return simt::float_of_bits(bits);
}
static inline float __int_as_float(int bits) {
    return simt::float_of_bits((unsigned)bits);
}
static inline int __popc(unsigned x) {
    return __builtin_popcount(x);
}
static inline int __popcll(unsigned long long x) {
    return __builtin_popcountll(x);
}
static inline int __clz(int x) {
    return x == 0 ? 32 : __builtin_clz((unsigned)x);
}
static inline int __ffs(int x) {
    return __builtin_ffs(x);
}
static inline unsigned __brev(unsigned x) {
    unsigned reversed = 0;
    for (int i = 0; i < 32; i++) reversed |= (x >> i & 1) << (31 - i);
    return reversed;
}
// Each of the selector's four lowest digits picks one of the eight bytes of y:x; with the digit's
// upper bit, that byte's sign eight times.
static inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
    const uint64_t bytes = (uint64_t)y << 32 | x;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) {
        const unsigned digit = selector >> (4 * i) & 15;
        unsigned byte = (unsigned)(bytes >> (8 * (digit & 7))) & 0xff;
        if (digit & 8) byte = byte & 0x80 ? 0xff : 0;
        result |= byte << (8 * i);
    }
    return result;
}

// ---- min and max; of a number and a NaN, the number

#define SIMT_MIN_MAX(type)                   \
    static inline type min(type a, type b) { \
        return b < a ? b : a;                \
    }                                        \
    static inline type max(type a, type b) { \
        return a < b ? b : a;                \
    }
SIMT_MIN_MAX(int)
SIMT_MIN_MAX(unsigned)
SIMT_MIN_MAX(long)
SIMT_MIN_MAX(unsigned long)
SIMT_MIN_MAX(long long)
SIMT_MIN_MAX(unsigned long long)
#undef SIMT_MIN_MAX
static inline unsigned min(int a, unsigned b) {
    return min((unsigned)a, b);
}
static inline unsigned min(unsigned a, int b) {
    return min(a, (unsigned)b);
}
static inline unsigned max(int a, unsigned b) {
    return max((unsigned)a, b);
}
static inline unsigned max(unsigned a, int b) {
    return max(a, (unsigned)b);
}
static inline float min(float a, float b) {
    return fminf(a, b);
}
static inline float max(float a, float b) {
    return fmaxf(a, b);
}
using std::isinf;
using std::isnan;

#endif
