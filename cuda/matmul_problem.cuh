// SPDX-License-Identifier: Apache-2.0
//
// A product in cublasLt's terms. It counts in column-major matrices, which read the same bytes as
// row-major ones transposed: y [R, out] = x W^T is D (out x R) = A^T B with A = W (in x out) and
// B = x (in x R). Host code only.
#ifndef WADER_CUDA_MATMUL_PROBLEM_CUH
#define WADER_CUDA_MATMUL_PROBLEM_CUH

#include <cstring>

#include "cuda/cublaslt.cuh"
#include "cuda/matmul.h"

// A shape with a number of rows, in the library's terms.
struct problem {
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t weight, x, y;
};

static inline cudaDataType_t data_type(enum dtype dtype) {
    return dtype == DTYPE_F32    ? CUDA_R_32F
           : dtype == DTYPE_F16  ? CUDA_R_16F
           : dtype == DTYPE_BF16 ? CUDA_R_16BF
                                 : CUDA_R_8F_E4M3;
}

static inline const char *type_name(enum dtype dtype) {
    return dtype == DTYPE_F32    ? "fp32"
           : dtype == DTYPE_F16  ? "fp16"
           : dtype == DTYPE_BF16 ? "bf16"
                                 : "e4m3";
}

// PEDANTIC: neither TF32 nor an emulation by bf16, whatever the environment asks for. Of e4m3, fast
// accumulation is off unless asked for: sums keep all that fp32 has.
static inline cublasComputeType_t compute_type(enum dtype dtype) {
    return dtype == DTYPE_F32 ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_32F;
}

template <typename Value>
static inline cublasStatus_t set(const struct cublaslt *lt, cublasLtMatmulDesc_t operation,
                                 cublasLtMatmulDescAttributes_t attribute, Value value) {
    return lt->desc_set(operation, attribute, &value, sizeof value);
}

static inline cublasStatus_t set_epilogue(const struct cublaslt *lt,
                                          const struct matmul_shape *shape,
                                          cublasLtMatmulDesc_t operation) {
    if (shape->epilogue == MATMUL_PLAIN) {
        return set<uint32_t>(lt, operation, CUBLASLT_MATMUL_DESC_EPILOGUE,
                             CUBLASLT_EPILOGUE_DEFAULT);
    }
    cublasStatus_t status = set<uint32_t>(
        lt, operation, CUBLASLT_MATMUL_DESC_EPILOGUE,
        shape->epilogue == MATMUL_BIAS ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_GELU_BIAS);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    status = set<int32_t>(lt, operation, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE,
                          data_type(shape->out_dtype));
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    // Nobody follows this one: the heuristic takes the bias's alignment from it. matmul_run sets
    // the real one.
    return set<const void *>(lt, operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                             (const void *)(uintptr_t)256);
}

static inline void problem_destroy(const struct cublaslt *lt, struct problem *problem) {
    if (problem->operation != NULL) (void)lt->desc_destroy(problem->operation);
    if (problem->weight != NULL) (void)lt->layout_destroy(problem->weight);
    if (problem->x != NULL) (void)lt->layout_destroy(problem->x);
    if (problem->y != NULL) (void)lt->layout_destroy(problem->y);
    memset(problem, 0, sizeof *problem);
}

// `problem` is zeroed before, and destroyed by the caller after a failure too.
static inline cublasStatus_t problem_create(const struct cublaslt *lt,
                                            const struct matmul_shape *shape, int32_t n_rows,
                                            struct problem *problem) {
    const cudaDataType_t in = data_type(shape->dtype), out = data_type(shape->out_dtype);
    const uint64_t n_out = (uint64_t)shape->n_out, n_in = (uint64_t)shape->n_in;
    cublasStatus_t status =
        lt->desc_create(&problem->operation, compute_type(shape->dtype), CUDA_R_32F);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    status = set<int32_t>(lt, problem->operation, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    status = set_epilogue(lt, shape, problem->operation);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    status = lt->layout_create(&problem->weight, in, n_in, n_out, (int64_t)n_in);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    status = lt->layout_create(&problem->x, in, n_in, (uint64_t)n_rows, (int64_t)n_in);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    return lt->layout_create(&problem->y, out, n_out, (uint64_t)n_rows, (int64_t)n_out);
}

#endif
