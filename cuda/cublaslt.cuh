// SPDX-License-Identifier: Apache-2.0
//
// cublasLt, found when it is first needed: a program that is linked with it does not start on hosts
// that lack it. Host code only.
#ifndef WADER_CUDA_CUBLASLT_CUH
#define WADER_CUDA_CUBLASLT_CUH

#include <cublasLt.h>

#include <cstddef>
#include <cstdint>

#include "host/base/base.h"

struct cublaslt {
    void *library;
    size_t version;  // 130100 for 13.1.0
    decltype(&cublasLtGetVersion) get_version;
    decltype(&cublasLtCreate) create;
    decltype(&cublasLtDestroy) destroy;
    decltype(&cublasLtMatmul) matmul;
    decltype(&cublasLtMatmulDescCreate) desc_create;
    decltype(&cublasLtMatmulDescDestroy) desc_destroy;
    decltype(&cublasLtMatmulDescSetAttribute) desc_set;
    decltype(&cublasLtMatrixLayoutCreate) layout_create;
    decltype(&cublasLtMatrixLayoutDestroy) layout_destroy;
    decltype(&cublasLtMatmulPreferenceCreate) preference_create;
    decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy;
    decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set;
    decltype(&cublasLtMatmulAlgoGetHeuristic) get_heuristic;
    decltype(&cublasLtMatmulAlgoCheck) algo_check;
    decltype(&cublasLtMatmulAlgoConfigGetAttribute) algo_get;
};

// STATUS_MODEL, with what to do, when the library is not found, is of another major version than
// the headers, or lacks a function. `*out` is zeroed then.
enum status cublaslt_open(struct cublaslt *out, struct error *error);
void cublaslt_close(struct cublaslt *lt);  // a zeroed one is fine

#endif
