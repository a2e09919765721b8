// SPDX-License-Identifier: Apache-2.0
//
// The 64 bytes of an algorithm: its number and a mark, a hash of the shape it was offered for, and
// words that follow from that hash. The number itself is not among what the words protect, as bytes
// of the real library have no sum: one that was changed to another's is that other algorithm.
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "tests/standin/lt.h"

static const uint64_t MARK = 0x6c745f616c676f72;

enum { N_BAD = 6, N_GOOD = 4, WORKSPACE_ID = 19 };

// Bad: one that is not for this device, two that split sums, one that leaves the cuts to a schedule
// of its own (stream-K), one that only says how it would add them up, one that asks for more
// workspace than anybody gives (4 KiB a row, 64 MiB for the 16384 rows that algorithms are chosen
// for). Then those that serve, and one more with workspace.
static const struct lt_traits all[] = {
    {66, 1, CUBLASLT_REDUCTION_SCHEME_NONE, CUBLASLT_MATMUL_TILE_64x64, lt_order::by_rows, 0, true},
    {21, 4, CUBLASLT_REDUCTION_SCHEME_INPLACE, CUBLASLT_MATMUL_TILE_128x64, lt_order::by_rows, 0,
     false},
    {22, 3, CUBLASLT_REDUCTION_SCHEME_NONE, CUBLASLT_MATMUL_TILE_64x128, lt_order::by_rows, 0,
     false},
    {24, -2, CUBLASLT_REDUCTION_SCHEME_NONE, CUBLASLT_MATMUL_TILE_64x128, lt_order::by_rows, 0,
     false},
    {23, 1, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, CUBLASLT_MATMUL_TILE_32x32, lt_order::by_rows,
     0, false},
    {20, 1, CUBLASLT_REDUCTION_SCHEME_NONE, CUBLASLT_MATMUL_TILE_256x128, lt_order::by_rows,
     4 << 10, false},
    {0, 1, CUBLASLT_REDUCTION_SCHEME_NONE, CUBLASLT_MATMUL_TILE_64x64, lt_order::forward, 0, false},
    {1, 0, CUBLASLT_REDUCTION_SCHEME_NONE, CUBLASLT_MATMUL_TILE_64x64, lt_order::backward, 0,
     false},
    {2, 1, CUBLASLT_REDUCTION_SCHEME_NONE, CUBLASLT_MATMUL_TILE_128x128, lt_order::interleaved, 0,
     false},
    {3, 1, CUBLASLT_REDUCTION_SCHEME_NONE, CUBLASLT_MATMUL_TILE_128x64, lt_order::blocks, 0, false},
    {WORKSPACE_ID, 1, CUBLASLT_REDUCTION_SCHEME_NONE, CUBLASLT_MATMUL_TILE_128x256,
     lt_order::wide_blocks, 64, false},
};
static const struct lt_traits *const good = all + N_BAD;
static const struct lt_traits *const with_workspace = good + N_GOOD;

static bool is_set(const char *name, const char *value) {
    const char *text = getenv(name);
    return text != NULL && strcmp(text, value) == 0;
}

static uint64_t mix(uint64_t bits) {  // splitmix64's
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
    return bits ^ bits >> 31;
}

// Of everything but the number of rows.
static uint64_t hash_shape(const struct lt_problem *problem) {
    const uint64_t kinds =
        (uint64_t)problem->in * 9 + (uint64_t)problem->out * 3 + (uint64_t)problem->epilogue;
    return mix(mix(mix(problem->n_out) + problem->n_in) + kinds);
}

// ---- the bytes

static cublasLtMatmulAlgo_t bytes_of(const struct lt_traits *traits, uint64_t shape) {
    cublasLtMatmulAlgo_t algorithm;
    algorithm.data[0] = MARK ^ (uint64_t)traits->id;
    algorithm.data[1] = shape;
    for (uint64_t i = 2; i < 8; i++) algorithm.data[i] = mix(shape + i);
    return algorithm;
}

const struct lt_traits *lt_traits_of(const cublasLtMatmulAlgo_t *algorithm) {
    for (const struct lt_traits &traits : all) {
        const cublasLtMatmulAlgo_t bytes = bytes_of(&traits, algorithm->data[1]);
        if (memcmp(&bytes, algorithm, sizeof bytes) == 0) return &traits;
    }
    return NULL;
}

// ---- what serves

static uint64_t workspace_of(const struct lt_traits *traits, const struct lt_problem *problem) {
    return (traits->row_nbytes * problem->n_rows + 255) / 256 * 256;
}

cublasStatus_t lt_check(const struct lt_problem *problem, const cublasLtMatmulAlgo_t *algorithm,
                        cublasLtMatmulHeuristicResult_t *result) {
    const struct lt_traits *traits = lt_traits_of(algorithm);
    if (traits == NULL || algorithm->data[1] != hash_shape(problem)) {
        return CUBLAS_STATUS_INVALID_VALUE;
    }
    if (traits->is_refused) return CUBLAS_STATUS_ARCH_MISMATCH;
    if (problem->n_rows < 64 && traits->id % 2 == 0 && is_set("STANDIN_LT_PICKY", "1")) {
        return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    memset(result, 0, sizeof *result);
    result->algo = *algorithm;
    result->workspaceSize = workspace_of(traits, problem);
    result->state = CUBLAS_STATUS_SUCCESS;
    result->wavesCount = 1;
    return CUBLAS_STATUS_SUCCESS;
}

struct offers {
    const struct lt_problem *problem;
    uint64_t shape;
    cublasLtMatmulHeuristicResult_t *results;
    int n, n_max;
};

static void offer(struct offers *offers, const struct lt_traits *traits) {
    if (offers->n == offers->n_max) return;
    cublasLtMatmulHeuristicResult_t *result = &offers->results[offers->n++];
    memset(result, 0, sizeof *result);
    result->algo = bytes_of(traits, offers->shape);
    result->workspaceSize = workspace_of(traits, offers->problem);
    result->state = traits->is_refused ? CUBLAS_STATUS_NOT_SUPPORTED : CUBLAS_STATUS_SUCCESS;
    result->wavesCount = 1;
}

// Which ones are offered, and which is best, hangs on the rows. Of a quarter of the shapes the only
// one that serves takes workspace.
int lt_offer(const struct lt_problem *problem, uint64_t limit, int n_max,
             cublasLtMatmulHeuristicResult_t *results) {
    static std::atomic<uint64_t> n_calls;
    const uint64_t shape = hash_shape(problem);
    const bool is_shuffled = is_set("STANDIN_LT_OFFER", "shuffled");
    if (is_shuffled) usleep(2000);
    const uint64_t salt = is_shuffled ? ++n_calls << 32 : 0;
    const uint64_t first = mix(shape + problem->n_rows + salt);
    struct offers offers = {problem, shape, results, 0, n_max};
    for (int i = 0; i < N_BAD; i++) offer(&offers, &all[i]);
    if (is_set("STANDIN_LT_OFFER", "bad")) return offers.n;
    const bool workspace_only = shape % 4 == 0 || is_set("STANDIN_LT_OFFER", "workspace");
    const bool fits = workspace_of(with_workspace, problem) <= limit;
    if (fits && first % 2 == 0) offer(&offers, with_workspace);
    for (uint64_t i = 0; i < N_GOOD - 1 && !workspace_only; i++) {
        offer(&offers, &good[(first / 2 + i) % N_GOOD]);
    }
    if (fits && first % 2 == 1) offer(&offers, with_workspace);
    return offers.n;
}
