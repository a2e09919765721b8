// SPDX-License-Identifier: Apache-2.0
//
// The thread of a device: the steps it does. worker_queue.c has the other side, those who wait.
#include "cuda/device_worker.h"

#include "cuda/device_weights.h"

// How a step failed: `text` has the call and its code's name, `code` is 0 where it is not the
// device that failed.
struct failure {
    int code;
    struct error error;
};

// Names the device. Returns STATUS_AGAIN.
static enum status device_failed(const struct device_worker *worker, const char *what, int code,
                                 struct failure *failure) {
    const struct cuda_device *device = &worker->device;
    char name[128];
    failure->code = code;
    return error_set(&failure->error, STATUS_AGAIN, "CUDA device %d (%s, %s): %s: %s",
                     (int)device->index, device->name, device->uuid, what,
                     gpu_code_name(code, name));
}

// Of a part that tells in `reason` what happened, and in `code` whether it was the device.
static enum status part_failed(const struct device_worker *worker, enum status status, int code,
                               const struct error *reason, struct failure *failure) {
    const struct cuda_device *device = &worker->device;
    failure->code = code;
    if (code == 0) return error_set(&failure->error, status, "%s", reason->text);
    return error_set(&failure->error, STATUS_AGAIN, "CUDA device %d (%s, %s): %s",
                     (int)device->index, device->name, device->uuid, reason->text);
}

// ---- the first step

static enum status probe(struct device_worker *worker, struct failure *failure) {
    int code = gpu_use(worker->device.index);
    if (code == 0) code = gpu_stream_create(&worker->copy_in);
    if (code == 0) code = gpu_stream_create(&worker->compute);
    if (code == 0) code = gpu_stream_create(&worker->copy_out);
    if (code != 0) return device_failed(worker, "it cannot be used", code, failure);
    worker_progress(worker);
    struct error reason;
    const enum status status =
        matmul_open(&worker->device, worker->choices, &worker->matmuls, &code, &reason);
    if (status != STATUS_OK) return part_failed(worker, status, code, &reason, failure);
    size_t total_nbytes;
    code = gpu_memory(&worker->free_nbytes, &total_nbytes);
    if (code == 0) return STATUS_OK;
    return device_failed(worker, "its free memory cannot be read", code, failure);
}

// ---- everything that depends on the number of rows

// Whether nothing is on its way to or from what is to be released. False when that cannot be known,
// and the memory has to stay.
static bool settle(struct device_worker *worker) {
    const struct poll poll = worker_poll(worker);
    struct CUstream_st *const streams[] = {worker->copy_in, worker->compute, worker->copy_out};
    for (size_t i = 0; i < ARRAY_LEN(streams); i++) {
        if (streams[i] != NULL && poll_stream(&poll, streams[i]) == POLL_GIVEN_UP) return false;
    }
    return true;
}

static bool release(struct device_worker *worker) {
    if (!settle(worker)) return false;
    device_products_close(worker);
    device_batches_close(worker);
    forward_destroy(&worker->forward);
    (void)gpu_free(worker->forward.block);
    worker->forward = (struct forward){0};
    return true;
}

// Activations are zeroed once: rows that no kernel writes are read by products.
static enum status fill_memory(struct device_worker *worker, struct failure *failure) {
    const struct poll poll = worker_poll(worker);
    const struct memory_plan *plan = &worker->forward.plan;
    char *block = worker->forward.block;
    int code = gpu_zero(block + plan->weights_nbytes, plan->nbytes - plan->weights_nbytes,
                        worker->compute);
    if (code != 0) return device_failed(worker, "its memory cannot be cleared", code, failure);
    struct error reason;
    const enum status status = device_weights_upload(worker->model, plan, worker->dtype, block,
                                                     worker->compute, &poll, &code, &reason);
    if (status == STATUS_OK) return status;
    return part_failed(worker, status, code, &reason, failure);
}

static enum status open_rows(struct device_worker *worker, struct failure *failure) {
    struct forward *forward = &worker->forward;
    *forward = (struct forward){
        .config = &worker->config,
        .dtype = worker->dtype,
        .n_rows = worker->n_rows,
        .n_titles = memory_plan_titles(worker->n_rows),
        .n_multiprocessors = worker->device.n_multiprocessors,
    };
    const struct memory_request request = {.config = forward->config,
                                           .dtype = worker->dtype,
                                           .n_rows = forward->n_rows,
                                           .n_titles = forward->n_titles,
                                           .n_slots = worker->n_batches,
                                           .scratch_nbytes = MATMUL_WORKSPACE_NBYTES};
    if (!memory_plan_make(&request, &forward->plan)) {
        failure->code = 0;
        return error_set(&failure->error, STATUS_MODEL, "no batch of %d tokens of this model",
                         (int)forward->n_rows);
    }
    // Before the memory is taken: to choose algorithms the library may load code, which wants some.
    struct error reason;
    int code;
    enum status status = forward_create(forward, worker->matmuls, &code, &reason);
    if (status != STATUS_OK) return part_failed(worker, status, code, &reason, failure);
    worker_progress(worker);
    void *block;
    code = gpu_alloc(forward->plan.nbytes, &block);
    if (code != 0) return device_failed(worker, "allocating the encoder's memory", code, failure);
    forward->block = block;
    matmul_set_workspace(worker->matmuls, forward->block + forward->plan.scratch);
    status = fill_memory(worker, failure);
    if (status != STATUS_OK) return status;
    code = device_batches_open(worker);
    return code == 0 ? STATUS_OK : device_failed(worker, "the first batch failed", code, failure);
}

// What was open before, of another number of rows, goes first.
static enum status open_again(struct device_worker *worker, struct failure *failure) {
    enum status status = STATUS_AGAIN;
    if (release(worker)) status = open_rows(worker, failure);
    if (status != STATUS_OK) (void)release(worker);
    return status;
}

static void shut(struct device_worker *worker) {
    if (!release(worker)) return;
    matmul_close(worker->matmuls);
    (void)gpu_stream_destroy(worker->copy_in);
    (void)gpu_stream_destroy(worker->compute);
    (void)gpu_stream_destroy(worker->copy_out);
}

// ---- batches

// Looks at the batch that was enqueued first; they end in that order.
static int look(struct device_worker *worker) {
    struct device_batch *batch = &worker->batches[worker->queue[worker->first]];
    bool done = false;
    int code = gpu_event_is_done(batch->done, &done);
    if (code == 0 && done) {
        code = gpu_event_seconds(batch->begun, batch->computed, &batch->slot.seconds);
        if (code == 0) worker_finish(worker);
    } else if (code == 0) {
        poll_pause();
    }
    return code;
}

static void serve(struct device_worker *worker) {
    int code = 0;
    while (code == 0) {
        const int32_t i = worker_take(worker);
        if (i == WORKER_LEAVE) return;
        code = i == WORKER_NONE ? look(worker) : device_batch_enqueue(worker, i);
    }
    struct failure failure;
    (void)device_failed(worker, "a batch failed", code, &failure);
    worker_lose(worker, &failure.error);
}

static enum status profile(struct device_worker *worker, struct failure *failure) {
    const int code = device_batch_profile(worker);
    if (code == 0) return STATUS_OK;
    const enum status status = device_failed(worker, "a batch failed", code, failure);
    worker_lose(worker, &failure->error);
    return status;
}

static enum status products(struct device_worker *worker, struct failure *failure) {
    enum status status = worker_check(worker, &failure->error);
    if (status != STATUS_OK) return status;
    const int code = device_products_measure(worker);
    if (code == 0) return STATUS_OK;
    status = device_failed(worker, "a product failed", code, failure);
    worker_lose(worker, &failure->error);
    return status;
}

void *worker_main(void *argument) {
    struct device_worker *worker = argument;
    for (;;) {
        struct failure failure = {0};
        enum status status = STATUS_OK;
        const enum worker_step step = worker_next_step(worker);
        if (step == WORKER_PROBE) status = probe(worker, &failure);
        if (step == WORKER_OPEN) status = open_again(worker, &failure);
        if (step == WORKER_PROFILE) status = profile(worker, &failure);
        if (step == WORKER_PRODUCTS) status = products(worker, &failure);
        if (step == WORKER_CLOSE) shut(worker);
        const bool out_of_memory = status != STATUS_OK && gpu_code_is_memory(failure.code);
        worker_report(worker, status, out_of_memory, &failure.error);
        if (step == WORKER_SERVE) serve(worker);
        if (step == WORKER_CLOSE) return NULL;
    }
}
