// SPDX-License-Identifier: Apache-2.0
//
// GELU in its two forms.
#ifndef WADER_CUDA_GELU_CUH
#define WADER_CUDA_GELU_CUH

#include "cuda/gpu.cuh"
#include "weights/model.h"

__device__ __forceinline__ float gelu_erf(float x) {
    return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
}

__device__ __forceinline__ float gelu_tanh(float x) {
    const float inner = 0.79788456080286536f * (x + 0.044715f * x * x * x);
    return 0.5f * x * (1.0f + tanhf(inner));
}

template <int form>
__device__ __forceinline__ float gelu_of(float x) {
    return form == GELU_ERF ? gelu_erf(x) : gelu_tanh(x);
}

#endif
