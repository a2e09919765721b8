// SPDX-License-Identifier: Apache-2.0
//
// How fast the device moves bytes at best: what kernels that are bound by memory are held to.
#include <cuda_runtime_api.h>

#include <cstddef>

#include "cuda/runtime.h"
#include "tests/gpu/bench.h"

enum { THREADS = 256, BLOCKS = 4096, AT_ONCE = 4 };
static const size_t NBYTES = (size_t)512 << 20;  // of each buffer: far more than any cache holds

__global__ void read_write(const uint4 *from, uint4 *to, size_t n) {
    const size_t step = (size_t)gridDim.x * THREADS;
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += AT_ONCE * step) {
        uint4 value[AT_ONCE];
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++) {
            if (i + k * step < n) value[k] = from[i + k * step];
        }
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++) {
            if (i + k * step < n) to[i + k * step] = value[k];
        }
    }
}

// Writes only where the sum is one that random bytes do not have, so that the reads are needed.
__global__ void read(const uint4 *from, uint4 *to, size_t n) {
    const size_t step = (size_t)gridDim.x * THREADS;
    unsigned sum = 0;
    for (size_t i = (size_t)blockIdx.x * THREADS + threadIdx.x; i < n; i += AT_ONCE * step) {
#pragma unroll
        for (int k = 0; k < AT_ONCE; k++) {
            if (i + k * step >= n) break;
            const uint4 value = from[i + k * step];
            sum += value.x ^ value.y ^ value.z ^ value.w;
        }
    }
    if (sum == 0x12345678u) to[threadIdx.x] = make_uint4(sum, sum, sum, sum);
}

struct buffers {
    void *a, *b;
};

static int copy(void *context, int turn, struct CUstream_st *stream) {
    const buffers *both = static_cast<const buffers *>(context);
    return cudaMemcpyAsync(turn % 2 ? both->a : both->b, turn % 2 ? both->b : both->a, NBYTES,
                           cudaMemcpyDeviceToDevice, stream);
}

static int run_read_write(void *context, int turn, struct CUstream_st *stream) {
    const buffers *both = static_cast<const buffers *>(context);
    const void *from = turn % 2 ? both->b : both->a;
    void *to = turn % 2 ? both->a : both->b;
    read_write<<<BLOCKS, THREADS, 0, stream>>>(static_cast<const uint4 *>(from),
                                               static_cast<uint4 *>(to), NBYTES / sizeof(uint4));
    return cudaGetLastError();
}

static int run_read(void *context, int turn, struct CUstream_st *stream) {
    const buffers *both = static_cast<const buffers *>(context);
    read<<<BLOCKS, THREADS, 0, stream>>>(static_cast<const uint4 *>(turn % 2 ? both->b : both->a),
                                         static_cast<uint4 *>(turn % 2 ? both->a : both->b),
                                         NBYTES / sizeof(uint4));
    return cudaGetLastError();
}

static double rate(bench_call call, double nbytes) {
    buffers both = {bench_random(DTYPE_F32, NBYTES / sizeof(float), 1),
                    bench_random(DTYPE_F32, NBYTES / sizeof(float), 1)};
    const double seconds = bench_time(call, &both).median;
    bench_need(gpu_free(both.a), "freeing memory");
    bench_need(gpu_free(both.b), "freeing memory");
    return nbytes / seconds;
}

extern "C" double bench_copy_rate(void) {
    return rate(copy, 2 * (double)NBYTES);
}

extern "C" double bench_read_write_rate(void) {
    return rate(run_read_write, 2 * (double)NBYTES);
}

extern "C" double bench_read_rate(void) {
    return rate(run_read, (double)NBYTES);
}
