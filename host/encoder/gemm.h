// SPDX-License-Identifier: Apache-2.0
//
// The matrix products of the CPU encoder, done by oneDNN (2.x or 3.x): Y = X W^T + b, then GELU
// where asked for. The number of rows is fixed when the product is planned. That is what makes a
// row's result independent of the rows around it: the library picks one kernel for the shape, every
// element is one chain of fused multiply-adds over the inner dimension, and batches of any size are
// walked in tiles of exactly that many rows. The number must be a multiple of 16 for that: the
// library's AVX2 kernels take four rows at a time and sum the one to three left over in another
// order.
//
// STATUS_IO when memory does not suffice, STATUS_MODEL when the library cannot do it. gemm_create
// and gemm_stream_create set OpenMP's thread count, where oneDNN brought an OpenMP, to 1 in the
// thread that calls them.
#ifndef WADER_HOST_ENCODER_GEMM_H
#define WADER_HOST_ENCODER_GEMM_H

#include "host/base/base.h"

// oneDNN's engine. One serves all threads.
struct gemm_engine;
enum status gemm_engine_create(struct gemm_engine **out, struct error *error);
void gemm_engine_destroy(struct gemm_engine *engine);  // NULL is fine

enum gemm_epilogue {
    GEMM_BIAS,            // Y = X W^T + b
    GEMM_BIAS_GELU,       // then y = y/2 (1 + erf(y / sqrt 2))
    GEMM_BIAS_GELU_TANH,  // then y = y/2 (1 + tanh(sqrt(2/pi) (y + 0.044715 y^3)))
    GEMM_BIAS_TANH,       // then y = tanh y
};

// The plan of one shape. Immutable: any number of threads may run it at the same time.
struct gemm;
enum status gemm_create(struct gemm_engine *engine, int32_t n_rows, int32_t n_in, int32_t n_out,
                        enum gemm_epilogue epilogue, struct gemm **out, struct error *error);
void gemm_destroy(struct gemm *gemm);  // NULL is fine

// Bytes of scratch that a run needs; 64-byte alignment.
size_t gemm_scratch_nbytes(const struct gemm *gemm);

// A weight matrix in the order the plan likes best, with its bias. Immutable.
struct gemm_weights;
// `weight` is [n_out, n_in] as PyTorch stores it, `bias` is [n_out]; both are copied.
enum status gemm_pack(const struct gemm *gemm, const float *weight, const float *bias,
                      struct gemm_weights **out, struct error *error);
void gemm_weights_destroy(struct gemm_weights *weights);  // NULL is fine

// One thread's way of running plans: a thread makes its own and uses it alone.
struct gemm_stream;
enum status gemm_stream_create(struct gemm_engine *engine, struct gemm_stream **out,
                               struct error *error);
void gemm_stream_destroy(struct gemm_stream *stream);  // NULL is fine

// y[n_rows, n_out] = f(x[n_rows, n_in]); dense rows, no overlap.
enum status gemm_run(const struct gemm *gemm, const struct gemm_weights *weights,
                     struct gemm_stream *stream, const float *x, float *y, void *scratch,
                     struct error *error);

#endif
