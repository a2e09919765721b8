// SPDX-License-Identifier: Apache-2.0
//
// The matrix products of the CPU encoder, done by oneDNN (2.x or 3.x): Y = X W^T, in one of three
// number formats. The number of rows is fixed when the product is planned. That is what makes a
// row's result independent of the rows around it: the library picks one kernel for the shape, every
// element is one chain of fused multiply-adds over the inner dimension, and batches of any size are
// walked in tiles of exactly that many rows. The number must be a multiple of 16 for that: the
// library's AVX2 kernels take four rows at a time and sum the one to three left over in another
// order.
//
// STATUS_IO when memory does not suffice, STATUS_MODEL when the library or the processor cannot do
// it. gemm_create and gemm_stream_create set OpenMP's thread count, where oneDNN brought an OpenMP,
// to 1 in the thread that calls them.
#ifndef WADER_HOST_ENCODER_GEMM_H
#define WADER_HOST_ENCODER_GEMM_H

#include "host/base/base.h"

// What a product takes and gives. Sums are fp32, and exact in GEMM_INT8.
enum gemm_type {
    GEMM_FP32,  // float X and W; Y = X W^T + b, float
    GEMM_BF16,  // bfloat16 X and W, as uint16_t; Y = X W^T + b, float
    GEMM_INT8,  // uint8_t X, int8_t W; Y = X W^T, int32_t: no bias
};

// STATUS_MODEL, with what is missing, unless the processor has instructions for products of this
// type and the library uses them. Without them bf16 would be emulated, and sums of int8 products
// could saturate on the way.
enum status gemm_type_check(enum gemm_type type, struct error *error);

// oneDNN's engine. One serves all threads.
struct gemm_engine;
enum status gemm_engine_create(struct gemm_engine **out, struct error *error);
void gemm_engine_destroy(struct gemm_engine *engine);  // NULL is fine

struct gemm_shape {
    enum gemm_type type;
    int32_t n_rows, n_in, n_out;
    bool tanh;  // of every element, after the bias; GEMM_FP32 only
};

// The plan of one shape. Immutable: any number of threads may run it at the same time.
struct gemm;
enum status gemm_create(struct gemm_engine *engine, const struct gemm_shape *shape,
                        struct gemm **out, struct error *error);
void gemm_destroy(struct gemm *gemm);  // NULL is fine

// Bytes of scratch that a run needs; 64-byte alignment.
size_t gemm_scratch_nbytes(const struct gemm *gemm);

// A weight matrix in the order the plan likes best, with its bias. Immutable.
struct gemm_weights;
// `weight` is [n_out, n_in] as PyTorch stores it, in the plan's type; `bias` is [n_out], NULL for
// GEMM_INT8. Both are copied.
enum status gemm_pack(const struct gemm *gemm, const void *weight, const float *bias,
                      struct gemm_weights **out, struct error *error);
void gemm_weights_destroy(struct gemm_weights *weights);  // NULL is fine

// One thread's way of running plans: a thread makes its own and uses it alone.
struct gemm_stream;
enum status gemm_stream_create(struct gemm_engine *engine, struct gemm_stream **out,
                               struct error *error);
void gemm_stream_destroy(struct gemm_stream *stream);  // NULL is fine

// y[n_rows, n_out] = f(x[n_rows, n_in]); dense rows, no overlap.
enum status gemm_run(const struct gemm *gemm, const struct gemm_weights *weights,
                     struct gemm_stream *stream, const void *x, void *y, void *scratch,
                     struct error *error);

// The library and its version, "oneDNN 2.6.0". Returns `text`.
enum { GEMM_LIBRARY_NBYTES = 48 };
const char *gemm_library(char text[GEMM_LIBRARY_NBYTES]);

#endif
