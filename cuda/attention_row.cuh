// SPDX-License-Identifier: Apache-2.0
//
// Attention of one query by one warp, for any number of keys, in fp32: what is left where there is
// one query a title (the last layer) or no tensor core for the format (fp32).
//
// A key's D elements lie across D / 8 lanes, 8 a lane, so that the warp reads 256 / D keys at a
// time as one stretch each. Each such set of lanes keeps a softmax of its own over the keys that it
// has seen, in the running form (Milakov and Gimelshein 2018); the sets are joined at the end.
#ifndef WADER_CUDA_ATTENTION_ROW_CUH
#define WADER_CUDA_ATTENTION_ROW_CUH

#include <math.h>

#include "cuda/attention_items.h"
#include "cuda/row.cuh"

__device__ __forceinline__ attention_item load_item(const attention_item *from) {
    const int4 words = *reinterpret_cast<const int4 *>(from);
    return {words.x, words.y, words.z, words.w};
}

// 2^(a - b), where both may be -infinity: a set of lanes that has seen no key.
__device__ __forceinline__ float power_of_difference(float a, float b) {
    return a == b ? 1.0f : exp2f(a - b);
}

// context[D] = sum_k softmax_k(scale query . key[k]) value[k] over n_keys rows, at least one, whose
// first elements lie `stride` apart.
template <int D, typename T>
__device__ __forceinline__ void attend_row(const T *query, const T *keys, const T *values,
                                           size_t stride, int n_keys, float scale, T *context) {
    enum { LANES = D / GROUP, KEYS = WARP / LANES };
    const int lane = lane_of_thread(), set = lane / LANES, at = lane % LANES * GROUP;
    float q[GROUP], sum = 0, max = -INFINITY, total[GROUP] = {};
    load_group(query + at, q);
    scale *= 1.4426950408889634f;  // log2(e)
    // All lanes make all rounds, since they meet in each; a set without a key repeats the last.
    // Not unrolled: the other warps hide the loads, and two rounds at once cost registers.
#pragma unroll 1
    for (int first = 0; first < n_keys; first += KEYS) {
        const int row = min(first + set, n_keys - 1);
        float k[GROUP], v[GROUP], score = 0;
        load_group(keys + row * stride + at, k);
        load_group(values + row * stride + at, v);
#pragma unroll
        for (int j = 0; j < GROUP; j++) score += q[j] * k[j];
#pragma unroll
        for (int distance = LANES / 2; distance > 0; distance /= 2)
            score += __shfl_xor_sync(ALL_LANES, score, distance);
        score = first + set < n_keys ? score * scale : -INFINITY;
        const float larger = fmaxf(max, score);
        const float correction = power_of_difference(max, larger);
        const float probability = first + set < n_keys ? exp2f(score - larger) : 0;
        sum = sum * correction + probability;
#pragma unroll
        for (int j = 0; j < GROUP; j++) total[j] = total[j] * correction + probability * v[j];
        max = larger;
    }
#pragma unroll
    for (int distance = LANES; distance < WARP; distance *= 2) {
        const float other = __shfl_xor_sync(ALL_LANES, max, distance);
        const float larger = fmaxf(max, other);
        const float correction = power_of_difference(max, larger);
        sum *= correction;
        sum += __shfl_xor_sync(ALL_LANES, sum, distance);
#pragma unroll
        for (int j = 0; j < GROUP; j++) {
            total[j] *= correction;
            total[j] += __shfl_xor_sync(ALL_LANES, total[j], distance);
        }
        max = larger;
    }
    if (set > 0) return;
    const float inverse = __fdividef(1.0f, sum);  // 1 <= sum: the largest term is 1
#pragma unroll
    for (int j = 0; j < GROUP; j++) total[j] *= inverse;
    store_group(context + at, total);
}

#endif
