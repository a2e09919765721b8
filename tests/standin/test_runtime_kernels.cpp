// SPDX-License-Identifier: Apache-2.0
//
// That the stand-in knows what each kernel touches: memory that it reads or writes is refused to
// another stream, beside it nothing is.
#include <unistd.h>

#include <vector>

#include "cuda/kernels.h"
#include "tests/standin/trial.h"

// Every array of a kernel has this much of a block of device memory, its own size in front.
enum { PART_NBYTES = 1 << 16, N_PARTS = 12, R = 24, N = 8, H = 64, K = 3, HEADS = 2 };

struct part {
    int number;
    size_t nbytes;
    bool is_written;
};

// What is asked of a trial.
static struct {
    int kernel;
    part touched;
    bool is_first_byte, is_beside;
} asked;

static char *memory;

template <typename T>
static T *at(int part) {
    return reinterpret_cast<T *>(memory + (size_t)part * PART_NBYTES);
}

struct kernel {
    const char *name;
    int (*run)(struct CUstream_st *stream);
    std::vector<part> parts;
};

static int embed(struct CUstream_st *stream) {
    const struct kernel_embed args = {DTYPE_F16,
                                      R,
                                      H,
                                      1e-12f,
                                      at<int32_t>(0),
                                      at<int32_t>(1),
                                      at<int32_t>(2),
                                      at<float>(3),
                                      at<float>(4),
                                      at<float>(5),
                                      at<void *>(6)};
    return kernel_embed(&args, stream);
}

static int layer_norm(struct CUstream_st *stream) {
    const struct kernel_layer_norm args = {DTYPE_F32,
                                           R,
                                           H,
                                           1e-12f,
                                           at<void *>(0),
                                           at<float>(1),
                                           at<void *>(2),
                                           at<float>(3),
                                           at<float>(4),
                                           at<void *>(5)};
    return kernel_layer_norm(&args, stream);
}

static int gelu(struct CUstream_st *stream) {
    const struct kernel_gelu args = {DTYPE_BF16, GELU_ERF, R, 2 * H, at<float>(0), at<void *>(1)};
    return kernel_gelu(&args, stream);
}

// Rows are known from the embed before, which lies on parts that this does not touch.
static int attention(struct CUstream_st *stream) {
    const struct kernel_attention args = {DTYPE_F16,
                                          HEADS,
                                          H / HEADS,
                                          1,
                                          0,
                                          N,
                                          3,
                                          at<void *>(7),
                                          at<struct attention_item>(8),
                                          at<int32_t>(9),
                                          at<void *>(10)};
    const int code = embed(stream);
    return code != 0 ? code : kernel_attention(&args, stream);
}

static int attention_cls(struct CUstream_st *stream) {
    const struct kernel_attention_cls args = {
        DTYPE_F16,     N, HEADS, H / HEADS, 1, at<int32_t>(7), at<void *>(8), at<void *>(9),
        at<void *>(10)};
    const int code = embed(stream);
    return code != 0 ? code : kernel_attention_cls(&args, stream);
}

static int gather_cls(struct CUstream_st *stream) {
    const struct kernel_gather_cls args = {DTYPE_F16,    N, H, at<int32_t>(7), at<void *>(8),
                                           at<void *>(9)};
    const int code = embed(stream);
    return code != 0 ? code : kernel_gather_cls(&args, stream);
}

static int head(struct CUstream_st *stream) {
    const struct kernel_head args = {
        HEAD_TANH,    N,           H, K, at<float>(0), at<float>(1), at<float>(2), at<float>(3),
        at<float>(4), at<float>(5)};
    return kernel_head(&args, stream);
}

static const kernel &kernel_of(int i) {
    static const std::vector<kernel> kernels = {
        {"embed",
         embed,
         {{0, R * 4, false},
          {1, R * 4, false},
          {2, H * 2, false},
          {3, H * 4, false},
          {4, H * 4, false},
          {5, H * 4, false},
          {6, R * H * 2, true}}},
        {"layer_norm",
         layer_norm,
         {{0, R * H * 4, false},
          {1, H * 4, false},
          {2, R * H * 4, false},
          {3, H * 4, false},
          {4, H * 4, false},
          {5, R * H * 4, true}}},
        {"gelu", gelu, {{0, 2 * H * 4, false}, {1, R * 2 * H * 2, true}}},
        {"attention",
         attention,
         {{7, R * 3 * H * 2, false},
          {8, N * sizeof(struct attention_item), false},
          {9, (ATTENTION_BUCKETS + 1) * 4, false},
          {10, R * H * 2, true}}},
        {"attention_cls",
         attention_cls,
         {{7, (N + 1) * 4, false},
          {8, N * H * 2, false},
          {9, R * 2 * H * 2, false},
          {10, N * H * 2, true}}},
        {"gather_cls",
         gather_cls,
         {{7, (N + 1) * 4, false}, {8, R * H * 2, false}, {9, N * H * 2, true}}},
        {"head",
         head,
         {{0, N * H * 4, false},
          {1, H * 4, false},
          {2, K * H * 4, false},
          {3, K * 4, false},
          {4, N * K * 4, true},
          {5, N * K * 4, true}}}};
    return kernels[(size_t)i];
}
enum { N_KERNELS = 7 };

// A byte of the part is touched by another stream: written, or read where the kernel writes it.
static void touch() {
    bench b = bench_open();
    void *block;
    WANT(gpu_alloc(N_PARTS * PART_NBYTES, &block), 0);
    memory = static_cast<char *>(block);
    WANT(kernel_of(asked.kernel).run(b.a), 0);
    char *byte = at<char>(asked.touched.number);
    if (!asked.is_first_byte) byte += asked.touched.nbytes - 1;
    if (asked.is_beside) byte++;
    if (asked.touched.is_written) {
        WANT(gpu_copy_out(b.pinned, byte, 1, b.b), 0);
    } else {
        WANT(gpu_zero(byte, 1, b.b), 0);
    }
    _exit(0);  // without running any of it
}

int main() {
    for (int k = 0; k < N_KERNELS; k++) {
        const kernel &kernel = kernel_of(k);
        for (const part &part : kernel.parts) {
            asked = {k, part, true, false};
            trial_misuse(kernel.name, touch, "no stream, event or query orders the two");
            asked = {k, part, false, false};
            trial_misuse(kernel.name, touch, kernel.name);
            asked = {k, part, false, true};
            trial_well(kernel.name, touch);
        }
    }
    return check_result();
}
