// SPDX-License-Identifier: Apache-2.0
#include "weights/dtype.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weights are read as they lie in memory");
_Static_assert(sizeof(float) == 4, "float is IEEE 754 binary32");

size_t dtype_size(enum dtype dtype) {
    return dtype == DTYPE_F32 ? 4 : 2;
}

const char *dtype_name(enum dtype dtype) {
    static const char *const names[] = {
        [DTYPE_F32] = "F32", [DTYPE_F16] = "F16", [DTYPE_BF16] = "BF16"};
    return names[dtype];
}

static float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
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
    uint32_t subnormal;
    memcpy(&subnormal, &small, sizeof subnormal);
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
