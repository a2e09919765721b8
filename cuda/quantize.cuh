// SPDX-License-Identifier: Apache-2.0
//
// Rows in e4m3 with a scale each, by the rule of weights/quantize.h.
#ifndef WADER_CUDA_QUANTIZE_CUH
#define WADER_CUDA_QUANTIZE_CUH

#include "cuda/row.cuh"

static const float E4M3_MOST = 448, ROW_LEAST = 0x1p-100f;

__device__ __forceinline__ float warp_max(float value) {
#pragma unroll
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, distance));
    return value;
}

// The larger of `most` and the group's magnitudes; NaN does not count.
__device__ __forceinline__ float largest(const float (&group)[GROUP], float most) {
#pragma unroll
    for (int j = 0; j < GROUP; j++) most = fmaxf(most, fabsf(group[j]));
    return most;
}

// `factor`: what brings the row's largest element to E4M3_MOST.
__device__ __forceinline__ void store_e4m3(uint8_t *to, const float (&group)[GROUP], float factor) {
    float v[GROUP];
#pragma unroll
    for (int j = 0; j < GROUP; j++) v[j] = group[j] * factor;
    __stwb(reinterpret_cast<uint2 *>(to),
           make_uint2(pack4_e4m3(v[0], v[1], v[2], v[3]), pack4_e4m3(v[4], v[5], v[6], v[7])));
}

#endif
