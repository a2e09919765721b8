// SPDX-License-Identifier: Apache-2.0
//
// What launchers hand to the runtime, for every variant of every kernel: one launch on the stream
// they were given, of a shape that any device takes, whose result comes back. No kernel runs, so
// this needs no device: built for the emulator it takes launches over, built by nvcc it stands in
// for the runtime's function (the linker's --wrap).
#include <stdio.h>

#include "cuda/gpu.cuh"
#include "cuda/kernels.h"
#include "tests/check.h"

enum { SOME_ERROR = 98 };

static struct {
    int n_launches;
    dim3 grid, block;
    size_t shared_nbytes;
    cudaStream_t stream;
} seen;

#if defined(__CUDACC__)
extern "C" cudaError_t __wrap_cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *,
                                                  void **) {
    seen = {seen.n_launches + 1, config->gridDim, config->blockDim, config->dynamicSmemBytes,
            config->stream};
    return (cudaError_t)SOME_ERROR;
}
static void take_launches() {}
#else
static int take(const simt::kernel_launch &launch) {
    seen = {seen.n_launches + 1, launch.grid, launch.block, launch.shared_nbytes, launch.stream};
    return SOME_ERROR;
}
static void take_launches() {
    simt::on_launch(take);
}
#endif

static char place[64] __attribute__((aligned(64)));  // where no kernel will look
static const cudaStream_t stream = (cudaStream_t)(place + 32);

// `n_warps`: the launch must hold, in as few blocks as that takes.
static void check_launch(int result, int64_t n_warps) {
    CHECK_INT(result, SOME_ERROR);
    CHECK_INT(seen.n_launches, 1);
    CHECK(seen.stream == stream);
    CHECK(seen.grid.x >= 1 && seen.grid.y == 1 && seen.grid.z == 1);
    CHECK(seen.block.x % 32 == 0 && seen.block.x <= 1024);
    CHECK(seen.block.y == 1 && seen.block.z == 1);
    const int64_t block_warps = seen.block.x / 32;
    CHECK(seen.grid.x * block_warps >= n_warps && (seen.grid.x - 1) * block_warps < n_warps);
    CHECK_INT(seen.shared_nbytes, 0);
    seen.n_launches = 0;
}

static void launch_rows(enum dtype dtype, int n, int hidden_size) {
    float *const floats = (float *)place;
    const int32_t *const ids = (int32_t *)place;
    const struct kernel_embed embed = {dtype, n,      hidden_size, 1e-12f, ids,  ids,
                                       place, floats, floats,      floats, place};
    check_launch(kernel_embed(&embed, stream), n);
    const struct kernel_layer_norm norm = {dtype, n,     hidden_size, 1e-12f, place,
                                           NULL,  place, floats,      floats, place};
    check_launch(kernel_layer_norm(&norm, stream), n);
    for (int form = GELU_ERF; form <= GELU_TANH; form++) {
        const struct kernel_gelu gelu = {dtype, (enum gelu_form)form, n, 4 * hidden_size, NULL,
                                         place};
        const int64_t n_threads = (int64_t)(n + 3) / 4 * (4 * hidden_size / 8);
        check_launch(kernel_gelu(&gelu, stream), (n_threads + 31) / 32);
    }
    const struct kernel_gather_cls gather = {dtype, n, hidden_size, ids, place, place};
    check_launch(kernel_gather_cls(&gather, stream), n);
    const struct kernel_head head = {HEAD_TANH, n,      hidden_size, 8,      floats,
                                     floats,    floats, floats,      floats, NULL};
    check_launch(kernel_head(&head, stream), n);
}

static void launch_e4m3(int n, int hidden_size) {
    float *const floats = (float *)place;
    for (int i = 0; i < 2; i++) {
        const struct kernel_layer_norm_e4m3 norm = {n,
                                                    hidden_size,
                                                    1e-12f,
                                                    place,
                                                    i == 0 ? floats : NULL,
                                                    i == 0 ? floats : NULL,
                                                    floats,
                                                    place,
                                                    floats,
                                                    floats,
                                                    place,
                                                    i == 1 ? place : NULL,
                                                    i == 1 ? floats : NULL};
        check_launch(kernel_layer_norm_e4m3(&norm, stream), n);
        const struct kernel_gelu_e4m3 gelu = {i == 0 ? GELU_ERF : GELU_TANH,
                                              n,
                                              4 * hidden_size,
                                              place,
                                              floats,
                                              floats,
                                              floats,
                                              place,
                                              floats};
        check_launch(kernel_gelu_e4m3(&gelu, stream), (int64_t)(n + 3) / 4 * 4);
    }
}

static void launch_attention(enum dtype dtype, int n, int n_heads, int head_size) {
    const int32_t *const ids = (int32_t *)place;
    const struct kernel_attention_cls cls = {dtype, n,     n_heads, head_size, 1,
                                             ids,   place, place,   place};
    check_launch(kernel_attention_cls(&cls, stream), (int64_t)n * n_heads);
    for (int bucket = 0; bucket < ATTENTION_BUCKETS; bucket++) {
        const struct kernel_attention args = {
            dtype, n_heads, head_size, 1, bucket, n, 132, place, (const attention_item *)place,
            ids,   place};
        // No more than the device can use, however much work there may be.
        const int64_t n_jobs = (int64_t)n * n_heads, n_useful = 132 * 16 * 4;
        check_launch(kernel_attention(&args, stream), n_jobs < n_useful ? n_jobs : n_useful);
    }
}

int main() {
    take_launches();
    for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        static const int sizes[] = {1, 2, 5, 100, 5632, 1000000};
        for (int n : sizes) {
            for (int hidden_size = 64; hidden_size <= 1024; hidden_size += 32)
                launch_rows((enum dtype)dtype, n, hidden_size);
            for (int hidden_size = 64; hidden_size <= 1024; hidden_size += 32)
                launch_e4m3(n, hidden_size);
            launch_attention((enum dtype)dtype, n, 12, 64);
            launch_attention((enum dtype)dtype, n, 32, 32);
        }
        launch_attention((enum dtype)dtype, 1 << 25, 32, 32);
    }
    return check_result();
}
