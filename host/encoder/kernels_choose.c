// SPDX-License-Identifier: Apache-2.0
//
// The sets that CMakeLists.txt compiles, and what the processor must have for each: the
// instructions that its flags there let the compiler use.
#include "host/encoder/kernels.h"

extern const struct kernels kernels_base;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2, kernels_avx512;
#endif

int kernels_list(const struct kernels *sets[KERNELS_SETS_MAX]) {
    int n = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("fma")) {
        sets[n++] = &kernels_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        sets[n++] = &kernels_avx2;
    }
#endif
    sets[n++] = &kernels_base;
    return n;
}

const struct kernels *kernels_choose(void) {
    const struct kernels *sets[KERNELS_SETS_MAX];
    kernels_list(sets);
    return sets[0];
}

const struct kernels *kernels_plain(void) {
    return &kernels_base;
}

size_t operand_size(enum operand operand) {
    static const size_t sizes[] = {
        [OPERAND_F32] = sizeof(float), [OPERAND_BF16] = sizeof(uint16_t), [OPERAND_U8] = 1};
    return sizes[operand];
}

size_t attention_scratch_len(int32_t n_keys, int32_t head_size) {
    const size_t n = (size_t)n_keys, d = (size_t)head_size;
    const size_t width = (n + KERNELS_LANES - 1) / KERNELS_LANES * KERNELS_LANES;
    return width * (d + ATTENTION_QUERIES) + 3 * n * d;
}
