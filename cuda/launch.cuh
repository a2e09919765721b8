// SPDX-License-Identifier: Apache-2.0
//
// What launchers share: the checks of kernels.h's contract and the choice of a template by dtype
// and by groups of a row.
#ifndef WADER_CUDA_LAUNCH_CUH
#define WADER_CUDA_LAUNCH_CUH

#include <stddef.h>
#include <stdint.h>

#include "cuda/kernels.h"
#include "cuda/row.cuh"

enum { JOBS_MAX = 1 << 30 };  // of a launch, so that an int numbers them

// That `pointer` is there and may be read 16 bytes at a time.
static inline bool is_aligned(const void *pointer) {
    return pointer != nullptr && (uintptr_t)pointer % 16 == 0;
}

static inline bool is_dtype(enum dtype dtype) {
    return dtype == DTYPE_F32 || dtype == DTYPE_F16 || dtype == DTYPE_BF16;
}

static inline double element_nbytes(enum dtype dtype) {
    return dtype == DTYPE_F32 ? 4 : 2;
}

static inline bool is_hidden_size(int32_t hidden_size) {
    return hidden_size >= HIDDEN_MIN && hidden_size <= HIDDEN_MAX && hidden_size % 32 == 0;
}

static inline bool is_head_shape(int32_t n_heads, int32_t head_size) {
    return (head_size == 32 || head_size == 64) && n_heads >= 1 &&
           n_heads <= HIDDEN_MAX / head_size && is_hidden_size(n_heads * head_size);
}

// One warp a row.
static inline launch_shape row_shape(const char *name, int32_t n_rows, struct CUstream_st *stream) {
    const unsigned n_blocks = ((unsigned)n_rows + ROW_WARPS - 1) / ROW_WARPS;
    return {name, dim3(n_blocks), dim3(ROW_THREADS), 0, stream};
}

// Calls `run<T, n_groups>(args, stream)` for rows of `hidden_size` elements of `dtype`.
#define RUN_BY_GROUPS(run, T, args, stream)                              \
    switch (((args)->hidden_size + WARP * GROUP - 1) / (WARP * GROUP)) { \
        case 1:                                                          \
            return run<T, 1>(args, stream);                              \
        case 2:                                                          \
            return run<T, 2>(args, stream);                              \
        case 3:                                                          \
            return run<T, 3>(args, stream);                              \
        default:                                                         \
            return run<T, GROUPS_MAX>(args, stream);                     \
    }
#define RUN_BY_DTYPE_AND_GROUPS(run, args, stream)          \
    switch ((args)->dtype) {                                \
        case DTYPE_F32:                                     \
            RUN_BY_GROUPS(run, float, args, stream)         \
        case DTYPE_F16:                                     \
            RUN_BY_GROUPS(run, __half, args, stream)        \
        default:                                            \
            RUN_BY_GROUPS(run, __nv_bfloat16, args, stream) \
    }

#endif
