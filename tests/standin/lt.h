// SPDX-License-Identifier: Apache-2.0
//
// The stand-in for cublasLt: a libcublasLt.so.13 with the functions that cuda/cublaslt.cu looks up.
//
//   lt_api.cpp        the functions, what they refuse
//   lt_objects.cpp    descriptors, layouts, preferences and handles that are alive
//   lt_algorithm.cpp  the algorithms, which are offered for what, and their 64 bytes
//   lt_product.cpp    the products
//
// What the real library would not do it refuses as that one does; what would make that one read or
// write anywhere ends the program (standin_misuse). Products that nothing here asks for (other
// types, layouts with gaps, batches) are not supported.
//
// Environment (read at every call)
//   STANDIN_LT_VERSION=130100  what cublasLtGetVersion says
//   STANDIN_LT_PICKY=1         every other algorithm takes at least 64 rows
//   STANDIN_LT_OFFER=          bad: no algorithm that sums in one piece is offered; workspace: none
//                              of these without workspace; shuffled: others at each call,
//                              which takes 2 ms
//   STANDIN_CC=9.0             of less than 8.0: no bf16; than 8.9: no e4m3
#ifndef WADER_TESTS_STANDIN_LT_H
#define WADER_TESTS_STANDIN_LT_H

#include <cublasLt.h>

#include <cstddef>
#include <cstdint>

#include "tests/standin/lt_product.h"

// ---- lt_objects.cpp

enum class lt_kind { handle, matmul_desc, layout, preference };

struct lt_object {
    lt_kind kind;
    // matmul_desc
    int compute_type, scale_type, transa, transb, bias_type;
    uint32_t epilogue;
    const void *bias;
    // layout, of a column-major matrix
    int type;
    uint64_t rows, columns;
    int64_t ld;
    // preference
    uint64_t workspace_nbytes_max;
    uint32_t reduction_mask;
};

// Zeroed, and counted as alive.
struct lt_object *lt_object_create(lt_kind kind);
void lt_object_destroy(const void *object, lt_kind kind);
// Ends the program unless `object` is alive and of this kind.
struct lt_object *lt_object_get(const void *object, lt_kind kind);

// ---- lt_algorithm.cpp

// One product with so many rows, in the terms of lt_product.h, but for the pointers.
struct lt_problem {
    lt_type in, out;
    lt_epilogue epilogue;
    uint64_t n_rows, n_out, n_in;
};

// What an algorithm is to its user.
struct lt_traits {
    int32_t id;
    int32_t n_splits;
    uint32_t reduction;  // a cublasLtReductionScheme_t
    uint32_t tile;
    lt_order order;
    uint64_t row_nbytes;  // of workspace, for each row
    bool is_refused;      // always
};

// NULL for bytes that no function here wrote.
const struct lt_traits *lt_traits_of(const cublasLtMatmulAlgo_t *algorithm);
// INVALID_VALUE for another shape's or foreign bytes. Fills `*result` on success.
cublasStatus_t lt_check(const struct lt_problem *problem, const cublasLtMatmulAlgo_t *algorithm,
                        cublasLtMatmulHeuristicResult_t *result);
// At most `n_max` candidates for `limit` bytes of workspace, the bad ones first. Returns how many.
int lt_offer(const struct lt_problem *problem, uint64_t limit, int n_max,
             cublasLtMatmulHeuristicResult_t *results);

#endif
