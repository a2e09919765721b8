// SPDX-License-Identifier: Apache-2.0
//
// How fast the device moves bytes at best, and how little a launch can take: what kernels that are
// bound by memory, copies and small batches are held to.
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

__global__ void nothing() {}

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

// ---- between the host and the device

static const size_t COPY_NBYTES = (size_t)64 << 20;

static int copy_in(void *context, int, struct CUstream_st *stream) {
    const buffers *both = static_cast<const buffers *>(context);
    return gpu_copy_in(both->a, both->b, COPY_NBYTES, stream);
}

static int copy_out(void *context, int, struct CUstream_st *stream) {
    const buffers *both = static_cast<const buffers *>(context);
    return gpu_copy_out(both->b, both->a, COPY_NBYTES, stream);
}

static double host_rate(bench_call call) {
    buffers both;
    bench_need(gpu_alloc(COPY_NBYTES, &both.a), "device memory");
    bench_need(gpu_alloc_pinned(COPY_NBYTES, &both.b), "pinned memory");
    const double seconds = bench_time(call, &both).median;
    bench_need(gpu_free(both.a), "freeing memory");
    bench_need(gpu_free_pinned(both.b), "freeing memory");
    return (double)COPY_NBYTES / seconds;
}

extern "C" double bench_copy_in_rate(void) {
    return host_rate(copy_in);
}

extern "C" double bench_copy_out_rate(void) {
    return host_rate(copy_out);
}

// ---- launches

enum { LAUNCHES = 200 };

static int launch(void *, int, struct CUstream_st *stream) {
    for (int i = 0; i < LAUNCHES; i++) nothing<<<1, 32, 0, stream>>>();
    return cudaGetLastError();
}

// The best of a few: the host must keep ahead of the device.
static double seconds_alone(void) {
    struct CUstream_st *stream;
    struct CUevent_st *events[2];
    double best = 1;
    bench_need(gpu_stream_create(&stream), "a stream");
    bench_need(gpu_event_create(&events[0]), "an event");
    bench_need(gpu_event_create(&events[1]), "an event");
    for (int repeat = 0; repeat < 20; repeat++) {
        double seconds;
        bench_need(gpu_event_record(events[0], stream), "an event");
        bench_need(launch(nullptr, 0, stream), "launches");
        bench_need(gpu_event_record(events[1], stream), "an event");
        int code = 0;
        for (bool done = false; code == 0 && !done;) code = gpu_event_is_done(events[1], &done);
        bench_need(code, "launches");
        bench_need(gpu_event_seconds(events[0], events[1], &seconds), "an event");
        if (repeat > 0 && seconds < best) best = seconds;
    }
    bench_need(gpu_event_destroy(events[0]), "an event");
    bench_need(gpu_event_destroy(events[1]), "an event");
    bench_need(gpu_stream_destroy(stream), "a stream");
    return best / LAUNCHES;
}

extern "C" double bench_launch_seconds(bool in_graph) {
    return in_graph ? bench_time(launch, nullptr).median / LAUNCHES : seconds_alone();
}
