// SPDX-License-Identifier: Apache-2.0
//
// Matrix products of a device, by cublasLt: y = epilogue(x W^T + bias), x [R, in], W [out, in], y
// [R, out], all row-major without gaps, sums in fp32 (fp32 operands are never rounded to TF32).
//
// One algorithm a shape. It is chosen for MATMUL_REFERENCE_ROWS rows, whatever R is, and used for
// every R: so the sum of an output element runs in one order, and neither the batch size nor a
// row's place or neighbours can change its bits. Algorithms that split the sum between blocks are
// never taken. The choice is kept on disk (algorithm_cache.h).
//
// Codes are those of runtime.h; a cublasStatus_t is MATMUL_CODE + its value.
#ifndef WADER_CUDA_MATMUL_H
#define WADER_CUDA_MATMUL_H

#include "cuda/device.h"
#include "cuda/runtime.h"
#include "host/base/base.h"
#include "weights/model.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { MATMUL_REFERENCE_ROWS = 16384, MATMUL_WORKSPACE_NBYTES = 32 << 20, MATMUL_CODE = 100000 };

enum matmul_epilogue {
    MATMUL_PLAIN,
    MATMUL_BIAS,       // + bias
    MATMUL_BIAS_GELU,  // gelu(+ bias), the tanh form
};

struct matmul_shape {
    int32_t n_out, n_in;   // multiples of 8, with DTYPE_E4M3 of 16
    enum dtype dtype;      // of x and W; e4m3 is multiplied as it is, without scales
    enum dtype out_dtype;  // of y and bias: dtype, or DTYPE_F32 with MATMUL_PLAIN; with DTYPE_E4M3
                           // DTYPE_BF16 and MATMUL_PLAIN
    enum matmul_epilogue epilogue;
};

// cublasLt, and the choices for devices of one kind: they are kept on disk for each kind of GPU,
// driver and library version. `device` is any of them. Contexts of several devices share them, in
// threads of their own: the first that settles on an algorithm for a shape does so for all,
// whatever is on disk; at most ALGORITHMS_MAX shapes. STATUS_MODEL, with what to install and how to
// say where it is, when the library is not found, is too old or lacks a function.
struct matmul_choices;
enum status matmul_choices_open(const struct cuda_device *device, struct matmul_choices **out,
                                struct error *error);
// Writes new choices to disk; that they cannot be written is no fault. Any thread, at any time.
void matmul_choices_keep(struct matmul_choices *choices);
void matmul_choices_close(struct matmul_choices *choices);  // NULL is fine; no context may be open

// The library on one device, which the thread uses from here on. Where it fails with STATUS_MODEL,
// `*code` is 0 when the library cannot serve, else the device's failure.
//
// `workspace`, MATMUL_WORKSPACE_NBYTES of device memory, must outlive the context; it may be NULL
// until the first matmul_run. All products of a context write to it, so whoever runs two of them
// keeps them in order, by one stream or by events.
struct matmul_context;
enum status matmul_open(const struct cuda_device *device, struct matmul_choices *choices,
                        struct matmul_context **out, int *code, struct error *error);
void matmul_close(struct matmul_context *context);  // NULL is fine; no product of it may be left
void matmul_set_workspace(struct matmul_context *context, void *workspace);

// A product of `n_rows` rows, made on the device that the thread uses: the context's. Where it
// fails with STATUS_MODEL, `*code` is 0 when the library has no algorithm that serves, or does not
// take the chosen one for so many rows, else the device's failure.
struct matmul;
enum status matmul_create(struct matmul_context *context, const struct matmul_shape *shape,
                          int32_t n_rows, struct matmul **out, int *code, struct error *error);
void matmul_destroy(struct matmul *matmul);  // NULL is fine

// Enqueues it. Pointers are device memory aligned to 256 bytes; `bias` is NULL with MATMUL_PLAIN.
// One thread at a time for all products of a context.
int matmul_run(struct matmul *matmul, const void *x, const void *weight, const void *bias, void *y,
               struct CUstream_st *stream);

#ifdef __cplusplus
}
#endif

#endif
