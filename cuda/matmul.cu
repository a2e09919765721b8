// SPDX-License-Identifier: Apache-2.0
#include "cuda/matmul.h"

#include <cuda_runtime_api.h>
#include <pthread.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cuda/algorithm_cache.h"
#include "cuda/cublaslt.cuh"
#include "cuda/matmul_problem.cuh"

static_assert(sizeof(cublasLtMatmulAlgo_t) == ALGORITHM_WORDS * sizeof(uint64_t),
              "the cache keeps an algorithm whole");

// The mutex guards both caches. It is never held over a call of the library: one that does not come
// back holds up its own thread and no other.
struct matmul_choices {
    struct cublaslt lt;
    pthread_mutex_t mutex;
    struct algorithm_cache kept;     // as on disk, with what was chosen since
    struct algorithm_cache settled;  // what some context uses already, so that all must use it
};

struct matmul_context {
    struct matmul_choices *choices;
    const struct cublaslt *lt;  // that of the choices
    cublasLtHandle_t handle;
    void *workspace;
};

struct matmul {
    struct matmul_context *context;
    struct problem problem;
    cublasLtMatmulAlgo_t algorithm;
    size_t workspace_nbytes;  // that the algorithm takes
    bool has_bias;
};

// Whether the library says that it cannot do what was asked; anything else is a fault of the device
// or of ours.
static bool is_refusal(cublasStatus_t status) {
    return status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_ARCH_MISMATCH;
}

static enum status failed(cublasStatus_t status, const char *what, int *code, struct error *error) {
    char name[128];
    *code = is_refusal(status) ? 0 : MATMUL_CODE + (int)status;
    return error_set(error, STATUS_MODEL, "%s: %s", what,
                     gpu_code_name(MATMUL_CODE + (int)status, name));
}

// ---- algorithms

// NOT_SUPPORTED unless one block sums an output element from its first term to its last. The number
// of splits is 1, or 0 where an algorithm knows of none; the library marks stream-K by -2, whose
// cuts hang on the number of rows.
static cublasStatus_t check_sum(const struct cublaslt *lt, const cublasLtMatmulAlgo_t *algorithm) {
    int32_t n_splits = 0;
    uint32_t scheme = 0;
    size_t written = 0;
    cublasStatus_t status = lt->algo_get(algorithm, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &n_splits,
                                         sizeof n_splits, &written);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    status = lt->algo_get(algorithm, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &scheme, sizeof scheme,
                          &written);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    const bool is_whole = n_splits == 0 || n_splits == 1;
    return is_whole && scheme == CUBLASLT_REDUCTION_SCHEME_NONE ? CUBLAS_STATUS_SUCCESS
                                                                : CUBLAS_STATUS_NOT_SUPPORTED;
}

// Whether the library takes `algorithm` for `problem` with at most `limit` bytes of workspace,
// which `*workspace_nbytes` then tells. NOT_SUPPORTED when it does not; bytes that are no algorithm
// of its own are INVALID_VALUE to it.
static cublasStatus_t check_algorithm(const struct matmul_context *context,
                                      const struct problem *problem,
                                      const cublasLtMatmulAlgo_t *algorithm, size_t limit,
                                      size_t *workspace_nbytes) {
    cublasLtMatmulHeuristicResult_t result;
    memset(&result, 0, sizeof result);
    cublasStatus_t status = check_sum(context->lt, algorithm);
    if (status == CUBLAS_STATUS_SUCCESS) {
        status = context->lt->algo_check(context->handle, problem->operation, problem->weight,
                                         problem->x, problem->y, problem->y, algorithm, &result);
    }
    if (is_refusal(status) || status == CUBLAS_STATUS_INVALID_VALUE ||
        (status == CUBLAS_STATUS_SUCCESS && result.workspaceSize > limit)) {
        return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    *workspace_nbytes = result.workspaceSize;
    return status;
}

// Whether it takes `algorithm` for a few rows and for many: what is chosen serves every batch, and
// what is chosen cannot hang on a batch's own rows.
static cublasStatus_t check_everywhere(const struct matmul_context *context,
                                       const struct matmul_shape *shape,
                                       const cublasLtMatmulAlgo_t *algorithm, size_t limit) {
    static const int32_t n_rows[] = {16, 128, 2048, MATMUL_REFERENCE_ROWS, 131072};
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    for (size_t i = 0; i < ARRAY_LEN(n_rows) && status == CUBLAS_STATUS_SUCCESS; i++) {
        struct problem problem;
        size_t workspace_nbytes;
        memset(&problem, 0, sizeof problem);
        status = problem_create(context->lt, shape, n_rows[i], &problem);
        if (status == CUBLAS_STATUS_SUCCESS) {
            status = check_algorithm(context, &problem, algorithm, limit, &workspace_nbytes);
        }
        problem_destroy(context->lt, &problem);
    }
    return status;
}

static cublasStatus_t ask(const struct matmul_context *context, const struct problem *reference,
                          uint64_t limit, int n_max, cublasLtMatmulHeuristicResult_t *candidates,
                          int *n_candidates) {
    const struct cublaslt *lt = context->lt;
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
static cublasStatus_t choose(const struct matmul_context *context, const struct matmul_shape *shape,
                             const struct problem *reference, size_t limit,
                             cublasLtMatmulAlgo_t *out) {
    enum { CANDIDATES_MAX = 64 };
    cublasLtMatmulHeuristicResult_t candidates[CANDIDATES_MAX];
    memset(candidates, 0, sizeof candidates);
    int n = 0;
    cublasStatus_t status = ask(context, reference, limit, CANDIDATES_MAX, candidates, &n);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    for (int i = 0; i < n; i++) {
        if (candidates[i].state != CUBLAS_STATUS_SUCCESS) continue;
        status = check_everywhere(context, shape, &candidates[i].algo, limit);
        if (status == CUBLAS_STATUS_SUCCESS) *out = candidates[i].algo;
        if (!is_refusal(status)) return status;
    }
    return CUBLAS_STATUS_NOT_SUPPORTED;
}

// The algorithm of `shape` in one of the caches of `choices`; false when it is not there.
static bool look_up(struct matmul_choices *choices, const struct algorithm_cache *cache,
                    const struct matmul_shape *shape, cublasLtMatmulAlgo_t *out) {
    pthread_mutex_lock(&choices->mutex);
    const uint64_t *words = algorithm_cache_find(cache, shape);
    if (words != NULL) memcpy(out, words, sizeof *out);
    pthread_mutex_unlock(&choices->mutex);
    return words != NULL;
}

// Makes `*algorithm` the one of `shape`, or, where another context was first, takes that one's.
// False when there are too many shapes.
static bool settle(struct matmul_choices *choices, const struct matmul_shape *shape,
                   cublasLtMatmulAlgo_t *algorithm) {
    uint64_t mine[ALGORITHM_WORDS];
    memcpy(mine, algorithm, sizeof mine);
    pthread_mutex_lock(&choices->mutex);
    const uint64_t *words = algorithm_cache_find(&choices->settled, shape);
    if (words == NULL) {
        algorithm_cache_put(&choices->settled, shape, mine);
        algorithm_cache_put(&choices->kept, shape, mine);
        words = algorithm_cache_find(&choices->settled, shape);
    }
    if (words != NULL) memcpy(algorithm, words, sizeof *algorithm);
    pthread_mutex_unlock(&choices->mutex);
    return words != NULL;
}

// The algorithm of `shape`: one in use, else the one on disk if it serves for the reference rows,
// else the first that serves, rather without workspace: what it computes cannot hang on what is in
// there. The product's own rows have no say: other rows would get another algorithm, and other
// bits.
static cublasStatus_t find_algorithm(const struct matmul_context *context,
                                     const struct matmul_shape *shape,
                                     const struct problem *reference, cublasLtMatmulAlgo_t *out) {
    struct matmul_choices *choices = context->choices;
    cublasStatus_t status = CUBLAS_STATUS_NOT_SUPPORTED;
    if (look_up(choices, &choices->settled, shape, out)) return CUBLAS_STATUS_SUCCESS;
    if (look_up(choices, &choices->kept, shape, out)) {
        status = check_everywhere(context, shape, out, MATMUL_WORKSPACE_NBYTES);
    }
    if (is_refusal(status)) status = choose(context, shape, reference, 0, out);
    if (is_refusal(status)) {
        status = choose(context, shape, reference, MATMUL_WORKSPACE_NBYTES, out);
    }
    if (status == CUBLAS_STATUS_SUCCESS && !settle(choices, shape, out)) {
        status = CUBLAS_STATUS_ALLOC_FAILED;
    }
    return status;
}

// ---- the contract of matmul.h: choices

extern "C" enum status matmul_choices_open(const struct cuda_device *device,
                                           struct matmul_choices **out, struct error *error) {
    *out = NULL;
    struct matmul_choices *choices = (struct matmul_choices *)calloc(1, sizeof *choices);
    if (choices == NULL) return error_set(error, STATUS_IO, "out of memory for cublasLt");
    const enum status status = cublaslt_open(&choices->lt, error);
    if (status != STATUS_OK) {
        free(choices);
        return status;
    }
    pthread_mutex_init(&choices->mutex, NULL);  // which never fails on Linux
    int driver = 0;                             // asks no device
    if (cudaDriverGetVersion(&driver) != cudaSuccess) (void)cudaGetLastError();
    char kind[sizeof choices->kept.kind];
    snprintf(kind, sizeof kind, "%s, sm_%d%d, %d multiprocessors, driver %d, cublasLt %zu",
             device->name, (int)device->major, (int)device->minor, (int)device->n_multiprocessors,
             driver, choices->lt.version);
    algorithm_cache_read(kind, &choices->kept);
    *out = choices;
    return STATUS_OK;
}

extern "C" void matmul_choices_keep(struct matmul_choices *choices) {
    pthread_mutex_lock(&choices->mutex);
    const struct algorithm_cache kept = choices->kept;
    choices->kept.changed = false;
    pthread_mutex_unlock(&choices->mutex);
    (void)algorithm_cache_write(&kept);
}

extern "C" void matmul_choices_close(struct matmul_choices *choices) {
    if (choices == NULL) return;
    pthread_mutex_destroy(&choices->mutex);
    cublaslt_close(&choices->lt);
    free(choices);
}

// ---- contexts

extern "C" enum status matmul_open(const struct cuda_device *device, struct matmul_choices *choices,
                                   struct matmul_context **out, int *code, struct error *error) {
    *out = NULL;
    *code = 0;
    struct matmul_context *context = (struct matmul_context *)calloc(1, sizeof *context);
    if (context == NULL) return error_set(error, STATUS_IO, "out of memory for cublasLt");
    context->choices = choices;
    context->lt = &choices->lt;
    *code = gpu_use(device->index);
    if (*code != 0) {
        char name[128];
        free(context);
        return error_set(error, STATUS_MODEL, "CUDA device %d (%s) cannot be used: %s",
                         (int)device->index, device->name, gpu_code_name(*code, name));
    }
    const cublasStatus_t created = context->lt->create(&context->handle);
    if (created != CUBLAS_STATUS_SUCCESS) {
        free(context);
        return failed(created, "cublasLt cannot be started", code, error);
    }
    *out = context;
    return STATUS_OK;
}

extern "C" void matmul_close(struct matmul_context *context) {
    if (context == NULL) return;
    (void)context->lt->destroy(context->handle);
    free(context);
}

extern "C" void matmul_set_workspace(struct matmul_context *context, void *workspace) {
    context->workspace = workspace;
}

// ---- products

static cublasStatus_t prepare(struct matmul *matmul, const struct matmul_shape *shape,
                              int32_t n_rows) {
    const struct matmul_context *context = matmul->context;
    struct problem reference;
    memset(&reference, 0, sizeof reference);
    cublasStatus_t status = problem_create(context->lt, shape, n_rows, &matmul->problem);
    if (status == CUBLAS_STATUS_SUCCESS) {
        status = problem_create(context->lt, shape, MATMUL_REFERENCE_ROWS, &reference);
    }
    if (status == CUBLAS_STATUS_SUCCESS) {
        status = find_algorithm(context, shape, &reference, &matmul->algorithm);
    }
    if (status == CUBLAS_STATUS_SUCCESS) {
        status = check_algorithm(context, &matmul->problem, &matmul->algorithm,
                                 MATMUL_WORKSPACE_NBYTES, &matmul->workspace_nbytes);
    }
    problem_destroy(context->lt, &reference);
    return status;
}

extern "C" enum status matmul_create(struct matmul_context *context,
                                     const struct matmul_shape *shape, int32_t n_rows,
                                     struct matmul **out, int *code, struct error *error) {
    *out = NULL;
    *code = 0;
    struct matmul *matmul = (struct matmul *)calloc(1, sizeof *matmul);
    if (matmul == NULL) return error_set(error, STATUS_IO, "out of memory for a matrix product");
    matmul->context = context;
    matmul->has_bias = shape->epilogue != MATMUL_PLAIN;
    const cublasStatus_t status = prepare(matmul, shape, n_rows);
    if (status == CUBLAS_STATUS_SUCCESS) {
        *out = matmul;
        return STATUS_OK;
    }
    static const char *const epilogues[] = {"", " with bias", " with bias and GELU"};
    char what[256];
    snprintf(what, sizeof what,
             "cublasLt %zu %s the product of %d rows from %d to %d columns, %s to %s%s",
             context->lt->version,
             is_refusal(status) ? "has no algorithm that sums in one order for" : "cannot prepare",
             (int)n_rows, (int)shape->n_in, (int)shape->n_out, type_name(shape->dtype),
             type_name(shape->out_dtype), epilogues[shape->epilogue]);
    matmul_destroy(matmul);
    return failed(status, what, code, error);
}

extern "C" void matmul_destroy(struct matmul *matmul) {
    if (matmul == NULL) return;
    problem_destroy(matmul->context->lt, &matmul->problem);
    free(matmul);
}

extern "C" int matmul_run(struct matmul *matmul, const void *x, const void *weight,
                          const void *bias, void *y, struct CUstream_st *stream) {
    const struct matmul_context *context = matmul->context;
    const struct problem *problem = &matmul->problem;
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    if (matmul->has_bias) {
        status = set<const void *>(context->lt, problem->operation,
                                   CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    }
    if (status == CUBLAS_STATUS_SUCCESS) {
        const float one = 1, zero = 0;
        const bool has_workspace = matmul->workspace_nbytes > 0;
        status =
            context->lt->matmul(context->handle, problem->operation, &one, weight, problem->weight,
                                x, problem->x, &zero, y, problem->y, y, problem->y,
                                &matmul->algorithm, has_workspace ? context->workspace : NULL,
                                has_workspace ? MATMUL_WORKSPACE_NBYTES : 0, stream);
    }
    return status == CUBLAS_STATUS_SUCCESS ? 0 : MATMUL_CODE + (int)status;
}
