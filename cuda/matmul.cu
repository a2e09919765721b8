// SPDX-License-Identifier: Apache-2.0
//
// cublasLt counts in column-major matrices, which read the same bytes as row-major ones transposed:
// y [R, out] = x W^T is D (out x R) = A^T B with A = W (in x out) and B = x (in x R).
#include "cuda/matmul.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cuda/algorithm_cache.h"
#include "cuda/cublaslt.cuh"

static_assert(sizeof(cublasLtMatmulAlgo_t) == ALGORITHM_WORDS * sizeof(uint64_t),
              "the cache keeps an algorithm whole");

struct matmul_context {
    struct cublaslt lt;
    cublasLtHandle_t handle;
    void *workspace;
    struct algorithm_cache cache;
};

// A shape with a number of rows, in the library's terms.
struct problem {
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t weight, x, y;
};

struct matmul {
    struct matmul_context *context;
    struct problem problem;
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace_nbytes;  // that the algorithm takes
    bool has_bias;
};

static enum status failed(int status, const char *what, struct error *error) {
    char name[128];
    return error_set(error, STATUS_MODEL, "%s: %s", what,
                     gpu_code_name(MATMUL_CODE + status, name));
}

// ---- problems

static cudaDataType_t data_type(enum dtype dtype) {
    return dtype == DTYPE_F32 ? CUDA_R_32F : dtype == DTYPE_F16 ? CUDA_R_16F : CUDA_R_16BF;
}

static const char *type_name(enum dtype dtype) {
    return dtype == DTYPE_F32 ? "fp32" : dtype == DTYPE_F16 ? "fp16" : "bf16";
}

// PEDANTIC: neither TF32 nor an emulation by bf16, whatever the environment asks for.
static cublasComputeType_t compute_type(enum dtype dtype) {
    return dtype == DTYPE_F32 ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_32F;
}

template <typename Value>
static cublasStatus_t set(const struct cublaslt *lt, cublasLtMatmulDesc_t operation,
                          cublasLtMatmulDescAttributes_t attribute, Value value) {
    return lt->desc_set(operation, attribute, &value, sizeof value);
}

static cublasStatus_t set_epilogue(const struct cublaslt *lt, const struct matmul_shape *shape,
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

static void problem_destroy(const struct cublaslt *lt, struct problem *problem) {
    if (problem->operation != NULL) (void)lt->desc_destroy(problem->operation);
    if (problem->weight != NULL) (void)lt->layout_destroy(problem->weight);
    if (problem->x != NULL) (void)lt->layout_destroy(problem->x);
    if (problem->y != NULL) (void)lt->layout_destroy(problem->y);
    memset(problem, 0, sizeof *problem);
}

// `problem` is zeroed before, and destroyed by the caller after a failure too.
static cublasStatus_t problem_create(const struct cublaslt *lt, const struct matmul_shape *shape,
                                     int32_t n_rows, struct problem *problem) {
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

// ---- algorithms

// Whether one block sums an output element from its first term to its last.
static bool sums_in_one_piece(const struct cublaslt *lt, const cublasLtMatmulAlgo_t *algorithm) {
    int32_t n_splits = 0;
    uint32_t scheme = 0;
    size_t written = 0;
    return lt->algo_get(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &n_splits, sizeof n_splits,
                        &written) == CUBLAS_STATUS_SUCCESS &&
           lt->algo_get(algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &scheme, sizeof scheme,
                        &written) == CUBLAS_STATUS_SUCCESS &&
           n_splits <= 1 && scheme == CUBLASLT_REDUCTION_SCHEME_NONE;
}

// Whether the library takes `algorithm` for `problem` with at most `limit` bytes of workspace,
// which
// `*workspace_nbytes` then tells.
static bool is_accepted(const struct matmul_context *context, const struct problem *problem,
                        const cublasLtMatmulAlgo_t *algorithm, size_t limit,
                        size_t *workspace_nbytes) {
    cublasLtMatmulHeuristicResult_t result;
    memset(&result, 0, sizeof result);
    if (context->lt.algo_check(context->handle, problem->operation, problem->weight, problem->x,
                               problem->y, problem->y, algorithm,
                               &result) != CUBLAS_STATUS_SUCCESS ||
        result.workspaceSize > limit) {
        return false;
    }
    *workspace_nbytes = result.workspaceSize;
    return true;
}

// Makes `algorithm` the one of `matmul` if it serves for the reference rows. Its own rows have no
// say: another number of them would get another algorithm, and other bits.
static bool take_algorithm(struct matmul *matmul, const struct problem *reference,
                           const cublasLtMatmulAlgo_t *algorithm, size_t limit) {
    const struct matmul_context *context = matmul->context;
    size_t workspace_nbytes;
    if (!sums_in_one_piece(&context->lt, algorithm) ||
        !is_accepted(context, reference, algorithm, limit, &workspace_nbytes)) {
        return false;
    }
    matmul->algorithm = *algorithm;
    return true;
}

static cublasStatus_t ask(const struct matmul_context *context, const struct problem *reference,
                          uint64_t limit, int n_max, cublasLtMatmulHeuristicResult_t *candidates,
                          int *n_candidates) {
    const struct cublaslt *lt = &context->lt;
    const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_NONE;
    cublasLtMatmulPreference_t preference = NULL;
    *n_candidates = 0;
    cublasStatus_t status = lt->preference_create(&preference);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    status = lt->preference_set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &limit,
                                sizeof limit);
    if (status == CUBLAS_STATUS_SUCCESS) {
        status = lt->preference_set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                    &schemes, sizeof schemes);
    }
    if (status == CUBLAS_STATUS_SUCCESS) {
        status = lt->get_heuristic(context->handle, reference->operation, reference->weight,
                                   reference->x, reference->y, reference->y, preference, n_max,
                                   candidates, n_candidates);
    }
    (void)lt->preference_destroy(preference);
    if (status != CUBLAS_STATUS_SUCCESS) *n_candidates = 0;
    return status;
}

// The first candidate of the heuristic that serves. NOT_SUPPORTED when none does.
static cublasStatus_t choose(struct matmul *matmul, const struct problem *reference, size_t limit) {
    enum { CANDIDATES_MAX = 64 };
    cublasLtMatmulHeuristicResult_t candidates[CANDIDATES_MAX];
    memset(candidates, 0, sizeof candidates);
    int n = 0;
    const cublasStatus_t status =
        ask(matmul->context, reference, limit, CANDIDATES_MAX, candidates, &n);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    for (int i = 0; i < n; i++) {
        if (candidates[i].state == CUBLAS_STATUS_SUCCESS &&
            take_algorithm(matmul, reference, &candidates[i].algo, limit)) {
            return CUBLAS_STATUS_SUCCESS;
        }
    }
    return CUBLAS_STATUS_NOT_SUPPORTED;
}

// Rather an algorithm without workspace: what it computes cannot hang on what is in there.
static cublasStatus_t find_algorithm(struct matmul *matmul, const struct matmul_shape *shape,
                                     const struct problem *reference) {
    struct algorithm_cache *cache = &matmul->context->cache;
    cublasLtMatmulAlgo_t algorithm;
    const uint64_t *words = algorithm_cache_find(cache, shape);
    if (words != NULL) {
        memcpy(&algorithm, words, sizeof algorithm);
        if (take_algorithm(matmul, reference, &algorithm, MATMUL_WORKSPACE_NBYTES)) {
            return CUBLAS_STATUS_SUCCESS;
        }
    }
    cublasStatus_t status = choose(matmul, reference, 0);
    if (status != CUBLAS_STATUS_SUCCESS) {
        status = choose(matmul, reference, MATMUL_WORKSPACE_NBYTES);
    }
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    uint64_t chosen[ALGORITHM_WORDS];
    memcpy(chosen, &matmul->algorithm, sizeof chosen);
    algorithm_cache_put(cache, shape, chosen);
    return CUBLAS_STATUS_SUCCESS;
}

// ---- the contract of matmul.h

extern "C" enum status matmul_open(const struct cuda_device *device, struct matmul_context **out,
                                   struct error *error) {
    *out = NULL;
    struct matmul_context *context = (struct matmul_context *)calloc(1, sizeof *context);
    if (context == NULL) return error_set(error, STATUS_IO, "out of memory for cublasLt");
    enum status status = cublaslt_open(&context->lt, error);
    if (status == STATUS_OK) {
        char name[128];
        const int code = gpu_use(device->index);
        if (code != 0) {
            status = error_set(error, STATUS_MODEL, "CUDA device %d (%s) cannot be used: %s",
                               (int)device->index, device->name, gpu_code_name(code, name));
        }
    }
    if (status == STATUS_OK) {
        const cublasStatus_t created = context->lt.create(&context->handle);
        if (created != CUBLAS_STATUS_SUCCESS) {
            context->handle = NULL;
            status = failed(created, "cublasLt cannot be started", error);
        }
    }
    if (status != STATUS_OK) {
        matmul_close(context);
        return status;
    }
    struct cuda_devices devices;
    cuda_devices_find(&devices);
    char kind[sizeof context->cache.kind];
    snprintf(kind, sizeof kind, "%s, sm_%d%d, %d multiprocessors, driver %d, cublasLt %zu",
             device->name, (int)device->major, (int)device->minor, (int)device->n_multiprocessors,
             (int)devices.driver_version, context->lt.version);
    algorithm_cache_read(kind, &context->cache);
    *out = context;
    return STATUS_OK;
}

extern "C" void matmul_close(struct matmul_context *context) {
    if (context == NULL) return;
    if (context->handle != NULL) (void)context->lt.destroy(context->handle);
    cublaslt_close(&context->lt);
    free(context);
}

extern "C" void matmul_set_workspace(struct matmul_context *context, void *workspace) {
    context->workspace = workspace;
}

extern "C" void matmul_keep_choices(const struct matmul_context *context) {
    (void)algorithm_cache_write(&context->cache);
}

extern "C" enum status matmul_create(struct matmul_context *context,
                                     const struct matmul_shape *shape, int32_t n_rows,
                                     struct matmul **out, struct error *error) {
    *out = NULL;
    struct matmul *matmul = (struct matmul *)calloc(1, sizeof *matmul);
    if (matmul == NULL) return error_set(error, STATUS_IO, "out of memory for a matrix product");
    matmul->context = context;
    matmul->has_bias = shape->epilogue != MATMUL_PLAIN;
    struct problem reference;
    memset(&reference, 0, sizeof reference);
    cublasStatus_t status = problem_create(&context->lt, shape, n_rows, &matmul->problem);
    if (status == CUBLAS_STATUS_SUCCESS) {
        status = problem_create(&context->lt, shape, MATMUL_REFERENCE_ROWS, &reference);
    }
    if (status == CUBLAS_STATUS_SUCCESS) status = find_algorithm(matmul, shape, &reference);
    if (status == CUBLAS_STATUS_SUCCESS &&
        !is_accepted(context, &matmul->problem, &matmul->algorithm, MATMUL_WORKSPACE_NBYTES,
                     &matmul->workspace_nbytes)) {
        status = CUBLAS_STATUS_NOT_SUPPORTED;
    }
    problem_destroy(&context->lt, &reference);
    if (status != CUBLAS_STATUS_SUCCESS) {
        static const char *const epilogues[] = {"", " with bias", " with bias and GELU"};
        char what[256];
        snprintf(what, sizeof what,
                 "cublasLt %zu %s the product of %d rows from %d to %d columns, %s to %s%s",
                 context->lt.version,
                 status == CUBLAS_STATUS_NOT_SUPPORTED
                     ? "has no algorithm that sums in one order for"
                     : "cannot prepare",
                 (int)n_rows, (int)shape->n_in, (int)shape->n_out, type_name(shape->dtype),
                 type_name(shape->out_dtype), epilogues[shape->epilogue]);
        matmul_destroy(matmul);
        return failed(status, what, error);
    }
    *out = matmul;
    return STATUS_OK;
}

extern "C" void matmul_destroy(struct matmul *matmul) {
    if (matmul == NULL) return;
    problem_destroy(&matmul->context->lt, &matmul->problem);
    free(matmul);
}

extern "C" int matmul_run(struct matmul *matmul, const void *x, const void *weight,
                          const void *bias, void *y, struct CUstream_st *stream) {
    const struct matmul_context *context = matmul->context;
    const struct problem *problem = &matmul->problem;
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    if (matmul->has_bias) {
        status = set<const void *>(&context->lt, problem->operation,
                                   CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    }
    if (status == CUBLAS_STATUS_SUCCESS) {
        const float one = 1, zero = 0;
        const bool has_workspace = matmul->workspace_nbytes > 0;
        status =
            context->lt.matmul(context->handle, problem->operation, &one, weight, problem->weight,
                               x, problem->x, &zero, y, problem->y, y, problem->y,
                               &matmul->algorithm, has_workspace ? context->workspace : NULL,
                               has_workspace ? MATMUL_WORKSPACE_NBYTES : 0, stream);
    }
    return status == CUBLAS_STATUS_SUCCESS ? 0 : MATMUL_CODE + (int)status;
}
