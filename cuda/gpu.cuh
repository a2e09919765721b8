// SPDX-License-Identifier: Apache-2.0
//
// The one CUDA header of kernel files. Compiled by nvcc it brings the real thing; compiled by a
// plain C++ compiler it brings the SIMT emulator of the tests, which runs the same kernels on the
// CPU and checks each access.
//
// Rules that keep a kernel file good for both
//   No inline PTX here and there: ptx.cuh has it, the emulator has each of its functions.
//   Kernels are launched by launch() alone, shared memory of a size known at launch comes from
//   DYNAMIC_SHARED, no mutable globals, no spinning on other threads.
//   Lanes that talk through memory meet in __syncwarp(): a shuffle orders no memory.
#ifndef WADER_CUDA_GPU_CUH
#define WADER_CUDA_GPU_CUH

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "cuda/ptx.cuh"
#define DYNAMIC_SHARED(type, name)                            \
    extern __shared__ __align__(16) unsigned char dynamic_[]; \
    type *const name = reinterpret_cast<type *>(dynamic_)
#else
#include <simt.h>
#endif

struct launch_shape {
    const char *name;  // of the kernel, for the emulator's reports
    dim3 grid, block;
    size_t shared_nbytes;  // of DYNAMIC_SHARED
    cudaStream_t stream;
};

// Returns the cudaError_t of this launch; what goes wrong while the kernel runs shows later.
template <typename... Parameters, typename... Arguments>
static inline int launch(const launch_shape &shape, void (*kernel)(Parameters...),
                         Arguments... arguments) {
#if defined(__CUDACC__)
    cudaLaunchConfig_t config = {};
    config.gridDim = shape.grid;
    config.blockDim = shape.block;
    config.dynamicSmemBytes = shape.shared_nbytes;
    config.stream = shape.stream;
    return (int)cudaLaunchKernelEx(&config, kernel, arguments...);
#else
    return (int)simt::launch(shape.name, shape.grid, shape.block, shape.shared_nbytes, shape.stream,
                             [=] { kernel(arguments...); });
#endif
}

#endif
