// SPDX-License-Identifier: Apache-2.0
#include "tokenizer/lanes.h"

const struct lanes *lanes_choose(void) {
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
        __builtin_cpu_supports("bmi2")) {
        return &lanes_avx512;
    }
#endif
    return NULL;
}
