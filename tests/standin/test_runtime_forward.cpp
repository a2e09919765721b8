// SPDX-License-Identifier: Apache-2.0
//
// The forward pass on the stand-in, products by its cublasLt: the same bits enqueued as they are,
// as a graph, in any turn of the streams and beside another batch; faults of kernels end it.
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

extern "C" {
#include "cuda/device_weights.h"
#include "cuda/forward.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
}
#include "cuda/kernels.h"
#include "tests/standin/standin.h"
#include "tests/standin/trial.h"
#include "tests/support/must.h"

enum { N_ROWS = 60, N_TITLES = 4, N_SLOTS = 2 };

struct pass {
    struct model *model;
    struct cuda_devices devices;
    struct matmul_choices *choices;
    struct matmul_context *context;
    struct CUstream_st *stream;
    struct forward forward;
    void *workspace;
    char *pinned;  // the slots
};

static void pass_open(pass *pass, enum dtype dtype) {
    struct tiny_model_spec spec = tiny_model_default();
    spec.config.hidden_size = 64;
    spec.config.n_heads = 2;
    struct error error;
    int code = 0;
    void *memory;
    memset(pass, 0, sizeof *pass);
    pass->model = tiny_model_open(&spec);
    cuda_devices_find(&pass->devices);
    WANT(gpu_use(0), 0);
    WANT(gpu_stream_create(&pass->stream), 0);
    must(matmul_choices_open(&pass->devices.devices[0], &pass->choices, &error), &error);
    must(matmul_open(&pass->devices.devices[0], pass->choices, &pass->context, &code, &error),
         &error);
    WANT(gpu_alloc(MATMUL_WORKSPACE_NBYTES, &pass->workspace), 0);
    matmul_set_workspace(pass->context, pass->workspace);
    struct forward *forward = &pass->forward;
    forward->config = &pass->model->config;
    forward->dtype = dtype;
    forward->n_rows = N_ROWS;
    forward->n_titles = N_TITLES;
    forward->n_multiprocessors = 3;
    const struct memory_request request = {forward->config, dtype, N_ROWS, N_TITLES, N_SLOTS, 0};
    WANT(memory_plan_make(&request, &forward->plan), true);
    WANT(gpu_alloc(forward->plan.nbytes, &memory), 0);
    forward->block = static_cast<char *>(memory);
    WANT(gpu_zero(forward->block, forward->plan.nbytes, pass->stream), 0);
    const struct poll poll = {};
    must(device_weights_upload(pass->model, &forward->plan, dtype, forward->block, pass->stream,
                               &poll, &code, &error),
         &error);
    must(forward_create(forward, pass->context, &code, &error), &error);
    WANT(gpu_alloc_pinned(N_SLOTS * forward->plan.slot.nbytes, &memory), 0);
    pass->pinned = static_cast<char *>(memory);
}

// The device's calls return `code`.
static void pass_close(pass *pass, int code = 0) {
    forward_destroy(&pass->forward);
    matmul_close(pass->context);
    matmul_choices_close(pass->choices);
    WANT(gpu_free(pass->workspace), code);
    WANT(gpu_free(pass->forward.block), code);
    WANT(gpu_free_pinned(pass->pinned), code);
    WANT(gpu_stream_destroy(pass->stream), code);
    model_close(pass->model);
}

// Of the slot, with titles that depend on `seed`.
static void fill(pass *pass, int slot, unsigned seed) {
    const struct slot_places *places = &pass->forward.plan.slot;
    char *pinned = pass->pinned + (size_t)slot * places->nbytes;
    int32_t *ids = reinterpret_cast<int32_t *>(pinned + places->token_ids);
    int32_t *cu_seqlens = reinterpret_cast<int32_t *>(pinned + places->cu_seqlens);
    cu_seqlens[0] = 0;
    for (int i = 0; i < 3; i++) {
        cu_seqlens[i + 1] = cu_seqlens[i] + 3 + (int32_t)((seed + (unsigned)i) * 7 % 15);
    }
    for (int t = 0; t < cu_seqlens[3]; t++)
        ids[t] = (int32_t)((seed * 31 + (unsigned)t * 17) % 200);
    forward_prepare(&pass->forward, 3, pinned);
}

static char *device_slot(const pass *pass, int slot) {
    const struct memory_plan *plan = &pass->forward.plan;
    return pass->forward.block + plan->slots + (size_t)slot * plan->slot.nbytes;
}

static void copy_in(pass *pass, int slot) {
    const struct slot_places *places = &pass->forward.plan.slot;
    WANT(gpu_copy_in(device_slot(pass, slot), pass->pinned + (size_t)slot * places->nbytes,
                     places->inputs_nbytes, pass->stream),
         0);
}

static std::vector<char> fetch(pass *pass, int slot) {
    const struct slot_places *places = &pass->forward.plan.slot;
    char *pinned = pass->pinned + (size_t)slot * places->nbytes + places->logits;
    WANT(gpu_copy_out(pinned, device_slot(pass, slot) + places->logits, places->logits_nbytes,
                      pass->stream),
         0);
    WANT(await_stream(pass->stream), 0);
    return std::vector<char>(pinned, pinned + places->logits_nbytes);
}

static std::vector<char> run(pass *pass, int slot, unsigned seed) {
    fill(pass, slot, seed);
    copy_in(pass, slot);
    WANT(forward_enqueue(&pass->forward, slot, pass->stream), 0);
    return fetch(pass, slot);
}

static void same_bits(enum dtype dtype) {
    pass pass;
    pass_open(&pass, dtype);
    const std::vector<char> wanted = run(&pass, 0, 5), other = run(&pass, 1, 6);
    WANT(wanted == other, false);
    for (size_t i = 0; i < wanted.size(); i += sizeof(float)) {
        float value;
        memcpy(&value, &wanted[i], sizeof value);
        WANT(std::isfinite(value), true);
    }
    struct CUgraphExec_st *graphs[N_SLOTS];
    for (int slot = 0; slot < N_SLOTS; slot++) {
        WANT(gpu_capture_begin(pass.stream), 0);
        WANT(forward_enqueue(&pass.forward, slot, pass.stream), 0);
        WANT(gpu_capture_end(pass.stream, &graphs[slot]), 0);
    }
    for (int round = 0; round < 3; round++) {
        const int slot = round % N_SLOTS;
        fill(&pass, slot, 5);
        fill(&pass, 1 - slot, 6);
        copy_in(&pass, 1 - slot);
        copy_in(&pass, slot);
        WANT(gpu_graph_launch(graphs[1 - slot], pass.stream), 0);
        WANT(gpu_graph_launch(graphs[slot], pass.stream), 0);
        WANT(fetch(&pass, slot) == wanted, true);
        WANT(fetch(&pass, 1 - slot) == other, true);
    }
    for (struct CUgraphExec_st *graph : graphs) WANT(gpu_graph_destroy(graph), 0);
    pass_close(&pass);
}

template <enum dtype dtype>
static void trial_bits() {
    same_bits(dtype);
}

// A token that the vocabulary does not have: a million rows behind its table.
static void token_beyond() {
    pass pass;
    pass_open(&pass, DTYPE_F32);
    fill(&pass, 0, 5);
    reinterpret_cast<int32_t *>(pass.pinned + pass.forward.plan.slot.token_ids)[2] = 1000000;
    copy_in(&pass, 0);
    WANT(forward_enqueue(&pass.forward, 0, pass.stream), 0);
    await_stream(pass.stream);
}

// The arguments say that the kernel writes beyond the block.
static void rows_beyond() {
    pass pass;
    pass_open(&pass, DTYPE_F32);
    struct kernel_gelu args = {};
    args.dtype = DTYPE_F32;
    args.n_rows = 1000000;
    args.n_columns = 64;
    args.x = pass.forward.block;
    kernel_gelu(&args, pass.stream);
}

// The inputs are still on their way when another stream computes with them.
static void inputs_unordered() {
    pass pass;
    struct CUstream_st *stream;
    pass_open(&pass, DTYPE_F32);
    WANT(gpu_stream_create(&stream), 0);
    fill(&pass, 0, 5);
    copy_in(&pass, 0);
    forward_enqueue(&pass.forward, 0, stream);
}

static void launch_fails() {
    pass pass;
    pass_open(&pass, DTYPE_F32);
    fill(&pass, 0, 5);
    copy_in(&pass, 0);
    WANT(forward_enqueue(&pass.forward, 0, pass.stream), 98);
    WANT(await_stream(pass.stream), 0);
    run(&pass, 0, 5);
    pass_close(&pass);
}

static void product_fails_late() {
    pass pass;
    pass_open(&pass, DTYPE_F32);
    fill(&pass, 0, 5);
    copy_in(&pass, 0);
    WANT(forward_enqueue(&pass.forward, 0, pass.stream), 0);
    WANT(await_stream(pass.stream), 719);
    pass_close(&pass, 719);
}

int main() {
    char variable[40], cache[TEMP_PATH_MAX];
    temp_dir_make(cache);  // where no choices are kept
    setenv("XDG_CACHE_HOME", cache, 1);
    for (int seed = 1; seed <= 3; seed++) {
        snprintf(variable, sizeof variable, "STANDIN_SEED=%d", seed);
        trial_well("fp32", trial_bits<DTYPE_F32>, {variable});
        trial_well("fp16", trial_bits<DTYPE_F16>, {variable});
        trial_well("bf16", trial_bits<DTYPE_BF16>, {variable});
    }
    trial_misuse("token beyond", token_beyond, "failed on the emulator");
    trial_misuse("rows beyond", rows_beyond, "not within one block of memory");
    trial_misuse("inputs unordered", inputs_unordered, "reads what a copy to the device");
    trial_well("launch", launch_fails, {"STANDIN_FAIL=launch:4:98"});
    trial_well("product", product_fails_late, {"STANDIN_FAIL=product:2:13:late"});
    temp_dir_remove(cache);
    return check_result();
}
