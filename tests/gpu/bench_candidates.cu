// SPDX-License-Identifier: Apache-2.0
//
// What cublasLt offers for the large products of bert-base, and how fast each offer is: whether
// cuda/matmul.cu, which takes the first that serves, rather without workspace, takes a good one.
//   bench_gpu_candidates [--rows 45056] [--most 6]
// Without workspace and with MATMUL_WORKSPACE_NBYTES, as the heuristic orders them for
// MATMUL_REFERENCE_ROWS rows, timed for `rows`. An offer that splits sums is listed, never taken.
#include <cstdio>
#include <cstring>

#include "cuda/matmul_problem.cuh"
#include "cuda/runtime.h"
#include "tests/gpu/bench.h"
#include "tests/simt/device.h"

enum { HIDDEN = 768, FEED = 3072, CANDIDATES_MAX = 64, N_SETS = 4 };

static int32_t n_rows = 45056, n_most = 6;

struct library {
    struct cublaslt lt;
    cublasLtHandle_t handle;
    void *workspace;
};

struct named_shape {
    const char *name;
    struct matmul_shape shape;
};

static void need(cublasStatus_t status, const char *what) {
    bench_need(status == CUBLAS_STATUS_SUCCESS ? 0 : MATMUL_CODE + (int)status, what);
}

// ---- a candidate

struct candidate_call {
    const library *lib;
    const struct problem *product;
    const cublasLtMatmulAlgo_t *algorithm;
    size_t workspace_nbytes;
    const void *x[N_SETS], *weight;
    void *y[N_SETS];
};

static int enqueue(void *context, int turn, struct CUstream_st *stream) {
    const candidate_call *call = static_cast<const candidate_call *>(context);
    const struct problem *p = call->product;
    const float one = 1, zero = 0;
    void *y = call->y[turn % N_SETS];
    const cublasStatus_t status = call->lib->lt.matmul(
        call->lib->handle, p->operation, &one, call->weight, p->weight, call->x[turn % N_SETS],
        p->x, &zero, y, p->y, y, p->y, call->algorithm,
        call->workspace_nbytes > 0 ? call->lib->workspace : NULL, call->workspace_nbytes, stream);
    return status == CUBLAS_STATUS_SUCCESS ? 0 : MATMUL_CODE + (int)status;
}

template <typename Value>
static long long get(const library &lib, const cublasLtMatmulAlgo_t &algorithm,
                     cublasLtMatmulAlgoConfigAttributes_t attribute) {
    Value value = 0;
    size_t written = 0;
    const cublasStatus_t status =
        lib.lt.algo_get(&algorithm, attribute, &value, sizeof value, &written);
    return status == CUBLAS_STATUS_SUCCESS ? (long long)value : -1;
}

static void print(const library &lib, const named_shape &what, size_t limit, int place,
                  const cublasLtMatmulHeuristicResult_t &candidate, const struct bench_time &time) {
    const cublasLtMatmulAlgo_t &algo = candidate.algo;
    const double operations = 2.0 * n_rows * what.shape.n_out * what.shape.n_in;
    printf(
        "{\"what\": \"candidate\", \"name\": \"%s\", \"dtype\": \"%s\", \"rows\": %d, \"limit\": "
        "%zu, \"place\": %d, \"workspace\": %zu, \"waves\": %.2f, \"id\": %lld, \"tile\": %lld, "
        "\"stages\": %lld, \"cluster\": %lld, \"inner\": %lld, \"swizzle\": %lld, \"custom\": "
        "%lld, "
        "\"splits\": %lld, \"scheme\": %lld, \"us\": %.2f, \"tflops\": %.2f}\n",
        what.name, bench_dtype_name(what.shape.dtype), (int)n_rows, limit, place,
        candidate.workspaceSize, (double)candidate.wavesCount,
        get<int32_t>(lib, algo, CUBLASLT_ALGO_CONFIG_ID),
        get<uint32_t>(lib, algo, CUBLASLT_ALGO_CONFIG_TILE_ID),
        get<uint32_t>(lib, algo, CUBLASLT_ALGO_CONFIG_STAGES_ID),
        get<uint16_t>(lib, algo, CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID),
        get<uint16_t>(lib, algo, CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID),
        get<uint32_t>(lib, algo, CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING),
        get<uint32_t>(lib, algo, CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION),
        get<int32_t>(lib, algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM),
        get<uint32_t>(lib, algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME), 1e6 * time.median,
        time.median > 0 ? 1e-12 * operations / time.median : 0);
    fflush(stdout);
}

// ---- the candidates of a shape

static int ask(const library &lib, const struct problem &reference, uint64_t limit,
               cublasLtMatmulHeuristicResult_t *candidates) {
    const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_NONE;
    cublasLtMatmulPreference_t preference;
    int n = 0;
    need(lib.lt.preference_create(&preference), "a preference");
    need(lib.lt.preference_set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &limit,
                               sizeof limit),
         "a preference");
    need(lib.lt.preference_set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes,
                               sizeof schemes),
         "a preference");
    const cublasStatus_t status =
        lib.lt.get_heuristic(lib.handle, reference.operation, reference.weight, reference.x,
                             reference.y, reference.y, preference, CANDIDATES_MAX, candidates, &n);
    if (status != CUBLAS_STATUS_NOT_SUPPORTED) need(status, "the heuristic");
    need(lib.lt.preference_destroy(preference), "a preference");
    return n;
}

static void measure_with(const library &lib, const named_shape &what, const struct problem &one,
                         const struct problem &reference, size_t limit, candidate_call *call) {
    cublasLtMatmulHeuristicResult_t candidates[CANDIDATES_MAX];
    const int n = ask(lib, reference, limit, candidates);
    for (int i = 0; i < n && i < n_most; i++) {
        cublasLtMatmulHeuristicResult_t checked;
        memset(&checked, 0, sizeof checked);
        const bool serves =
            candidates[i].state == CUBLAS_STATUS_SUCCESS &&
            lib.lt.algo_check(lib.handle, one.operation, one.weight, one.x, one.y, one.y,
                              &candidates[i].algo, &checked) == CUBLAS_STATUS_SUCCESS &&
            checked.workspaceSize <= limit;
        struct bench_time time = {0, 0, 0, 0};
        call->algorithm = &candidates[i].algo;
        call->workspace_nbytes = checked.workspaceSize > 0 ? limit : 0;
        if (serves) time = bench_time(enqueue, call);
        print(lib, what, limit, i, candidates[i], time);
    }
    printf(
        "{\"what\": \"candidates\", \"name\": \"%s\", \"dtype\": \"%s\", \"limit\": %zu, "
        "\"offers\": %d}\n",
        what.name, bench_dtype_name(what.shape.dtype), limit, n);
}

static void measure(const library &lib, const named_shape &what) {
    const struct matmul_shape &shape = what.shape;
    const size_t out = (size_t)shape.n_out, in = (size_t)shape.n_in, rows = (size_t)n_rows;
    struct problem one, reference;
    memset(&one, 0, sizeof one);
    memset(&reference, 0, sizeof reference);
    need(problem_create(&lib.lt, &shape, n_rows, &one), "a product");
    need(problem_create(&lib.lt, &shape, MATMUL_REFERENCE_ROWS, &reference), "a product");
    void *bias = bench_random(shape.out_dtype, out, 1);
    if (shape.epilogue != MATMUL_PLAIN) {
        need(set<const void *>(&lib.lt, one.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias),
             "a bias");
    }
    candidate_call call = {&lib, &one, NULL, 0, {}, bench_random(shape.dtype, out * in, 0.05f), {}};
    for (int s = 0; s < N_SETS; s++) {
        call.x[s] = bench_random(shape.dtype, rows * in, 1);
        call.y[s] = device_alloc(rows * out * (shape.out_dtype == DTYPE_F32 ? 4 : 2));
    }
    measure_with(lib, what, one, reference, 0, &call);
    measure_with(lib, what, one, reference, MATMUL_WORKSPACE_NBYTES, &call);
    for (int s = 0; s < N_SETS; s++) {
        device_free(const_cast<void *>(call.x[s]));
        device_free(call.y[s]);
    }
    device_free(const_cast<void *>(call.weight));
    device_free(bias);
    problem_destroy(&lib.lt, &one);
    problem_destroy(&lib.lt, &reference);
}

int main(int argc, char **argv) {
    const struct bench_option options[] = {{"--rows", &n_rows}, {"--most", &n_most}};
    const struct cuda_device *device = bench_open(argc, argv, options, 2);
    library lib;
    struct error error;
    if (cublaslt_open(&lib.lt, &error) != STATUS_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    need(lib.lt.create(&lib.handle), "cublasLt cannot be started");
    lib.workspace = device_alloc(MATMUL_WORKSPACE_NBYTES);
    for (int32_t d = bench_n_dtypes(device) - 1; d >= 0; d--) {
        const enum dtype dtype = (enum dtype)d;
        const enum matmul_epilogue feed = dtype == DTYPE_BF16 ? MATMUL_BIAS_GELU : MATMUL_PLAIN;
        const named_shape shapes[] = {
            {"qkv", {3 * HIDDEN, HIDDEN, dtype, dtype, MATMUL_BIAS}},
            {"attention_output", {HIDDEN, HIDDEN, dtype, dtype, MATMUL_PLAIN}},
            {"intermediate", {FEED, HIDDEN, dtype, dtype, feed}},
            {"intermediate_plain", {FEED, HIDDEN, dtype, dtype, MATMUL_PLAIN}},
            {"output", {HIDDEN, FEED, dtype, dtype, MATMUL_PLAIN}}};
        for (const named_shape &shape : shapes) measure(lib, shape);
    }
    need(lib.lt.destroy(lib.handle), "cublasLt");
    return 0;
}
