// SPDX-License-Identifier: Apache-2.0
//
// A row of activations in the registers of one warp: lane l holds the groups of 8 elements that
// begin at 8 (l + 32 i), i < n_groups, so that each access takes 16 bytes (two times 16 for float)
// and the lanes of a warp read one stretch. Groups beyond the row's end hold nothing.
#ifndef WADER_CUDA_ROW_CUH
#define WADER_CUDA_ROW_CUH

#include <stdint.h>

#include "cuda/gpu.cuh"

enum {
    GROUP = 8,                      // elements that a lane reads or writes at a time
    WARP = 32,                      // lanes
    GROUPS_MAX = 4,                 // of a lane, in a row
    ROW_WARPS = 4,                  // warps of a block, one row each
    ROW_THREADS = ROW_WARPS * WARP  // of a block
};
static const int HIDDEN_MIN = 64, HIDDEN_MAX = GROUPS_MAX * WARP * GROUP;
static const unsigned ALL_LANES = 0xffffffffu;

// ---- groups of 8, to float and back

// Stores are written as intrinsics because the compiler tears plain ones into words in places.

__device__ __forceinline__ void load_group(const float *from, float (&to)[GROUP]) {
    const float4 low = reinterpret_cast<const float4 *>(from)[0];
    const float4 high = reinterpret_cast<const float4 *>(from)[1];
    to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
    to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

__device__ __forceinline__ void store_group(float *to, const float (&from)[GROUP]) {
    __stwb(reinterpret_cast<float4 *>(to), make_float4(from[0], from[1], from[2], from[3]));
    __stwb(reinterpret_cast<float4 *>(to) + 1, make_float4(from[4], from[5], from[6], from[7]));
}

// Two neighbours of a 16-bit format as they lie in a register: the first in the lower half.
__device__ __forceinline__ float2 unpack2(uint32_t word, __nv_bfloat16) {
    return make_float2(__uint_as_float(word << 16), __uint_as_float(word & 0xffff0000u));
}

__device__ __forceinline__ float2 unpack2(uint32_t word, __half) {
    return make_float2(__half2float(__ushort_as_half((unsigned short)(word & 0xffffu))),
                       __half2float(__ushort_as_half((unsigned short)(word >> 16))));
}

__device__ __forceinline__ uint32_t pack2(float first, float second, __nv_bfloat16) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
    return (uint32_t)__bfloat16_as_ushort(pair.x) | (uint32_t)__bfloat16_as_ushort(pair.y) << 16;
}

__device__ __forceinline__ uint32_t pack2(float first, float second, __half) {
    const __half2 pair = __floats2half2_rn(first, second);
    return (uint32_t)__half_as_ushort(pair.x) | (uint32_t)__half_as_ushort(pair.y) << 16;
}

template <typename T>
__device__ __forceinline__ void load_group(const T *from, float (&to)[GROUP]) {
    const uint4 words = *reinterpret_cast<const uint4 *>(from);
    const uint32_t word[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const float2 pair = unpack2(word[i], T());
        to[2 * i] = pair.x;
        to[2 * i + 1] = pair.y;
    }
}

template <typename T>
__device__ __forceinline__ void store_group(T *to, const float (&from)[GROUP]) {
    __stwb(reinterpret_cast<uint4 *>(to),
           make_uint4(pack2(from[0], from[1], T()), pack2(from[2], from[3], T()),
                      pack2(from[4], from[5], T()), pack2(from[6], from[7], T())));
}

// ---- rows

__device__ __forceinline__ int lane_of_thread() {
    return (int)(threadIdx.x % WARP);
}

// Of the warp that runs, among all that a grid of ROW_THREADS a block has.
__device__ __forceinline__ int row_of_warp() {
    return (int)(blockIdx.x * ROW_WARPS + threadIdx.x / WARP);
}

// First element of this lane's group i.
__device__ __forceinline__ int group_start(int i) {
    return (lane_of_thread() + i * WARP) * GROUP;
}

// A row's groups. One beyond the row's end repeats the last one, so that no load waits for a branch
// and all are under way at once; whoever sums over the groups leaves it out.
template <int n_groups, typename T>
__device__ __forceinline__ void load_row(const T *from, int length, float (&row)[n_groups][GROUP]) {
#pragma unroll
    for (int i = 0; i < n_groups; i++)
        load_group(from + min(group_start(i), length - GROUP), row[i]);
}

// Adds one row's groups to another's.
template <int n_groups>
__device__ __forceinline__ void add_row(float (&row)[n_groups][GROUP],
                                        const float (&other)[n_groups][GROUP]) {
#pragma unroll
    for (int i = 0; i < n_groups; i++) {
#pragma unroll
        for (int j = 0; j < GROUP; j++) row[i][j] += other[i][j];
    }
}

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
    for (int distance = WARP / 2; distance > 0; distance /= 2)
        value += __shfl_xor_sync(ALL_LANES, value, distance);
    return value;
}

// to = (row - mean) / sqrt(variance + eps) * weight + bias. Mean and biased variance are those of
// the row's `length` elements, in two passes over the registers: no difference of large squares.
template <int n_groups, typename T>
__device__ __forceinline__ void normalize_row(float (&row)[n_groups][GROUP], int length, float eps,
                                              const float *weight, const float *bias, T *to) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < n_groups; i++) {
        if (group_start(i) >= length) continue;
#pragma unroll
        for (int j = 0; j < GROUP; j++) sum += row[i][j];
    }
    const float mean = warp_sum(sum) / (float)length;
    float squares = 0;
#pragma unroll
    for (int i = 0; i < n_groups; i++) {
        if (group_start(i) >= length) continue;
#pragma unroll
        for (int j = 0; j < GROUP; j++) squares += (row[i][j] - mean) * (row[i][j] - mean);
    }
    const float scale = 1.0f / sqrtf(warp_sum(squares) / (float)length + eps);
    float w[n_groups][GROUP], b[n_groups][GROUP];
    load_row(weight, length, w);
    load_row(bias, length, b);
    // `to` may be where the row came from, and lanes beyond its end have read what others write.
    __syncwarp();
#pragma unroll
    for (int i = 0; i < n_groups; i++) {
#pragma unroll
        for (int j = 0; j < GROUP; j++) row[i][j] = (row[i][j] - mean) * scale * w[i][j] + b[i][j];
        if (group_start(i) < length) store_group(to + group_start(i), row[i]);
    }
}

#endif
