// SPDX-License-Identifier: Apache-2.0
//
// What a BERT encoder does on a CPU besides matrix products. The sources kernels*.c are compiled
// once for each instruction set that CMakeLists.txt lists; the best one that the processor has is
// taken at run time (kernels_choose.c).
//
// All of it works on one row or one title at a time, in an order that depends on the shapes alone:
// the same input gives the same bits in every batch and on every thread. Sums and statistics are
// fp32, each in KERNELS_LANES partial sums folded in a fixed order. Any number of threads may use
// one set at the same time; arrays need no alignment beyond that of their elements.
#ifndef WADER_HOST_ENCODER_KERNELS_H
#define WADER_HOST_ENCODER_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "weights/model.h"

enum { KERNELS_LANES = 16, KERNELS_SETS_MAX = 3 };

// The form in which products take their rows ("operands"), and what they give ("results"):
//   OPERAND_F32   float; results are float, biases added
//   OPERAND_BF16  bfloat16, rounded to nearest even; results are float, biases added
//   OPERAND_U8    a byte b for each value, which stands for least + step * b; results are int32_t
//                 sums of bytes times int8_t weights
enum operand { OPERAND_F32, OPERAND_BF16, OPERAND_U8, N_OPERANDS };

size_t operand_size(enum operand operand);  // bytes of one element

// Of one row of OPERAND_U8: least is the row's smallest value, step 1/255 of the way to its
// largest. A row with an infinity or NaN in it has NaN for a step, and so has all that is made of
// it.
struct row_scale {
    float step, least;
};

// Of the columns of an int8 weight matrix: with W[o, i] = scales[o] * q[o, i], and totals[o] the
// sum over i of W[o, i], a result is
//   y[o] = step * (scales[o] * sum[o]) + (least * totals[o] + biases[o])
struct channels {
    const float *scales, *totals, *biases;
};

// LayerNorm of a product's result and a residual:
//   out[H] = (x - mean) / sqrt(variance + eps) * weight + bias, where x = result + residual and the
// variance is the biased one. `out` may be `residual` or `result`.
struct norm_row {
    const void *result;  // [H]
    struct row_scale result_scale;
    struct channels channels;
    const float *residual, *weight, *bias;  // [H]
    float eps;
    int32_t hidden_size;
    float *out;
    void *operand;  // `out` once more, as an operand; OPERAND_F32 has none
    struct row_scale *operand_scale;
};

// GELU of a product's result, as an operand. In OPERAND_F32 the operand may be the result. In
// OPERAND_U8 the result is overwritten, and the row is a whole one; else it may be any part.
struct gelu_row {
    void *result;  // [n]
    struct row_scale result_scale;
    struct channels channels;
    int32_t n;
    enum gelu_form form;
    void *operand;  // [n]
    struct row_scale *operand_scale;
};

// Rows of a product's results, from some column on: row j begins at rows + j * stride, counted in
// elements.
struct result_rows {
    const void *rows;
    size_t stride;
    const struct row_scale *scales;  // of each row
    struct channels channels;        // of the columns from there on
};

// One head's view of one title.
struct attention_head {
    struct result_rows query, key, value;
    float *out;
    size_t out_stride;
    int32_t n_queries;  // rows of query and out: all of the title's, or the first one
    int32_t n_keys;     // tokens of the title
    int32_t head_size;
    float scale;     // 1 / sqrt(head_size)
    float *scratch;  // [attention_scratch_len(n_keys, head_size)]
};

struct kernels {
    const char *name;  // of the instruction set
    struct {
        void (*add_layer_norm)(const struct norm_row *row);

        // Error below 3e-7 of max(1, |x|) in OPERAND_F32, else below 1e-4 before the rounding.
        void (*gelu)(const struct gelu_row *row);

        // out[i] = sum_j softmax_j(scale * query_i . key_j) value_j
        void (*attention)(const struct attention_head *head);

        // x[n] as an operand; NULL in OPERAND_F32, where it is one.
        void (*make_operand)(const float *x, int32_t n, void *operand, struct row_scale *scale);
    } of[N_OPERANDS];
};

// The best set for this processor.
const struct kernels *kernels_choose(void);

// The set for any processor.
const struct kernels *kernels_plain(void);

// Every set that this processor can run, best first, for tests. Returns how many.
int kernels_list(const struct kernels *sets[KERNELS_SETS_MAX]);

enum { ATTENTION_QUERIES = 8 };  // the most that go together in any set

// Floats of scratch that attention needs: the transposed keys and some rows of scores, each padded
// to whole vectors, and the numbers behind an int8 product's sums.
size_t attention_scratch_len(int32_t n_keys, int32_t head_size);

#endif
