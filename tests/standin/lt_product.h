// SPDX-License-Identifier: Apache-2.0
//
// y = epilogue(x W^T + bias) on the CPU, as an operation of the stand-in. Without cublasLt's
// header, which does not go with the emulator's.
#ifndef WADER_TESTS_STANDIN_LT_PRODUCT_H
#define WADER_TESTS_STANDIN_LT_PRODUCT_H

#include <cstddef>
#include <cstdint>

enum class lt_type { f32, f16, bf16, e4m3 };
enum class lt_epilogue { plain, bias, gelu_bias };

// In what order the terms of a sum are added, in fp32, each product and each sum rounded.
enum class lt_order {
    forward,
    backward,
    interleaved,  // every fourth, the four sums by pairs
    blocks,       // 32 at a time, then the sums of these
    wide_blocks,  // 96 at a time
    by_rows,      // in as many pieces as the number of rows decides: other batches, other bits
};

// x [R, in], W [out, in], y [R, out], row-major without gaps; out is a multiple of 8.
struct lt_product {
    const void *x, *weight, *bias;
    void *y, *workspace;  // spoiled when the product has run
    uint64_t n_rows, n_out, n_in, workspace_nbytes;
    lt_type in, out;  // bias: as y; e4m3 is only in
    lt_epilogue epilogue;
    lt_order order;
};

size_t lt_type_nbytes(lt_type type);
void lt_product_run(const void *product);  // a struct lt_product

#endif
