// SPDX-License-Identifier: Apache-2.0
//
// What the sources of kernels share. They are compiled once for each instruction set, with
// WADER_KERNELS naming the table to define (kernels_avx2): KERNEL(gelu) is then a name of that set.
// Vectors are the compilers' own vector type of 16 floats: one register with AVX-512, two with
// AVX2, four with SSE2 or NEON, the same lanes everywhere.
#ifndef WADER_HOST_ENCODER_KERNELS_LANES_H
#define WADER_HOST_ENCODER_KERNELS_LANES_H

#include <string.h>

#include "host/encoder/kernels.h"

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

enum { LANES = KERNELS_LANES };
typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));
typedef int32_t int_lanes __attribute__((vector_size(LANES * sizeof(int32_t)), aligned(4)));
typedef uint32_t bit_lanes __attribute__((vector_size(LANES * sizeof(uint32_t)), aligned(4)));
typedef uint16_t half_lanes __attribute__((vector_size(LANES * sizeof(uint16_t)), aligned(2)));
typedef uint8_t byte_lanes __attribute__((vector_size(LANES), aligned(1)));

#define JOIN_(a, b)  a##_##b
#define JOIN(a, b)   JOIN_(a, b)
#define KERNEL(name) JOIN(WADER_KERNELS, name)

// Inlined whatever the compiler thinks of it: vectors never cross a call, where the ABI would
// depend on the instruction set.
#define INLINE static inline __attribute__((always_inline))

// 1.5 * 2^23: adding it to a float of less than 2^22 rounds that to an integer, which then stands
// in the low bits.
#define ROUNDER 12582912.0F

#define LOAD(pointer)         (*(const lanes *)(const void *)(pointer))
#define STORE(pointer, value) (*(lanes *)(void *)(pointer) = (value))

// The smaller and the larger of each pair of lanes; where one is NaN, b.
INLINE lanes lanes_min(lanes a, lanes b) {
#if defined(__AVX512F__)
    return (lanes)_mm512_min_ps((__m512)a, (__m512)b);
#else
    const int_lanes first = a < b;
    return (lanes)(((int_lanes)a & first) | ((int_lanes)b & ~first));
#endif
}

INLINE lanes lanes_max(lanes a, lanes b) {
#if defined(__AVX512F__)
    return (lanes)_mm512_max_ps((__m512)a, (__m512)b);
#else
    const int_lanes first = a > b;
    return (lanes)(((int_lanes)a & first) | ((int_lanes)b & ~first));
#endif
}

INLINE float fold_min(lanes a) {
#if defined(__AVX512F__)
    return _mm512_reduce_min_ps((__m512)a);
#else
    float least = a[0];
    for (int i = 1; i < LANES; i++) least = a[i] < least ? a[i] : least;
    return least;
#endif
}

INLINE float fold_max(lanes a) {
#if defined(__AVX512F__)
    return _mm512_reduce_max_ps((__m512)a);
#else
    float most = a[0];
    for (int i = 1; i < LANES; i++) most = a[i] > most ? a[i] : most;
    return most;
#endif
}

INLINE float fold_sum(lanes x) {
    float part[LANES], half[8], quarter[4];
    STORE(part, x);
    for (int i = 0; i < 8; i++) half[i] = part[i] + part[i + 8];
    for (int i = 0; i < 4; i++) quarter[i] = half[i] + half[i + 4];
    return (quarter[0] + quarter[2]) + (quarter[1] + quarter[3]);
}

INLINE lanes lanes_abs(lanes x) {
    return (lanes)((bit_lanes)x & 0x7fffffffU);
}

// The first n < LANES elements, and zeros.
INLINE lanes load_part(const float *from, int32_t n) {
    float part[LANES] = {0};
    memcpy(part, from, (size_t)n * sizeof *from);
    return LOAD(part);
}

INLINE void store_part(float *to, int32_t n, lanes x) {
    float part[LANES];
    STORE(part, x);
    memcpy(to, part, (size_t)n * sizeof *to);
}

// The low bits of each lane, which gcc 12 would gather one by one.
INLINE half_lanes low_halves(bit_lanes x) {
#if defined(__AVX512F__)
    return (half_lanes)_mm512_cvtepi32_epi16((__m512i)x);
#else
    return __builtin_convertvector(x, half_lanes);
#endif
}

INLINE byte_lanes low_bytes(bit_lanes x) {
#if defined(__AVX512F__)
    return (byte_lanes)_mm512_cvtepi32_epi8((__m512i)x);
#else
    return __builtin_convertvector(x, byte_lanes);
#endif
}

// From column i on, n of them: numbers, which a result of floats is already.
INLINE lanes result_lanes(enum operand operand, const void *result, struct row_scale scale,
                          const struct channels *channels, int32_t i, int32_t n) {
    const bool whole = n >= LANES;
    if (operand != OPERAND_U8) {
        const float *from = (const float *)result + i;
        return whole ? LOAD(from) : load_part(from, n);
    }
    int32_t part[LANES] = {0};
    const int32_t *from = (const int32_t *)result + i;
    if (!whole) from = memcpy(part, from, (size_t)n * sizeof *from);
    const lanes sums = __builtin_convertvector(*(const int_lanes *)(const void *)from, lanes);
    const float *s = channels->scales + i, *t = channels->totals + i, *b = channels->biases + i;
    const lanes scales = whole ? LOAD(s) : load_part(s, n);
    const lanes totals = whole ? LOAD(t) : load_part(t, n);
    const lanes biases = whole ? LOAD(b) : load_part(b, n);
    return scale.step * (scales * sums) + (scale.least * totals + biases);
}

#endif
