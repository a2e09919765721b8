// SPDX-License-Identifier: Apache-2.0
//
// The stand-in for cublasLt by its own functions: which algorithms it offers, what it refuses, and
// what it ends the program for.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <string>
#include <vector>

#include "cuda/matmul_problem.cuh"
#include "tests/check.h"

static struct cublaslt lt;
static cublasLtHandle_t handle;

static struct matmul_shape shape = {24, 48, DTYPE_F32, DTYPE_F32, MATMUL_BIAS};

typedef std::vector<cublasLtMatmulHeuristicResult_t> candidates;

static struct problem make_problem(int32_t n_rows) {
    struct problem problem = {};
    CHECK_INT(problem_create(&lt, &shape, n_rows, &problem), CUBLAS_STATUS_SUCCESS);
    return problem;
}

static candidates offered(int32_t n_rows, uint64_t limit) {
    struct problem problem = make_problem(n_rows);
    cublasLtMatmulPreference_t preference;
    CHECK_INT(lt.preference_create(&preference), CUBLAS_STATUS_SUCCESS);
    CHECK_INT(lt.preference_set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &limit,
                                sizeof limit),
              CUBLAS_STATUS_SUCCESS);
    candidates results(32);
    int n = -1;
    CHECK_INT(lt.get_heuristic(handle, problem.operation, problem.weight, problem.x, problem.y,
                               problem.y, preference, (int)results.size(), results.data(), &n),
              CUBLAS_STATUS_SUCCESS);
    results.resize((size_t)n);
    CHECK_INT(lt.preference_destroy(preference), CUBLAS_STATUS_SUCCESS);
    problem_destroy(&lt, &problem);
    return results;
}

static cublasStatus_t check(const cublasLtMatmulAlgo_t *algorithm, int32_t n_rows) {
    struct problem problem = make_problem(n_rows);
    cublasLtMatmulHeuristicResult_t result;
    const cublasStatus_t status =
        lt.algo_check(handle, problem.operation, problem.weight, problem.x, problem.y, problem.y,
                      algorithm, &result);
    problem_destroy(&lt, &problem);
    return status;
}

template <typename Value>
static Value attribute(const cublasLtMatmulAlgo_t *algorithm,
                       cublasLtMatmulAlgoConfigAttributes_t name) {
    Value value = 0;
    size_t written = 0;
    CHECK_INT(lt.algo_get(algorithm, name, &value, sizeof value, &written), CUBLAS_STATUS_SUCCESS);
    CHECK_INT(written, sizeof value);
    return value;
}

// ---- what is offered

// Those that serve, in order.
static std::vector<int32_t> good_ids(const candidates &all, uint64_t limit) {
    std::vector<int32_t> ids;
    for (const cublasLtMatmulHeuristicResult_t &one : all) {
        if (one.state != CUBLAS_STATUS_SUCCESS || one.workspaceSize > limit) continue;
        const int32_t n_splits = attribute<int32_t>(&one.algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM);
        if (n_splits != 0 && n_splits != 1) continue;  // -2 is stream-K
        if (attribute<uint32_t>(&one.algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME) != 0) continue;
        ids.push_back(attribute<int32_t>(&one.algo, CUBLASLT_ALGO_CONFIG_ID));
    }
    return ids;
}

static void offers(void) {
    while (good_ids(offered(16, 0), 0).empty()) shape.n_out += 8;  // another shape, see below
    std::set<std::vector<int32_t>> orders;
    std::set<int32_t> first;
    for (int32_t n_rows = 16; n_rows < 48; n_rows++) {
        const candidates all = offered(n_rows, 8 << 10);
        const std::vector<int32_t> ids = good_ids(all, 8 << 10);
        CHECK(!ids.empty() && ids.size() < all.size());
        CHECK(all.front().state != CUBLAS_STATUS_SUCCESS);
        orders.insert(ids);
        first.insert(ids.front());
        CHECK(good_ids(offered(n_rows, 0), 0).size() < ids.size());
        CHECK(ids == good_ids(offered(n_rows, 8 << 10), 8 << 10));
    }
    CHECK(orders.size() >= 4 && first.size() >= 3);
    int n_larger = 0;  // than any limit
    for (const auto &one : offered(MATMUL_REFERENCE_ROWS, 1 << 20)) {
        n_larger += one.workspaceSize > MATMUL_WORKSPACE_NBYTES;
    }
    CHECK_INT(n_larger, 1);
}

// For some shapes nothing serves without workspace.
static void workspace_only(void) {
    int n = 0;
    const struct matmul_shape usual = shape;
    for (int32_t n_out = 8; n_out <= 800; n_out += 8) {
        shape.n_out = n_out;
        n += good_ids(offered(MATMUL_REFERENCE_ROWS, 0), 0).empty();
        CHECK(!good_ids(offered(MATMUL_REFERENCE_ROWS, 32 << 20), 32 << 20).empty());
    }
    CHECK(n > 10 && n < 50);
    shape = usual;
}

// Any bit that is changed is noticed, but for those that make another algorithm's number.
static void foreign_bytes(void) {
    cublasLtMatmulAlgo_t algorithm = offered(16, 0).back().algo;
    CHECK_INT(check(&algorithm, 16), CUBLAS_STATUS_SUCCESS);
    CHECK_INT(check(&algorithm, 17), CUBLAS_STATUS_SUCCESS);
    int n_passed = 0;
    for (int bit = 0; bit < 512; bit++) {
        algorithm.data[bit / 64] ^= 1ull << bit % 64;
        const cublasStatus_t status = check(&algorithm, 16);
        if (status == CUBLAS_STATUS_INVALID_VALUE) {
            int32_t id;
            CHECK(lt.algo_get(&algorithm, CUBLASLT_ALGO_CONFIG_ID, &id, sizeof id, NULL) != 0 ||
                  bit / 64 == 1);
        } else {
            n_passed++;
            CHECK(bit < 8);
        }
        algorithm.data[bit / 64] ^= 1ull << bit % 64;
    }
    CHECK(n_passed > 0);
    memset(&algorithm, 0, sizeof algorithm);
    CHECK_INT(check(&algorithm, 16), CUBLAS_STATUS_INVALID_VALUE);
}

static void attributes(void) {
    struct problem problem = make_problem(16);
    const int32_t value = CUBLAS_OP_N;
    CHECK_INT(lt.desc_set(problem.operation, CUBLASLT_MATMUL_DESC_POINTER_MODE, &value, 4),
              CUBLAS_STATUS_NOT_SUPPORTED);
    CHECK_INT(lt.desc_set(problem.operation, CUBLASLT_MATMUL_DESC_TRANSA, &value, 8),
              CUBLAS_STATUS_INVALID_VALUE);
    CHECK_INT(lt.desc_set(problem.operation, CUBLASLT_MATMUL_DESC_TRANSA, NULL, 4),
              CUBLAS_STATUS_INVALID_VALUE);
    // A bias that is asked for and not given; A that is not transposed.
    const void *const none = NULL;
    const cublasLtMatmulAlgo_t algorithm = offered(16, 0).back().algo;
    cublasLtMatmulHeuristicResult_t result;
    const auto check_problem = [&] {
        return lt.algo_check(handle, problem.operation, problem.weight, problem.x, problem.y,
                             problem.y, &algorithm, &result);
    };
    CHECK_INT(check_problem(), CUBLAS_STATUS_SUCCESS);
    CHECK_INT(set(&lt, problem.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, none), 0);
    CHECK_INT(check_problem(), CUBLAS_STATUS_NOT_SUPPORTED);
    CHECK_INT(set(&lt, problem.operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, (const void *)&lt), 0);
    CHECK_INT(check_problem(), CUBLAS_STATUS_SUCCESS);
    CHECK_INT(set(&lt, problem.operation, CUBLASLT_MATMUL_DESC_TRANSA, value), 0);
    CHECK_INT(check_problem(), CUBLAS_STATUS_NOT_SUPPORTED);
    problem_destroy(&lt, &problem);
}

// ---- what ends the program

enum misuse { DESTROYED, TWICE, OTHER_KIND, NO_OBJECT, WORKSPACE, ALIGNMENT };

static void do_misuse(enum misuse what) {
    struct problem problem = make_problem(16);
    const cublasLtMatmulAlgo_t algorithm = offered(16, 32 << 20).back().algo;
    cublasLtMatmulHeuristicResult_t result;
    const float one = 1, zero = 0;
    char *at = (char *)(uintptr_t)4096;
    if (what == DESTROYED || what == TWICE) (void)lt.layout_destroy(problem.x);
    if (what == TWICE) (void)lt.layout_destroy(problem.x);
    if (what == OTHER_KIND) problem.operation = (cublasLtMatmulDesc_t)problem.y;
    if (what == NO_OBJECT) problem.y = (cublasLtMatrixLayout_t)&problem;
    if (what == ALIGNMENT) at += 8;
    (void)lt.algo_check(handle, problem.operation, problem.weight, problem.x, problem.y, problem.y,
                        &algorithm, &result);
    (void)lt.matmul(handle, problem.operation, &one, at, problem.weight, at, problem.x, &zero, at,
                    problem.y, at, problem.y, &algorithm, NULL, 0, NULL);
}

// That the program ends by abort() and says so.
static void check_misuse(enum misuse what, const char *environment, const char *part) {
    int ends[2];
    if (pipe(ends) != 0) exit(1);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        if (environment != NULL) setenv("STANDIN_LT_OFFER", environment, 1);
        do_misuse(what);
        _exit(0);
    }
    close(ends[1]);
    std::string text;
    char bytes[512];
    for (ssize_t n; (n = read(ends[0], bytes, sizeof bytes)) > 0;) text.append(bytes, (size_t)n);
    close(ends[0]);
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child) exit(1);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    CHECK_CONTAINS(text.c_str(), part);
}

static void misuses(void) {
    check_misuse(DESTROYED, NULL, "a matrix layout is used after it was destroyed");
    check_misuse(TWICE, NULL, "a matrix layout is used after it was destroyed");
    check_misuse(OTHER_KIND, NULL, "a matrix layout is used as a matrix product's descriptor");
    check_misuse(NO_OBJECT, NULL, "is no matrix layout");
    check_misuse(WORKSPACE, "workspace", "a workspace of 0 bytes, the algorithm takes 1024");
    check_misuse(ALIGNMENT, NULL, "not aligned to 16 bytes");
}

int main(void) {
    struct error error;
    if (cublaslt_open(&lt, &error) != STATUS_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    CHECK_INT(gpu_use(0), 0);  // which brings the stand-in into the program
    CHECK_INT(lt.create(&handle), CUBLAS_STATUS_SUCCESS);
    offers();
    workspace_only();
    foreign_bytes();
    attributes();
    misuses();
    CHECK_INT(lt.destroy(handle), CUBLAS_STATUS_SUCCESS);
    cublaslt_close(&lt);
    return check_result();
}
