// SPDX-License-Identifier: Apache-2.0
//
// A batch on a device: what is enqueued for it on the three streams.
//
//   copy_in   ─ inputs ─ copied
//   compute            └─ begun ─ graph ─ computed
//   copy_out                            └─ logits ─ done
//
// All graphs run on one stream, for they share the activations. A batch's own memory on the device
// is used by the batch alone, and the host has seen its `done` before it fills it anew: nothing
// else has to wait.
#include <stdlib.h>

#include "cuda/device_worker.h"

// In a function that returns a code: passes on the first that is not 0.
#define TRY(call)                     \
    do {                              \
        const int code_ = (call);     \
        if (code_ != 0) return code_; \
    } while (0)

static char *device_part(const struct device_worker *worker, int32_t i) {
    const struct memory_plan *plan = &worker->forward.plan;
    return worker->forward.block + plan->slots + (size_t)i * plan->slot.nbytes;
}

// Everything before the pass and behind it is the same for a graph and for a pass without one.
static int copy_inputs(struct device_worker *worker, int32_t i) {
    const struct device_batch *batch = &worker->batches[i];
    forward_prepare(&worker->forward, batch->slot.n_titles, batch->pinned);
    TRY(gpu_copy_in(device_part(worker, i), batch->pinned, worker->forward.plan.slot.inputs_nbytes,
                    worker->copy_in));
    TRY(gpu_event_record(batch->copied, worker->copy_in));
    TRY(gpu_stream_wait(worker->compute, batch->copied));
    return gpu_event_record(batch->begun, worker->compute);
}

static int copy_logits(struct device_worker *worker, int32_t i) {
    const struct device_batch *batch = &worker->batches[i];
    const struct slot_places *places = &worker->forward.plan.slot;
    TRY(gpu_event_record(batch->computed, worker->compute));
    TRY(gpu_stream_wait(worker->copy_out, batch->computed));
    TRY(gpu_copy_out(batch->pinned + places->logits, device_part(worker, i) + places->logits,
                     places->logits_nbytes, worker->copy_out));
    return gpu_event_record(batch->done, worker->copy_out);
}

int device_batch_enqueue(struct device_worker *worker, int32_t i) {
    struct CUgraphExec_st *graph = worker->batches[i].graph;
    TRY(copy_inputs(worker, i));
    TRY(graph != NULL ? gpu_graph_launch(graph, worker->compute)
                      : forward_enqueue(&worker->forward, i, worker->compute));
    return copy_logits(worker, i);
}

static int make(struct device_worker *worker, int32_t i) {
    struct device_batch *batch = &worker->batches[i];
    const struct slot_places *places = &worker->forward.plan.slot;
    void *pinned;
    TRY(gpu_alloc_pinned(places->nbytes, &pinned));
    batch->pinned = pinned;
    batch->slot.token_ids = (int32_t *)(void *)(batch->pinned + places->token_ids);
    batch->slot.cu_seqlens = (int32_t *)(void *)(batch->pinned + places->cu_seqlens);
    batch->slot.logits = (float *)(void *)(batch->pinned + places->logits);
    batch->slot.cu_seqlens[0] = 0;
    batch->slot.n_titles = 0;
    TRY(gpu_event_create(&batch->copied));
    TRY(gpu_event_create(&batch->begun));
    TRY(gpu_event_create(&batch->computed));
    return gpu_event_create(&batch->done);
}

// A graph saves launches and changes no result: where a library refuses to be captured, the batch
// does without. A device that fails will do so in the pass that follows.
static void capture(struct device_worker *worker, int32_t i) {
    if (gpu_capture_begin(worker->compute) != 0) return;
    const int code = forward_enqueue(&worker->forward, i, worker->compute);
    (void)gpu_capture_end(worker->compute, code == 0 ? &worker->batches[i].graph : NULL);
}

// The first pass is enqueued without a graph: kernels and the library load their code when they are
// first used, which a capture may not allow. All rows are dummies.
int device_batches_open(struct device_worker *worker) {
    const struct poll poll = worker_poll(worker);
    for (int32_t i = 0; i < worker->n_batches; i++) TRY(make(worker, i));
    TRY(copy_inputs(worker, 0));
    TRY(forward_enqueue(&worker->forward, 0, worker->compute));
    TRY(copy_logits(worker, 0));
    TRY(poll_event(&poll, worker->batches[0].done));
    for (int32_t i = 0; i < worker->n_batches; i++) {
        capture(worker, i);
        TRY(device_batch_enqueue(worker, i));
        TRY(poll_event(&poll, worker->batches[i].done));
        worker_progress(worker);
    }
    return 0;
}

static void destroy_events(struct device_profile *profile) {
    (void)gpu_event_destroy(profile->begun);
    profile->begun = NULL;
    for (int32_t m = 0; m < profile->marks.cap; m++) {
        (void)gpu_event_destroy(profile->marks.events[m]);
        profile->marks.events[m] = NULL;
    }
}

void device_batches_close(struct device_worker *worker) {
    if (worker->profile != NULL) destroy_events(worker->profile);
    for (int32_t i = 0; i < worker->n_batches; i++) {
        struct device_batch *batch = &worker->batches[i];
        (void)gpu_graph_destroy(batch->graph);
        (void)gpu_event_destroy(batch->copied);
        (void)gpu_event_destroy(batch->begun);
        (void)gpu_event_destroy(batch->computed);
        (void)gpu_event_destroy(batch->done);
        (void)gpu_free_pinned(batch->pinned);
        *batch = (struct device_batch){0};
    }
}

// ---- what takes how long

// Those that there are not yet.
static int make_events(struct device_profile *profile) {
    if (profile->begun == NULL) TRY(gpu_event_create(&profile->begun));
    for (int32_t m = 0; m < profile->marks.cap; m++) {
        struct CUevent_st **event = &profile->marks.events[m];
        if (*event == NULL) TRY(gpu_event_create(event));
    }
    return 0;
}

static int add_seconds(struct device_profile *profile, enum encoder_work work,
                       struct CUevent_st *begin, struct CUevent_st *end) {
    double seconds;
    TRY(gpu_event_seconds(begin, end, &seconds));
    profile->seconds.seconds[work] += seconds;
    return 0;
}

static int run_marked(struct device_worker *worker) {
    struct device_profile *profile = worker->profile;
    const int32_t i = profile->batch;
    const struct device_batch *batch = &worker->batches[i];
    const struct poll poll = worker_poll(worker);
    TRY(gpu_event_record(profile->begun, worker->copy_in));
    TRY(copy_inputs(worker, i));
    worker->forward.marks = &profile->marks;
    const int code = forward_enqueue(&worker->forward, i, worker->compute);
    worker->forward.marks = NULL;
    TRY(code);
    TRY(copy_logits(worker, i));
    return poll_event(&poll, batch->done);
}

static int read_marks(struct device_worker *worker) {
    struct device_profile *profile = worker->profile;
    const struct forward_marks *marks = &profile->marks;
    const struct device_batch *batch = &worker->batches[profile->batch];
    struct CUevent_st *before = batch->begun;
    TRY(add_seconds(profile, ENCODER_COPY, profile->begun, batch->copied));
    for (int32_t m = 0; m < marks->n; m++) {
        TRY(add_seconds(profile, marks->works[m], before, marks->events[m]));
        before = marks->events[m];
    }
    return add_seconds(profile, ENCODER_COPY, batch->computed, batch->done);
}

int device_batch_profile(struct device_worker *worker) {
    struct device_profile *profile = worker->profile;
    profile->marks.n = 0;
    profile->seconds = (struct encoder_profile){0};
    TRY(make_events(profile));
    TRY(run_marked(worker));
    return read_marks(worker);
}
