// SPDX-License-Identifier: Apache-2.0
//
// Attention of packed titles on tensor cores, without shared memory, barriers or padding. A warp
// takes 16 queries of one head of one title at a time, against up to 16 KEY_TILES keys at once.
//
// All operands come straight from global memory, 16 bytes a lane, because the order of the indices
// that a product sums over, and of the columns it yields, is free as long as both operands agree
// (ptx.cuh has the layout of a product; g = lane / 4, t = lane % 4):
//   scores = Q K^T sums over the head's elements. Of each 32, lane t takes the 8 from 8t on, of its
//     rows of Q and K alike, and splits them between two products of depth 16.
//   context = P V sums over keys; P is the scores' own register layout (two tiles of 8 columns make
//     one operand of depth 16). Column g of product j is element E g + j of the head, E = D / 8:
//     so a lane needs E neighbours of one row of V, and gets 2 E neighbours of its rows of context.
// Rows beyond the title are read as its last row, so that neither a neighbour nor the buffer's end
// is touched; as keys they score -infinity, as queries they are not stored.
//
// Softmax is fp32 (Vaswani et al. 2017; the running form, for titles that need several blocks of
// keys, is that of Milakov and Gimelshein 2018), in powers of two with log2(e) in the scale.
#ifndef WADER_CUDA_ATTENTION_TILE_CUH
#define WADER_CUDA_ATTENTION_TILE_CUH

#include <math.h>

#include "cuda/attention_items.h"
#include "cuda/kernels.h"
#include "cuda/row.cuh"

enum { TILE = 16 };  // queries, and keys of one step of depth

// 16-bit elements of one head of a title's rows.
template <typename T>
struct head_rows {
    const T *first;
    int stride;  // in elements
    int n_rows;

    __device__ __forceinline__ const T *row(int i) const {
        return first +
               (size_t)((unsigned long long)(unsigned)stride * (unsigned)min(i, n_rows - 1));
    }
};

// The lane's place in the layout of a product.
__device__ __forceinline__ int row_of_lane() {
    return (int)(threadIdx.x % WARP / 4);
}
__device__ __forceinline__ int column_of_lane() {
    return (int)(threadIdx.x % 4);
}

// The 8 elements from 8t on of each 32 of a row: D / 32 times 4 registers.
template <typename T, int D>
__device__ __forceinline__ void load_operand(const T *row, uint32_t (&words)[D / 32][4]) {
    const int t = column_of_lane();
#pragma unroll
    for (int c = 0; c < D / 32; c++) {
        const uint4 chunk = *reinterpret_cast<const uint4 *>(row + 32 * c + 8 * t);
        words[c][0] = chunk.x, words[c][1] = chunk.y, words[c][2] = chunk.z, words[c][3] = chunk.w;
    }
}

// E neighbours of a row of V in E / 2 registers.
__device__ __forceinline__ void load_words(const void *from, uint32_t (&words)[4]) {
    const uint4 chunk = *static_cast<const uint4 *>(from);
    words[0] = chunk.x, words[1] = chunk.y, words[2] = chunk.z, words[3] = chunk.w;
}

__device__ __forceinline__ void load_words(const void *from, uint32_t (&words)[2]) {
    const uint2 chunk = *static_cast<const uint2 *>(from);
    words[0] = chunk.x, words[1] = chunk.y;
}

// scores[j] = products of the 16 queries with keys 8j to 8j + 7 of the block that begins at
// `first_key`; -infinity for what lies beyond the title. Scaled to powers of two. Without
// `may_skip`, all tiles are computed, so that no load waits for a branch.
template <typename T, int D, int key_tiles, bool may_skip>
__device__ __forceinline__ void score(const uint32_t (&query)[2][D / 32][4], head_rows<T> keys,
                                      int first_key, float scale,
                                      float (&scores)[2 * key_tiles][4]) {
    const int g = row_of_lane(), t = column_of_lane();
#pragma unroll
    for (int j = 0; j < 2 * key_tiles; j++) {
        const int column = first_key + 8 * j;
        float sum[4] = {0, 0, 0, 0};
        if (!may_skip || column < keys.n_rows) {
            uint32_t key[D / 32][4];
            load_operand<T, D>(keys.row(column + g), key);
#pragma unroll
            for (int c = 0; c < D / 32; c++) {
#pragma unroll
                for (int s = 0; s < 4; s += 2) {
                    const uint32_t a[4] = {query[0][c][s], query[1][c][s], query[0][c][s + 1],
                                           query[1][c][s + 1]};
                    const uint32_t b[2] = {key[c][s], key[c][s + 1]};
                    mma_m16n8k16(sum, a, b, T());
                }
            }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const bool is_key = column + 2 * t + i % 2 < keys.n_rows;
            scores[j][i] = is_key ? sum[i] * scale : -INFINITY;
        }
    }
}

// The two rows that a lane shares with the three others of its quad, with what softmax knows of
// them so far. `sum` is this lane's part alone until the last block is done.
struct softmax_rows {
    float max[2], sum[2];
};

__device__ __forceinline__ float quad_max(float value) {
    value = fmaxf(value, __shfl_xor_sync(ALL_LANES, value, 1));
    return fmaxf(value, __shfl_xor_sync(ALL_LANES, value, 2));
}

__device__ __forceinline__ float quad_sum(float value) {
    value += __shfl_xor_sync(ALL_LANES, value, 1);
    return value + __shfl_xor_sync(ALL_LANES, value, 2);
}

// Turns scores into 2^(score - max) and returns by what earlier blocks' results must be multiplied.
template <int n_tiles>
__device__ __forceinline__ void exponentiate(float (&scores)[n_tiles][4], softmax_rows &rows,
                                             float (&correction)[2]) {
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float max = rows.max[r];
#pragma unroll
        for (int j = 0; j < n_tiles; j++)
            max = fmaxf(max, fmaxf(scores[j][2 * r], scores[j][2 * r + 1]));
        max = quad_max(max);
        correction[r] = exp2f(rows.max[r] - max);
        rows.max[r] = max;
        rows.sum[r] *= correction[r];
#pragma unroll
        for (int j = 0; j < n_tiles; j++) {
#pragma unroll
            for (int i = 2 * r; i < 2 * r + 2; i++) {
                scores[j][i] = exp2f(scores[j][i] - max);
                rows.sum[r] += scores[j][i];
            }
        }
    }
}

// context += probabilities V for the block of keys that begins at `first_key`.
template <typename T, int D, int key_tiles, bool may_skip>
__device__ __forceinline__ void gather_values(const float (&probabilities)[2 * key_tiles][4],
                                              head_rows<T> values, int first_key,
                                              float (&context)[D / 8][4]) {
    enum { E = D / 8 };
    const int g = row_of_lane(), t = column_of_lane();
#pragma unroll
    for (int u = 0; u < key_tiles; u++) {
        const int key = first_key + TILE * u;
        if (may_skip && key >= values.n_rows) break;
        uint32_t a[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float *pair = &probabilities[2 * u + i / 2][i % 2 * 2];
            a[i] = pack2(pair[0], pair[1], T());
        }
        uint32_t row[4][E / 2];  // of keys 2t, 2t + 1, 2t + 8, 2t + 9
#pragma unroll
        for (int i = 0; i < 4; i++)
            load_words(values.row(key + 2 * t + i % 2 + i / 2 * 8) + E * g, row[i]);
#pragma unroll
        for (int j = 0; j < E; j++) {
            const unsigned halves = j % 2 == 0 ? 0x5410 : 0x7632;  // both lower, both upper
            const uint32_t b[2] = {__byte_perm(row[0][j / 2], row[1][j / 2], halves),
                                   __byte_perm(row[2][j / 2], row[3][j / 2], halves)};
            mma_m16n8k16(context[j], a, b, T());
        }
    }
}

// Rows g and g + 8 of the 16 queries, where they are the title's.
template <typename T, int D>
__device__ __forceinline__ void store_context(const float (&context)[D / 8][4],
                                              const softmax_rows &rows, T *first, size_t stride,
                                              int n_rows) {
    enum { E = D / 8 };
    const int g = row_of_lane(), t = column_of_lane();
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const float inverse = __fdividef(1.0f, quad_sum(rows.sum[r]));  // 1 <= sum
        if (g + 8 * r >= n_rows) continue;
        T *to = first + stride * (size_t)(g + 8 * r) + 2 * E * t;
#pragma unroll
        for (int i = 0; i < 2 * E; i += GROUP) {
            float group[GROUP];
#pragma unroll
            for (int j = 0; j < GROUP; j++)
                group[j] = context[(i + j) % E][2 * r + (i + j) / E] * inverse;
            store_group(to + i, group);
        }
    }
}

// How a variant takes keys. ALL: every tile at once, so that all loads are under way together; a
// title of its bucket fills all but the last. SOME: at once as well, but for tiles that the title
// does not reach; with many tiles it saves registers, too. BLOCKS: one after the other, for titles
// of any length.
enum key_plan { ALL, SOME, BLOCKS };

// One head of 16 queries from `first_query` on.
template <typename T, int D, int key_tiles, int plan>
__device__ __forceinline__ void attend(const struct kernel_attention &args,
                                       const attention_item &item, int head, int first_query) {
    const int hidden_size = args.n_heads * D;
    const T *qkv =
        static_cast<const T *>(args.qkv) + (size_t)item.first_row * 3 * hidden_size + head * D;
    const head_rows<T> queries = {qkv, 3 * hidden_size, item.n_keys};
    const head_rows<T> keys = {qkv + hidden_size, queries.stride, item.n_keys};
    const head_rows<T> values = {qkv + 2 * hidden_size, queries.stride, item.n_keys};
    const int g = row_of_lane();
    uint32_t query[2][D / 32][4];
    load_operand<T, D>(queries.row(first_query + g), query[0]);
    load_operand<T, D>(queries.row(first_query + g + 8), query[1]);

    const float scale = args.scale * 1.4426950408889634f;  // log2(e)
    softmax_rows rows = {{-INFINITY, -INFINITY}, {0, 0}};
    float context[D / 8][4] = {};
    for (int first_key = 0; first_key < item.n_keys; first_key += TILE * key_tiles) {
        float scores[2 * key_tiles][4], correction[2];
        score<T, D, key_tiles, plan != ALL>(query, keys, first_key, scale, scores);
        exponentiate(scores, rows, correction);
        if (plan == BLOCKS) {
#pragma unroll
            for (int j = 0; j < D / 8; j++) {
#pragma unroll
                for (int i = 0; i < 4; i++) context[j][i] *= correction[i / 2];
            }
        }
        gather_values<T, D, key_tiles, plan != ALL>(scores, values, first_key, context);
        if (plan != BLOCKS) break;
    }
    T *to = static_cast<T *>(args.context) + (size_t)(item.first_row + first_query) * hidden_size +
            head * D;
    store_context<T, D>(context, rows, to, (size_t)hidden_size, item.n_keys - first_query);
}

#endif
