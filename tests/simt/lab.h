// SPDX-License-Identifier: Apache-2.0
//
// Small kernels that try what the emulator offers, and what each becomes with one defect in it.
// The kernels without a defect run on a device, too, where they prove the emulator right.
#ifndef WADER_TESTS_SIMT_LAB_H
#define WADER_TESTS_SIMT_LAB_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

// What a kernel works on. Each has its own use for these.
struct lab_args {
    const void *a, *b;
    void *out;
    int n;
};

// X(kernel, defect)
#define LAB_DEFECTS(X)                    \
    X(sum, NO_BARRIER_BEFORE_READ)        \
    X(sum, NO_BARRIER_BEFORE_REUSE)       \
    X(sum, NO_BOUND)                      \
    X(sum, SHARED_ARRAY_TOO_SHORT)        \
    X(sum, SHARED_PARTLY_UNWRITTEN)       \
    X(sum, BARRIER_IN_BRANCH)             \
    X(sum, BARRIER_WARP_WAITS_ELSEWHERE)  \
    X(sum, HALF_MASK)                     \
    X(sum, DIFFERENT_MASKS)               \
    X(sum, LANES_LEFT)                    \
    X(sum, LOOP_STARTS_LATE)              \
    X(sum, ALL_LANES_WRITE)               \
    X(sum, BLOCKS_SHARE_RESULT)           \
    X(sum, RESULT_ADDED_TO)               \
    X(sum, TRAP)                          \
    X(sum, NO_THREADS)                    \
    X(sum, TOO_MANY_THREADS)              \
    X(exchange, NO_SYNCWARP)              \
    X(exchange, NO_SYNCWARP_BEFORE_REUSE) \
    X(exchange, SYNCWARP_OF_HALVES)       \
    X(exchange, ONLY_A_SHUFFLE_BETWEEN)   \
    X(transpose, NO_BARRIER)              \
    X(transpose, DYNAMIC_TOO_SMALL)       \
    X(transpose, DYNAMIC_BEFORE_BEGIN)    \
    X(transpose, DYNAMIC_TOO_LARGE)       \
    X(transpose, HALF_OF_WORDS_WRITTEN)   \
    X(neighbours, SHUFFLE_IN_BRANCH)      \
    X(votes, VOTE_AGAINST_SHUFFLE)        \
    X(count, PLAIN_ADD)                   \
    X(count, PLAIN_READ)                  \
    X(copy, OFF_BY_ONE_WORD)              \
    X(copy, BEFORE_BEGIN)                 \
    X(copy, MISALIGNED)                   \
    X(copy, FREED)                        \
    X(copy, NULL_POINTER)                 \
    X(copy, HOST_POINTER)                 \
    X(copy, WRITES_CONSTANT)              \
    X(copy, OTHER_STACK)                  \
    X(copy, UNWRITTEN_INPUT)              \
    X(bytes, NEIGHBOUR_TOO)               \
    X(bytes, READS_NEIGHBOUR)             \
    X(product, NO_WAIT)                   \
    X(product, WAITS_TOO_SHORT)           \
    X(product, NO_SYNCWARP_AFTER_WAIT)    \
    X(product, NO_SYNCWARP_AFTER_USE)     \
    X(product, COPY_LEFT_OVER)            \
    X(product, NOT_TRANSPOSED)            \
    X(product, OPERANDS_SWAPPED)          \
    X(product, ODD_PITCH)                 \
    X(product, LOADS_FROM_GLOBAL)         \
    X(product, LANE_AWAY)

#define LAB_DEFECT_NAME(kernel, defect) LAB_##defect,
enum lab_defect { LAB_NO_DEFECT, LAB_DEFECTS(LAB_DEFECT_NAME) LAB_DEFECTS_COUNT };
#undef LAB_DEFECT_NAME

// Each launches a kernel and returns the cudaError_t.
//   sum         out[b] (float) = twice the sum of a[n] (float), for LAB_BLOCKS blocks b
//   exchange    out[i] (int) = a[i ^ 1] + a[i ^ 2] for i < LAB_THREADS
//   transpose   out (16-bit, [32, 32]) = a transposed
//   neighbours  out[i] (double) = a[i - 1] + a[i + 1] within each 32, a[i] at their ends, for
//               i < LAB_THREADS
//   votes       out[i] (unsigned) = ballot of a[32 i + lane] > 0 (int), for 32 i < LAB_THREADS
//   count       *out (int) += how many of a[n] (int) are positive
//   copy        out[n] = a[n] + b[0] + {i % 4, 0, 0, 0} (uint4)
//   bytes       out[i] (unsigned char) = a[i] + 1 for i < LAB_BLOCKS * LAB_THREADS
//   product     out (float, [16, 8]) = a (bf16, [16, n]) times b (bf16, [n, 8]); n a multiple of 16
//   formats     out[i] (float, [LAB_THREADS, 4]): sum and product of a[i] and b[i] (float), in fp16
//               (columns 0 and 1) and in bf16 (columns 2 and 3)
int lab_sum(const struct lab_args *args);
int lab_exchange(const struct lab_args *args);
int lab_transpose(const struct lab_args *args);
int lab_neighbours(const struct lab_args *args);
int lab_votes(const struct lab_args *args);
int lab_count(const struct lab_args *args);
int lab_copy(const struct lab_args *args);
int lab_bytes(const struct lab_args *args);
int lab_product(const struct lab_args *args);
int lab_formats(const struct lab_args *args);

// Its kernel with the defect. On the emulator only.
int lab_launch_defect(enum lab_defect defect, const struct lab_args *args);

enum { LAB_BLOCKS = 2, LAB_THREADS = 128 };

#ifdef __cplusplus
}
#endif

#endif
