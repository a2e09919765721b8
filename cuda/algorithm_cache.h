// SPDX-License-Identifier: Apache-2.0
//
// The choices of matmul.h on disk: a text file for each kind of GPU, driver and library version,
// under $XDG_CACHE_HOME/wader, else $HOME/.cache/wader. A file that is missing, damaged, foreign or
// unreadable is an empty cache. Pure C; it knows an algorithm as 64 opaque bytes, which whoever
// uses them must let the library check.
//
//   wader algorithms 1
//   NVIDIA H100 80GB HBM3, sm_90, 132 multiprocessors, driver 13000, cublasLt 130100
//   2304 768 bf16 bf16 bias  0123456789abcdef ... (8 words of 16 hexadecimal digits)
//   sum 0123456789abcdef     (64-bit FNV-1a of all bytes before this line)
#ifndef WADER_CUDA_ALGORITHM_CACHE_H
#define WADER_CUDA_ALGORITHM_CACHE_H

#include "cuda/matmul.h"
#include "host/base/base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { ALGORITHM_WORDS = 8, ALGORITHMS_MAX = 64 };

struct algorithm {
    struct matmul_shape shape;
    uint64_t words[ALGORITHM_WORDS];
};

struct algorithm_cache {
    char kind[512];  // the second line
    struct algorithm algorithms[ALGORITHMS_MAX];
    int32_t n_algorithms;
    bool changed;  // since it was read
};

// `kind` names GPU, driver and library, without a newline.
void algorithm_cache_read(const char *kind, struct algorithm_cache *cache);

// Written under another name and renamed, so that a reader sees one whole file. False when that
// cannot be done; nothing to write is true.
bool algorithm_cache_write(const struct algorithm_cache *cache);

// NULL when the shape is not there.
const uint64_t *algorithm_cache_find(const struct algorithm_cache *cache,
                                     const struct matmul_shape *shape);

// Replaces or adds; a full cache takes no more.
void algorithm_cache_put(struct algorithm_cache *cache, const struct matmul_shape *shape,
                         const uint64_t words[ALGORITHM_WORDS]);

// Reads the text of a file into a cache whose `kind` is set; false, with no algorithms, when any of
// it is not as above.
bool algorithm_cache_parse(const char *text, size_t nbytes, struct algorithm_cache *cache);

#ifdef __cplusplus
}
#endif

#endif
