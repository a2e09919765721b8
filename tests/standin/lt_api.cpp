// SPDX-License-Identifier: Apache-2.0
//
// cublasLt's functions. Each that can fail asks standin_enter first, which fails it when a test
// wants that. The library's major version is in its file name; see lt.h.
#include <cstdlib>
#include <cstring>

#include "tests/standin/lt.h"
#include "tests/standin/standin.h"

// The program finds them though all else in here is hidden.
#pragma GCC visibility push(default)

static cublasStatus_t enter(enum standin_call kind) {
    return (cublasStatus_t)standin_enter(kind);
}

size_t cublasLtGetVersion(void) {
    const char *text = getenv("STANDIN_LT_VERSION");
    return text != NULL ? strtoul(text, NULL, 10) : 130100;
}

// ---- objects

// The library's pointers lead to types of its own, which nobody looks into.
template <typename Pointer>
static cublasStatus_t create(lt_kind kind, Pointer *out, struct lt_object **object) {
    const cublasStatus_t status = enter(STANDIN_CHOOSE);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    *object = lt_object_create(kind);
    *out = reinterpret_cast<Pointer>(*object);
    return CUBLAS_STATUS_SUCCESS;
}

static cublasStatus_t destroy(const void *object, lt_kind kind) {
    lt_object_destroy(object, kind);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *out) {
    struct lt_object *object;
    return create(lt_kind::handle, out, &object);
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    return destroy(handle, lt_kind::handle);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute_type,
                                        cudaDataType_t scale_type) {
    struct lt_object *desc;
    const cublasStatus_t status = create(lt_kind::matmul_desc, out, &desc);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    desc->compute_type = compute_type;
    desc->scale_type = scale_type;
    desc->transa = desc->transb = CUBLAS_OP_N;
    desc->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    desc->bias_type = -1;  // as D
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
    return destroy(desc, lt_kind::matmul_desc);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type,
                                          uint64_t rows, uint64_t columns, int64_t ld) {
    struct lt_object *layout;
    if (rows == 0 || columns == 0 || ld < (int64_t)rows) return CUBLAS_STATUS_INVALID_VALUE;
    const cublasStatus_t status = create(lt_kind::layout, out, &layout);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    layout->type = type;
    layout->rows = rows;
    layout->columns = columns;
    layout->ld = ld;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
    return destroy(layout, lt_kind::layout);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out) {
    struct lt_object *preference;
    const cublasStatus_t status = create(lt_kind::preference, out, &preference);
    if (status == CUBLAS_STATUS_SUCCESS)
        preference->reduction_mask = CUBLASLT_REDUCTION_SCHEME_MASK;
    return status;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
    return destroy(preference, lt_kind::preference);
}

// ---- attributes

template <typename Value>
static cublasStatus_t take(Value *out, const void *value, size_t nbytes) {
    if (value == NULL || nbytes != sizeof *out) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(out, value, sizeof *out);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t matmul_desc,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t nbytes) {
    const cublasStatus_t status = enter(STANDIN_CHOOSE);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    struct lt_object *desc = lt_object_get(matmul_desc, lt_kind::matmul_desc);
    switch (attribute) {
        case CUBLASLT_MATMUL_DESC_TRANSA:
            return take(&desc->transa, value, nbytes);
        case CUBLASLT_MATMUL_DESC_TRANSB:
            return take(&desc->transb, value, nbytes);
        case CUBLASLT_MATMUL_DESC_EPILOGUE:
            return take(&desc->epilogue, value, nbytes);
        case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
            return take(&desc->bias, value, nbytes);
        case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
            return take(&desc->bias_type, value, nbytes);
        default:
            return CUBLAS_STATUS_NOT_SUPPORTED;
    }
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t pref,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, size_t nbytes) {
    const cublasStatus_t status = enter(STANDIN_CHOOSE);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    struct lt_object *preference = lt_object_get(pref, lt_kind::preference);
    switch (attribute) {
        case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
            return take(&preference->workspace_nbytes_max, value, nbytes);
        case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
            return take(&preference->reduction_mask, value, nbytes);
        default:
            return CUBLAS_STATUS_NOT_SUPPORTED;
    }
}

template <typename Value>
static cublasStatus_t give(Value from, void *value, size_t nbytes, size_t *written) {
    if (written != NULL) *written = sizeof from;
    if (nbytes == 0 && written != NULL) return CUBLAS_STATUS_SUCCESS;  // how large it is
    if (value == NULL || nbytes != sizeof from) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(value, &from, sizeof from);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *algorithm,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute,
                                                    void *value, size_t nbytes, size_t *written) {
    const cublasStatus_t status = enter(STANDIN_CHOOSE);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    const struct lt_traits *traits = lt_traits_of(algorithm);
    if (traits == NULL) return CUBLAS_STATUS_INVALID_VALUE;
    switch (attribute) {
        case CUBLASLT_ALGO_CONFIG_ID:
            return give(traits->id, value, nbytes, written);
        case CUBLASLT_ALGO_CONFIG_TILE_ID:
            return give(traits->tile, value, nbytes, written);
        case CUBLASLT_ALGO_CONFIG_SPLITK_NUM:
            return give(traits->n_splits, value, nbytes, written);
        case CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME:
            return give(traits->reduction, value, nbytes, written);
        default:
            return CUBLAS_STATUS_NOT_SUPPORTED;
    }
}

// ---- problems

static bool find_type(int type, lt_type *out) {
    *out = type == CUDA_R_32F    ? lt_type::f32
           : type == CUDA_R_16F  ? lt_type::f16
           : type == CUDA_R_16BF ? lt_type::bf16
                                 : lt_type::e4m3;
    return type == CUDA_R_32F || type == CUDA_R_16F || type == CUDA_R_16BF ||
           type == CUDA_R_8F_E4M3;
}

static bool find_epilogue(const struct lt_object *desc, int out_type, lt_epilogue *out) {
    *out = desc->epilogue == CUBLASLT_EPILOGUE_BIAS        ? lt_epilogue::bias
           : desc->epilogue == CUBLASLT_EPILOGUE_GELU_BIAS ? lt_epilogue::gelu_bias
                                                           : lt_epilogue::plain;
    if (*out == lt_epilogue::plain) return desc->epilogue == CUBLASLT_EPILOGUE_DEFAULT;
    return desc->bias != NULL && (desc->bias_type == -1 || desc->bias_type == out_type);
}

static bool device_has(lt_type type) {
    const char *text = getenv("STANDIN_CC");
    const double needed = type == lt_type::bf16 ? 8 : type == lt_type::e4m3 ? 8.9 : 0;
    return text == NULL || strtod(text, NULL) >= needed;
}

// What the library takes of formats: e4m3 gives bf16 here, and its matrices come in multiples of
// 16, but for the number of rows.
static bool takes_types(lt_type in, lt_type out, lt_epilogue epilogue, uint64_t n_out,
                        uint64_t n_in) {
    if (in != lt_type::e4m3) return out == in || out == lt_type::f32;
    return out == lt_type::bf16 && epilogue == lt_epilogue::plain && n_out % 16 == 0 &&
           n_in % 16 == 0;
}

// D (out x R) = A^T B with A (in x out) and B (in x R), without gaps, sums in fp32.
static cublasStatus_t read_problem(cublasLtMatmulDesc_t matmul_desc,
                                   cublasLtMatrixLayout_t layout_a, cublasLtMatrixLayout_t layout_b,
                                   cublasLtMatrixLayout_t layout_c, cublasLtMatrixLayout_t layout_d,
                                   struct lt_problem *problem) {
    const struct lt_object *desc = lt_object_get(matmul_desc, lt_kind::matmul_desc);
    const struct lt_object *a = lt_object_get(layout_a, lt_kind::layout);
    const struct lt_object *b = lt_object_get(layout_b, lt_kind::layout);
    const struct lt_object *c = lt_object_get(layout_c, lt_kind::layout);
    const struct lt_object *d = lt_object_get(layout_d, lt_kind::layout);
    if (desc->transa != CUBLAS_OP_T || desc->transb != CUBLAS_OP_N) {
        return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    if (a->rows != b->rows || a->columns != d->rows || b->columns != d->columns ||
        c->rows != d->rows || c->columns != d->columns) {
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    for (const struct lt_object *layout : {a, b, c, d}) {
        if ((uint64_t)layout->ld != layout->rows || layout->rows % 8 != 0) {
            return CUBLAS_STATUS_NOT_SUPPORTED;
        }
    }
    if (!find_type(a->type, &problem->in) || !find_type(d->type, &problem->out) ||
        a->type != b->type || c->type != d->type || desc->scale_type != CUDA_R_32F ||
        desc->compute_type !=
            (a->type == CUDA_R_32F ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_32F) ||
        !find_epilogue(desc, d->type, &problem->epilogue) ||
        !takes_types(problem->in, problem->out, problem->epilogue, d->rows, a->rows)) {
        return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    if (!device_has(problem->in)) return CUBLAS_STATUS_ARCH_MISMATCH;
    problem->n_rows = d->columns;
    problem->n_out = d->rows;
    problem->n_in = a->rows;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int n_max,
                                              cublasLtMatmulHeuristicResult_t results[], int *n) {
    struct lt_problem problem;
    cublasStatus_t status = enter(STANDIN_CHOOSE);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    (void)lt_object_get(handle, lt_kind::handle);
    const struct lt_object *wanted = lt_object_get(preference, lt_kind::preference);
    status = read_problem(desc, a, b, c, d, &problem);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    if (n_max <= 0) return CUBLAS_STATUS_INVALID_VALUE;
    *n = lt_offer(&problem, wanted->workspace_nbytes_max, n_max, results);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t *algorithm,
                                       cublasLtMatmulHeuristicResult_t *result) {
    struct lt_problem problem;
    cublasStatus_t status = enter(STANDIN_CHOOSE);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    (void)lt_object_get(handle, lt_kind::handle);
    status = read_problem(desc, a, b, c, d, &problem);
    return status == CUBLAS_STATUS_SUCCESS ? lt_check(&problem, algorithm, result) : status;
}

// ---- the product

static void check_pointer(const char *name, const void *pointer) {
    if (pointer == NULL || (uintptr_t)pointer % 16 != 0) {
        standin_misuse("cublasLtMatmul: %s is %p: not aligned to 16 bytes", name, pointer);
    }
}

static void check_pointers(const struct lt_product *product) {
    check_pointer("A", product->weight);
    check_pointer("B", product->x);
    check_pointer("D", product->y);
    if (product->epilogue != lt_epilogue::plain) check_pointer("the bias", product->bias);
    if (product->workspace_nbytes > 0) check_pointer("the workspace", product->workspace);
}

static void add_range(struct standin_range *ranges, int *n, const void *begin, size_t nbytes) {
    if (nbytes > 0) ranges[(*n)++] = {begin, nbytes};
}

static cublasStatus_t enqueue(const struct lt_product *product, cudaStream_t stream) {
    const size_t in_nbytes = lt_type_nbytes(product->in), out_nbytes = lt_type_nbytes(product->out);
    struct standin_operation operation;
    memset(&operation, 0, sizeof operation);
    operation.kind = STANDIN_PRODUCT;
    operation.name = "cublasLtMatmul";
    operation.run = lt_product_run;
    operation.closure = product;
    operation.closure_nbytes = sizeof *product;
    add_range(operation.reads, &operation.n_reads, product->weight,
              product->n_out * product->n_in * in_nbytes);
    add_range(operation.reads, &operation.n_reads, product->x,
              product->n_rows * product->n_in * in_nbytes);
    add_range(operation.reads, &operation.n_reads, product->bias,
              product->epilogue != lt_epilogue::plain ? product->n_out * out_nbytes : 0);
    add_range(operation.writes, &operation.n_writes, product->y,
              product->n_rows * product->n_out * out_nbytes);
    add_range(operation.writes, &operation.n_writes, product->workspace, product->workspace_nbytes);
    const int code = standin_enqueue(&operation, stream);
    return code == 0 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *A, cublasLtMatrixLayout_t layout_a, const void *B,
                              cublasLtMatrixLayout_t layout_b, const void *beta, const void *C,
                              cublasLtMatrixLayout_t layout_c, void *D,
                              cublasLtMatrixLayout_t layout_d,
                              const cublasLtMatmulAlgo_t *algorithm, void *workspace,
                              size_t workspace_nbytes, cudaStream_t stream) {
    struct lt_problem problem;
    cublasLtMatmulHeuristicResult_t result;
    cublasStatus_t status = enter(STANDIN_PRODUCT);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    (void)lt_object_get(handle, lt_kind::handle);
    status = read_problem(desc, layout_a, layout_b, layout_c, layout_d, &problem);
    if (status == CUBLAS_STATUS_SUCCESS) status = lt_check(&problem, algorithm, &result);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    float factors[2];
    memcpy(&factors[0], alpha, sizeof factors[0]);
    memcpy(&factors[1], beta, sizeof factors[1]);
    if (factors[0] != 1 || factors[1] != 0 || C != D) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (result.workspaceSize > workspace_nbytes) {
        standin_misuse("cublasLtMatmul: a workspace of %zu bytes, the algorithm takes %zu",
                       workspace_nbytes, result.workspaceSize);
    }
    struct lt_product product;
    memset(&product, 0, sizeof product);
    product.x = B;
    product.weight = A;
    product.bias = lt_object_get(desc, lt_kind::matmul_desc)->bias;
    product.y = D;
    product.workspace = result.workspaceSize > 0 ? workspace : NULL;
    product.n_rows = problem.n_rows;
    product.n_out = problem.n_out;
    product.n_in = problem.n_in;
    product.workspace_nbytes = result.workspaceSize;
    product.in = problem.in;
    product.out = problem.out;
    product.epilogue = problem.epilogue;
    product.order = lt_traits_of(algorithm)->order;
    check_pointers(&product);
    return enqueue(&product, stream);
}

#pragma GCC visibility pop
