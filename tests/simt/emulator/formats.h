// SPDX-License-Identifier: Apache-2.0
//
// fp16 and bf16 under the toolkit's names, bit for bit as the toolkit rounds: to nearest, ties to
// even, every NaN to 0x7fff. Arithmetic is done in fp32 and rounded once more, which is exact
// rounding of + - * / as 24 >= 2 * 11 + 2 (Figueroa, "When is double rounding innocuous?", 1995).
// Only float converts by itself; other arguments do not compile.
#ifndef WADER_TESTS_SIMT_FORMATS_H
#define WADER_TESTS_SIMT_FORMATS_H

#include <math.h>
#include <string.h>

#include "language.h"

namespace simt {

__forceinline__ uint32_t bits_of_float(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

__forceinline__ float float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// value / 2^shift, to nearest, ties to even. 1 <= shift <= 24.
__forceinline__ uint32_t shift_rounding(uint32_t value, unsigned shift) {
    const uint32_t is_odd = value >> shift & 1;
    return (value + (1u << (shift - 1)) - 1 + is_odd) >> shift;
}

static inline uint16_t bfloat16_bits(float x) {
    const uint32_t bits = bits_of_float(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
    return (uint16_t)shift_rounding(bits, 16);
}

static inline float bfloat16_value(uint16_t bits) {
    return float_of_bits((uint32_t)bits << 16);
}

static inline uint16_t half_bits(float x) {
    const uint32_t bits = bits_of_float(x), magnitude = bits & 0x7fffffffu;
    const uint32_t sign = bits >> 16 & 0x8000u, exponent = magnitude >> 23;
    if (magnitude > 0x7f800000u) return 0x7fff;
    if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);  // from 65520 on: infinity
    if (exponent >= 113) return (uint16_t)(sign | shift_rounding(magnitude - (112u << 23), 13));
    if (exponent < 102) return (uint16_t)sign;  // below half of the smallest value, 2^-24
    const uint32_t significand = (magnitude & 0x7fffffu) | 0x800000u;
    return (uint16_t)(sign | shift_rounding(significand, 126 - exponent));
}

// Without a branch. The exponent is set right by a product: exact, for subnormal values too.
static inline float half_value(uint16_t bits) {
    const uint32_t magnitude = bits & 0x7fffu, sign = (uint32_t)(bits & 0x8000u) << 16;
    const uint32_t scaled = bits_of_float(float_of_bits(magnitude << 13) * 0x1p112f);
    const uint32_t infinite = magnitude >= 0x7c00u ? 0x7f800000u : 0;
    return float_of_bits(scaled | infinite | sign);
}

// Sums with 2^14 round to 2^-9, the last place below 2^-6.
static inline uint32_t e4m3_bits(float x) {
    const uint32_t bits = bits_of_float(x), magnitude = bits & 0x7fffffffu;
    const uint32_t sign = bits >> 24 & 0x80u;
    if (magnitude > 0x7f800000u) return 0x7f;
    if (magnitude >= 0x43e00000u) return sign | 0x7e;  // from 448 on
    if (magnitude >= 0x3c800000u) return sign | shift_rounding(magnitude - (120u << 23), 20);
    return sign | (bits_of_float(float_of_bits(magnitude) + 0x1p14f) & 0xf);
}

}  // namespace simt

// Of cuda/ptx.cuh.
static inline uint32_t pack4_e4m3(float a, float b, float c, float d) {
    return simt::e4m3_bits(a) | simt::e4m3_bits(b) << 8 | simt::e4m3_bits(c) << 16 |
           simt::e4m3_bits(d) << 24;
}

#define SIMT_FORMAT(type, bits_of, value_of)                             \
    struct alignas(2) type {                                             \
        uint16_t bits;                                                   \
        type() = default;                                                \
        type(float x) : bits(simt::bits_of(x)) {}                        \
        type(double) = delete;                                           \
        type(int) = delete;                                              \
        operator float() const {                                         \
            return simt::value_of(bits);                                 \
        }                                                                \
    };                                                                   \
    struct alignas(4) type##2_pair {                                     \
        type x, y;                                                       \
    };                                                                   \
    static inline type operator+(type a, type b) {                       \
        return type((float)a + (float)b);                                \
    }                                                                    \
    static inline type operator-(type a, type b) {                       \
        return type((float)a - (float)b);                                \
    }                                                                    \
    static inline type operator*(type a, type b) {                       \
        return type((float)a * (float)b);                                \
    }                                                                    \
    static inline type operator/(type a, type b) {                       \
        return type((float)a / (float)b);                                \
    }                                                                    \
    static inline type __hadd(type a, type b) {                          \
        return a + b;                                                    \
    }                                                                    \
    static inline type __hsub(type a, type b) {                          \
        return a - b;                                                    \
    }                                                                    \
    static inline type __hmul(type a, type b) {                          \
        return a * b;                                                    \
    }                                                                    \
    static inline type __hdiv(type a, type b) {                          \
        return a / b;                                                    \
    }                                                                    \
    static inline type __hmax(type a, type b) {                          \
        return type(fmaxf(a, b));                                        \
    }                                                                    \
    static inline type __hmin(type a, type b) {                          \
        return type(fminf(a, b));                                        \
    }                                                                    \
    static inline bool __hisnan(type a) {                                \
        return isnan((float)a);                                          \
    }                                                                    \
    static inline type##2_pair __hadd2(type##2_pair a, type##2_pair b) { \
        return {a.x + b.x, a.y + b.y};                                   \
    }                                                                    \
    static inline type##2_pair __hmul2(type##2_pair a, type##2_pair b) { \
        return {a.x * b.x, a.y * b.y};                                   \
    }                                                                    \
    static inline float __low2float(type##2_pair a) {                    \
        return a.x;                                                      \
    }                                                                    \
    static inline float __high2float(type##2_pair a) {                   \
        return a.y;                                                      \
    }
SIMT_FORMAT(__half, half_bits, half_value)
SIMT_FORMAT(__nv_bfloat16, bfloat16_bits, bfloat16_value)
#undef SIMT_FORMAT
typedef __half half;
typedef __nv_bfloat16 nv_bfloat16;
typedef __half2_pair __half2;
typedef __half2_pair half2;
typedef __nv_bfloat162_pair __nv_bfloat162;
typedef __nv_bfloat162_pair nv_bfloat162;

// ---- conversions

static inline __half __float2half(float x) {
    return __half(x);
}
static inline __half __float2half_rn(float x) {
    return __half(x);
}
static inline float __half2float(__half x) {
    return x;
}
static inline __half2 __floats2half2_rn(float x, float y) {
    return {__half(x), __half(y)};
}
static inline __half2 __float22half2_rn(float2 v) {
    return {__half(v.x), __half(v.y)};
}
static inline __half2 __float2half2_rn(float x) {
    return {__half(x), __half(x)};
}
static inline float2 __half22float2(__half2 v) {
    return {v.x, v.y};
}
static inline __half2 __halves2half2(__half x, __half y) {
    return {x, y};
}
static inline __half __low2half(__half2 v) {
    return v.x;
}
static inline __half __high2half(__half2 v) {
    return v.y;
}
static inline unsigned short __half_as_ushort(__half x) {
    return x.bits;
}
static inline __half __ushort_as_half(unsigned short bits) {
    __half x;
    x.bits = bits;
    return x;
}

static inline __nv_bfloat16 __float2bfloat16(float x) {
    return __nv_bfloat16(x);
}
static inline __nv_bfloat16 __float2bfloat16_rn(float x) {
    return __nv_bfloat16(x);
}
static inline float __bfloat162float(__nv_bfloat16 x) {
    return x;
}
static inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) {
    return {__nv_bfloat16(x), __nv_bfloat16(y)};
}
static inline __nv_bfloat162 __float22bfloat162_rn(float2 v) {
    return {__nv_bfloat16(v.x), __nv_bfloat16(v.y)};
}
static inline __nv_bfloat162 __float2bfloat162_rn(float x) {
    return {__nv_bfloat16(x), __nv_bfloat16(x)};
}
static inline float2 __bfloat1622float2(__nv_bfloat162 v) {
    return {v.x, v.y};
}
static inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 x, __nv_bfloat16 y) {
    return {x, y};
}
static inline __nv_bfloat16 __low2bfloat16(__nv_bfloat162 v) {
    return v.x;
}
static inline __nv_bfloat16 __high2bfloat16(__nv_bfloat162 v) {
    return v.y;
}
static inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) {
    return x.bits;
}
static inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) {
    __nv_bfloat16 x;
    x.bits = bits;
    return x;
}

#endif
