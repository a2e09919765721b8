// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as the file of chosen algorithms: it is refused and leaves none, or it is, byte for
// byte, what the choices read from it would be written as. A fuzzer does not find a sum, so the
// bytes are tried with their own sum behind them, too.
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/algorithm_cache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char kind[] = "A GPU, sm_90, 132 multiprocessors, driver 13000, cublasLt 130100";
static const char *const dtypes[] = {"f32", "f16", "bf16"};
static const char *const epilogues[] = {"plain", "bias", "bias_gelu"};

static void check_shape(const struct matmul_shape *shape) {
    assert(shape->n_out > 0 && shape->n_out % 8 == 0 && shape->n_in > 0 && shape->n_in % 8 == 0);
    assert((unsigned)shape->dtype < ARRAY_LEN(dtypes));
    assert((unsigned)shape->epilogue < ARRAY_LEN(epilogues));
    assert(shape->out_dtype == shape->dtype ||
           (shape->out_dtype == DTYPE_F32 && shape->epilogue == MATMUL_PLAIN));
}

// The line of `algorithm` in `text`, of `cap` bytes.
static size_t print(const struct algorithm *algorithm, char *text, size_t cap) {
    const struct matmul_shape *shape = &algorithm->shape;
    int n = snprintf(text, cap, "%d %d %s %s %s ", (int)shape->n_out, (int)shape->n_in,
                     dtypes[shape->dtype], dtypes[shape->out_dtype], epilogues[shape->epilogue]);
    for (int i = 0; i < ALGORITHM_WORDS; i++) {
        n += snprintf(text + n, cap - (size_t)n, " %016" PRIx64, algorithm->words[i]);
    }
    n += snprintf(text + n, cap - (size_t)n, "\n");
    assert((size_t)n < cap);
    return (size_t)n;
}

static size_t print_sum(const uint8_t *data, size_t size, char *text, size_t cap) {
    uint64_t sum = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++) sum = (sum ^ data[i]) * 0x100000001b3u;
    return (size_t)snprintf(text, cap, "sum %016" PRIx64 "\n", sum);
}

static void check(const uint8_t *data, size_t size) {
    static struct algorithm_cache cache;
    memset(&cache, 0x55, sizeof cache);
    memcpy(cache.kind, kind, sizeof kind);
    const bool is_good = algorithm_cache_parse((const char *)data, size, &cache);
    assert(strcmp(cache.kind, kind) == 0 && !cache.changed);
    assert(cache.n_algorithms >= 0 && cache.n_algorithms <= ALGORITHMS_MAX);
    if (!is_good) {
        assert(cache.n_algorithms == 0);
        return;
    }
    char line[512];
    size_t at = (size_t)snprintf(line, sizeof line, "wader algorithms 1\n%s\n", kind);
    assert(at <= size && memcmp(data, line, at) == 0);
    for (int32_t i = 0; i < cache.n_algorithms; i++) {
        const struct algorithm *algorithm = &cache.algorithms[i];
        check_shape(&algorithm->shape);
        assert(algorithm_cache_find(&cache, &algorithm->shape) == algorithm->words);
        const size_t n = print(algorithm, line, sizeof line);
        assert(n <= size - at && memcmp(data + at, line, n) == 0);
        at += n;
    }
    const size_t n = print_sum(data, at, line, sizeof line);
    assert(n == size - at && memcmp(data + at, line, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char line[32];
    const size_t n = print_sum(data, size, line, sizeof line);
    uint8_t *whole = malloc(size + n);  // no larger, so that a sanitizer sees a read past the end
    if (whole == NULL) return 0;
    if (size > 0) memcpy(whole, data, size);
    memcpy(whole + size, line, n);
    check(data, size);
    check(whole, size + n);
    free(whole);
    return 0;
}
