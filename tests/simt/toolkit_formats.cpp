// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/toolkit_formats.h"

#if __has_include(<cuda_fp16.h>) && __has_include(<cuda_bf16.h>)
// Under other names, as a program must not have two types of one name.
#define __half        toolkit_half_type
#define __nv_bfloat16 toolkit_bfloat16_type
#include <cuda_bf16.h>
#include <cuda_fp16.h>

bool toolkit_is_there(void) {
    return true;
}

uint16_t toolkit_half(float x) {
    return __half_as_ushort(__float2half_rn(x));
}

float toolkit_of_half(uint16_t bits) {
    return __half2float(__ushort_as_half(bits));
}

uint16_t toolkit_bfloat16(float x) {
    return __bfloat16_as_ushort(__float2bfloat16_rn(x));
}

float toolkit_of_bfloat16(uint16_t bits) {
    return __bfloat162float(__ushort_as_bfloat16(bits));
}

#else
#include <stdlib.h>

bool toolkit_is_there(void) {
    return false;
}

uint16_t toolkit_half(float) {
    abort();
}

float toolkit_of_half(uint16_t) {
    abort();
}

uint16_t toolkit_bfloat16(float) {
    abort();
}

float toolkit_of_bfloat16(uint16_t) {
    abort();
}

#endif
