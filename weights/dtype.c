// SPDX-License-Identifier: Apache-2.0
#include "weights/dtype.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weights are read as they lie in memory");
_Static_assert(sizeof(float) == 4, "float is IEEE 754 binary32");

size_t dtype_size(enum dtype dtype) {
    return dtype == DTYPE_F32 ? 4 : dtype == DTYPE_E4M3 ? 1 : 2;
}

const char *dtype_name(enum dtype dtype) {
    static const char *const names[] = {
        [DTYPE_F32] = "F32", [DTYPE_F16] = "F16", [DTYPE_BF16] = "BF16", [DTYPE_E4M3] = "E4M3"};
    return names[dtype];
}

static float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

// IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction. Masks instead of branches, so that
// compilers make vectors of it. A subnormal m * 2^-24 is the float 2^-14 + m * 2^-24 less 2^-14,
// both exact.
static float float_of_half(uint16_t half) {
    const uint32_t rebias = (UINT32_C(127) - 15) << 23;
    const uint32_t smallest_normal = UINT32_C(113) << 23;  // 2^-14
    uint32_t exponent = half & 0x7C00;
    uint32_t magnitude = (uint32_t)(half & 0x7FFF) << 13;
    uint32_t is_subnormal = 0 - (uint32_t)(exponent == 0);
    uint32_t is_infinite = 0 - (uint32_t)(exponent == 0x7C00);  // or NaN
    uint32_t normal = magnitude + rebias + (is_infinite & rebias);
    float small = float_of_bits(smallest_normal + magnitude) - float_of_bits(smallest_normal);
    uint32_t subnormal = bits_of_float(small);
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    return float_of_bits((normal & ~is_subnormal) | (subnormal & is_subnormal) | sign);
}

void f16_to_float(const void *in, size_t n, float *out) {
    const char *bytes = in;
    for (size_t i = 0; i < n; i++) {
        uint16_t half;
        memcpy(&half, bytes + 2 * i, sizeof half);
        out[i] = float_of_half(half);
    }
}

void bf16_to_float(const void *in, size_t n, float *out) {
    const char *bytes = in;
    for (size_t i = 0; i < n; i++) {
        uint16_t upper;
        memcpy(&upper, bytes + 2 * i, sizeof upper);
        out[i] = float_of_bits((uint32_t)upper << 16);
    }
}

// A subnormal is m * 2^-9.
void e4m3_to_float(const void *in, size_t n, float *out) {
    const uint8_t *bytes = in;
    for (size_t i = 0; i < n; i++) {
        const uint32_t magnitude = bytes[i] & 0x7F, sign = (uint32_t)(bytes[i] & 0x80) << 24;
        const uint32_t rebias = (UINT32_C(127) - 7) << 23;
        const uint32_t bits = magnitude == 0x7F ? UINT32_C(0x7FC00000)
                              : magnitude >= 8  ? (magnitude << 20) + rebias
                                                : bits_of_float((float)magnitude * 0x1p-9F);
        out[i] = float_of_bits(bits | sign);
    }
}

static const uint32_t float_infinity = UINT32_C(0x7F800000);

// Adding half of the last kept place less one bit, and that bit again where the place is odd,
// rounds to nearest even when the lower bits are cut; a carry goes on into the exponent, up to
// infinity. Floats from 2^16 are cut down to it: they all are infinite. Below 2^-14, the last place
// of a half is 2^-24, and so is that of the floats from 0.5 to 1: adding 0.5 rounds.
static uint16_t half_of_float(float value) {
    const uint32_t rebias = (UINT32_C(127) - 15) << 23;
    const uint32_t smallest_normal = UINT32_C(113) << 23;  // 2^-14
    const uint32_t too_large = UINT32_C(143) << 23;        // 2^16
    uint32_t bits = bits_of_float(value);
    uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
    uint32_t finite = magnitude < too_large ? magnitude : too_large;
    uint32_t normal = (finite - rebias + 0xFFF + (finite >> 13 & 1)) >> 13;
    uint32_t subnormal = bits_of_float(float_of_bits(finite) + 0.5F) - bits_of_float(0.5F);
    uint32_t nan = 0x7E00 | (magnitude >> 13 & 0x3FF);
    uint32_t half = finite < smallest_normal ? subnormal : normal;
    return (uint16_t)(sign | (magnitude > float_infinity ? nan : half));
}

void float_to_f16(const float *in, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = half_of_float(in[i]);
}

// bfloat16 is the upper half of a float, rounded as above.
void float_to_bf16(const float *in, size_t n, uint16_t *out) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = bits_of_float(in[i]);
        uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
        uint32_t nan = bits >> 16 | 0x40;
        out[i] = (uint16_t)((bits & 0x7FFFFFFF) > float_infinity ? nan : rounded);
    }
}

// As half_of_float: the last place of the floats from 2^14 on is 2^-9, that of e4m3 below 2^-6.
static uint8_t e4m3_of_float(float value) {
    const uint32_t rebias = (UINT32_C(127) - 7) << 23;
    const uint32_t smallest_normal = UINT32_C(121) << 23;  // 2^-6
    const uint32_t most = UINT32_C(0x43E00000);            // 448
    const uint32_t bits = bits_of_float(value);
    const uint32_t sign = bits >> 24 & 0x80, magnitude = bits & 0x7FFFFFFF;
    const uint32_t finite = magnitude < most ? magnitude : most;
    const uint32_t normal = (finite - rebias + 0x7FFFF + (finite >> 20 & 1)) >> 20;
    const uint32_t subnormal =
        bits_of_float(float_of_bits(finite) + 0x1p14F) - bits_of_float(0x1p14F);
    const uint32_t byte = finite < smallest_normal ? subnormal : normal;
    return (uint8_t)(magnitude > float_infinity ? 0x7F : sign | byte);
}

void float_to_e4m3(const float *in, size_t n, uint8_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = e4m3_of_float(in[i]);
}

void tensor_read(struct tensor tensor, size_t first, size_t n, float *out) {
    assert(first <= tensor.n_elements && n <= tensor.n_elements - first);
    if (n == 0) return;
    const char *in = (const char *)tensor.data + first * dtype_size(tensor.dtype);
    switch (tensor.dtype) {
        case DTYPE_F32:
            memcpy(out, in, n * sizeof *out);
            return;
        case DTYPE_F16:
            f16_to_float(in, n, out);
            return;
        case DTYPE_BF16:
            bf16_to_float(in, n, out);
            return;
        case DTYPE_E4M3:
            e4m3_to_float(in, n, out);
            return;
    }
}

// Only pages that no neighbour shares: those read again would come from the file again.
void tensor_forget(struct tensor tensor) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = (uintptr_t)tensor.data;
    uintptr_t end = begin + tensor.n_elements * dtype_size(tensor.dtype);
    begin = (begin + page - 1) / page * page;
    end = end / page * page;
    if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
}
