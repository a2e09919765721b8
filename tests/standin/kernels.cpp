// SPDX-License-Identifier: Apache-2.0
//
// Kernels: each function of cuda/kernels.h is called through a function of this file (the linker's
// --wrap), which knows from the arguments what the kernel will touch. Where the arguments do not
// say how far it reaches (rows of keys, of the vocabulary), a row is taken, or as many as the last
// kernel_embed on the stream had.
#include "cuda/kernels.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "emulator.h"
#include "tests/standin/kernels.h"
#include "tests/standin/world.h"

namespace standin {

// Of the function of kernels.h that the thread is in.
static thread_local const standin_operation *touched;

static const size_t HEADER_NBYTES = (sizeof(simt::kernel_launch) + 15) / 16 * 16;

// The emulator gives each thread that runs a kernel a stack for signals, for good. AddressSanitizer
// takes the one it finds when a thread ends for its own, so that one is put back; and what a thread
// that has ended was given stays known, so that it is no leak.
static int run_on_own_stack(const simt::kernel_launch &launch) {
    static std::vector<void *> &stacks = *new std::vector<void *>;  // guarded by the lock
    static thread_local stack_t emulators;
    stack_t before;
    sigaltstack(nullptr, &before);
    const bool is_first = emulators.ss_sp == nullptr;
    if (!is_first) sigaltstack(&emulators, nullptr);
    const int code = simt::run(launch);
    sigaltstack(nullptr, &emulators);
    sigaltstack(&before, nullptr);
    if (is_first) stacks.push_back(emulators.ss_sp);
    return code;
}

static void run_kernel(const void *closure) {
    const char *bytes = static_cast<const char *>(closure);
    simt::kernel_launch launch;
    memcpy(static_cast<void *>(&launch), bytes, sizeof launch);
    launch.closure = bytes + HEADER_NBYTES;
    const int code = run_on_own_stack(launch);
    if (code != 0 || simt::faults_in_all() != 0)
        standin_misuse("kernel %s failed on the emulator, with code %d and %ld faults", launch.name,
                       code, simt::faults_in_all());
}

static int take(const simt::kernel_launch &launch) {
    if (touched == nullptr)
        standin_misuse("kernel %s is launched past the functions of kernels.h", launch.name);
    int code = standin_enter(STANDIN_LAUNCH);
    if (code == 0) {
        std::vector<char> closure(HEADER_NBYTES + launch.closure_nbytes);
        memcpy(closure.data(), static_cast<const void *>(&launch), sizeof launch);
        memcpy(closure.data() + HEADER_NBYTES, launch.closure, launch.closure_nbytes);
        standin_operation operation = *touched;
        operation.kind = STANDIN_LAUNCH;
        operation.name = launch.name;
        operation.run = run_kernel;
        operation.closure = closure.data();
        operation.closure_nbytes = closure.size();
        code = standin_enqueue(&operation, launch.stream);
    }
    return note_error(code);
}

void take_launches(void) {
    const char *wrong = simt::set_from_environment();
    if (wrong != nullptr) {
        fprintf(stderr, "standin: %s\n", wrong);
        _exit(2);
    }
    simt::on_launch(take);
}

template <typename Arguments>
static int call(int (*real)(const Arguments *args, struct CUstream_st *stream),
                const Arguments *args, struct CUstream_st *stream,
                const standin_operation &operation) {
    the_world();
    touched = &operation;
    const int code = real(args, stream);
    touched = nullptr;
    if (simt::faults_in_all() != 0) standin_misuse("the emulator refuses a launch");
    return code;
}

// ---- what they touch

static size_t size_of(enum dtype dtype) {
    return dtype == DTYPE_F32 ? 4 : 2;
}

static size_t n_bytes(int64_t n_rows, int64_t n_columns, size_t element_nbytes) {
    return (size_t)n_rows * (size_t)n_columns * element_nbytes;
}

static void reads(standin_operation *operation, const void *begin, size_t nbytes) {
    if (begin != nullptr) operation->reads[operation->n_reads++] = {begin, nbytes};
}

static void writes(standin_operation *operation, const void *begin, size_t nbytes) {
    if (begin != nullptr) operation->writes[operation->n_writes++] = {begin, nbytes};
}

static int32_t rows_of(CUstream_st *stream) {
    std::lock_guard<std::mutex> guard(the_world().lock);
    const int32_t n_rows = use_stream(stream)->n_rows;
    return n_rows > 0 ? n_rows : 1;
}

static void note_rows(CUstream_st *stream, int32_t n_rows) {
    std::lock_guard<std::mutex> guard(the_world().lock);
    use_stream(stream)->n_rows = n_rows;
}

}  // namespace standin

using namespace standin;

#define WRAPPED(kernel)                                                                    \
    extern "C" int __real_##kernel(const struct kernel *args, struct CUstream_st *stream); \
    extern "C" int __wrap_##kernel(const struct kernel *args, struct CUstream_st *stream)

WRAPPED(kernel_embed) {
    standin_operation o = {};
    const size_t h = (size_t)args->hidden_size;
    reads(&o, args->token_ids, n_bytes(args->n_rows, 1, 4));
    reads(&o, args->position_ids, n_bytes(args->n_rows, 1, 4));
    reads(&o, args->word, h * size_of(args->dtype));
    reads(&o, args->position, h * 4);
    reads(&o, args->weight, h * 4);
    reads(&o, args->bias, h * 4);
    writes(&o, args->out, n_bytes(args->n_rows, args->hidden_size, size_of(args->dtype)));
    note_rows(stream, args->n_rows);
    return call(__real_kernel_embed, args, stream, o);
}

WRAPPED(kernel_layer_norm) {
    standin_operation o = {};
    const size_t row_nbytes = (size_t)args->hidden_size * 4;
    const size_t nbytes = n_bytes(args->n_rows, args->hidden_size, size_of(args->dtype));
    reads(&o, args->x, nbytes);
    reads(&o, args->residual, nbytes);
    reads(&o, args->x_bias, row_nbytes);
    reads(&o, args->weight, row_nbytes);
    reads(&o, args->bias, row_nbytes);
    writes(&o, args->out, nbytes);
    return call(__real_kernel_layer_norm, args, stream, o);
}

WRAPPED(kernel_gelu) {
    standin_operation o = {};
    const size_t nbytes = n_bytes(args->n_rows, args->n_columns, size_of(args->dtype));
    reads(&o, args->bias, (size_t)args->n_columns * 4);
    reads(&o, args->x, nbytes);
    writes(&o, args->x, nbytes);
    return call(__real_kernel_gelu, args, stream, o);
}

WRAPPED(kernel_layer_norm_e4m3) {
    standin_operation o = {};
    const size_t row_nbytes = (size_t)args->hidden_size * 4;
    const size_t nbytes = n_bytes(args->n_rows, args->hidden_size, 2);
    reads(&o, args->x, nbytes);
    reads(&o, args->residual, nbytes);
    reads(&o, args->row_scales, n_bytes(args->n_rows, 1, 4));
    reads(&o, args->column_scales, row_nbytes);
    reads(&o, args->x_bias, row_nbytes);
    reads(&o, args->weight, row_nbytes);
    reads(&o, args->bias, row_nbytes);
    writes(&o, args->out, nbytes);
    writes(&o, args->values, nbytes / 2);
    writes(&o, args->scales, n_bytes(args->n_rows, 1, 4));
    return call(__real_kernel_layer_norm_e4m3, args, stream, o);
}

WRAPPED(kernel_gelu_e4m3) {
    standin_operation o = {};
    const size_t row_nbytes = (size_t)args->n_columns * 4;
    reads(&o, args->x, n_bytes(args->n_rows, args->n_columns, 2));
    reads(&o, args->row_scales, n_bytes(args->n_rows, 1, 4));
    reads(&o, args->column_scales, row_nbytes);
    reads(&o, args->bias, row_nbytes);
    writes(&o, args->values, n_bytes(args->n_rows, args->n_columns, 1));
    writes(&o, args->scales, n_bytes(args->n_rows, 1, 4));
    return call(__real_kernel_gelu_e4m3, args, stream, o);
}

WRAPPED(kernel_attention) {
    standin_operation o = {};
    const int64_t h = (int64_t)args->n_heads * args->head_size;
    const int64_t n_rows = rows_of(stream);
    reads(&o, args->qkv, n_bytes(n_rows, 3 * h, size_of(args->dtype)));
    reads(&o, args->items, n_bytes(args->items_cap, 1, sizeof(struct attention_item)));
    reads(&o, args->starts, (ATTENTION_BUCKETS + 1) * sizeof(int32_t));
    writes(&o, args->context, n_bytes(n_rows, h, size_of(args->dtype)));
    return call(__real_kernel_attention, args, stream, o);
}

WRAPPED(kernel_attention_cls) {
    standin_operation o = {};
    const int64_t h = (int64_t)args->n_heads * args->head_size;
    const size_t nbytes = n_bytes(args->n_titles, h, size_of(args->dtype));
    reads(&o, args->cu_seqlens, n_bytes((int64_t)args->n_titles + 1, 1, 4));
    reads(&o, args->query, nbytes);
    reads(&o, args->key_value, n_bytes(rows_of(stream), 2 * h, size_of(args->dtype)));
    writes(&o, args->context, nbytes);
    return call(__real_kernel_attention_cls, args, stream, o);
}

WRAPPED(kernel_gather_cls) {
    standin_operation o = {};
    const int64_t h = args->hidden_size;
    reads(&o, args->cu_seqlens, n_bytes((int64_t)args->n_titles + 1, 1, 4));
    reads(&o, args->hidden, n_bytes(rows_of(stream), h, size_of(args->dtype)));
    writes(&o, args->cls, n_bytes(args->n_titles, h, size_of(args->dtype)));
    return call(__real_kernel_gather_cls, args, stream, o);
}

WRAPPED(kernel_head) {
    standin_operation o = {};
    const int64_t h = args->hidden_size, k = args->n_labels;
    reads(&o, args->x, n_bytes(args->n_titles, h, 4));
    reads(&o, args->x_bias, n_bytes(1, h, 4));
    reads(&o, args->weight, n_bytes(k, h, 4));
    reads(&o, args->bias, n_bytes(1, k, 4));
    writes(&o, args->logits, n_bytes(args->n_titles, k, 4));
    writes(&o, args->probabilities, n_bytes(args->n_titles, k, 4));
    return call(__real_kernel_head, args, stream, o);
}
