// SPDX-License-Identifier: Apache-2.0
//
// One device of a CUDA encoder and the thread that alone calls the driver for it. Whoever made it
// asks for one step after the other; the thread does it and reports. Private to the encoder:
// encoder_cuda.c asks and waits with the functions of worker_queue.c, device_worker.c does the
// steps, device_batch.c the batches.
//
// Thread rule: the fields behind `mutex` are for who holds it. All others belong to the device's
// thread while it does a step, and to the asker otherwise.
#ifndef WADER_CUDA_DEVICE_WORKER_H
#define WADER_CUDA_DEVICE_WORKER_H

#include <pthread.h>

#include "cuda/device.h"
#include "cuda/forward.h"
#include "cuda/matmul.h"
#include "cuda/poll.h"
#include "host/encoder/encoder.h"

// A batch of a device: pinned memory, laid out as memory_plan.h says, and what runs it.
struct device_batch {
    struct encoder_slot slot;
    char *pinned;
    struct CUgraphExec_st *graph;
    struct CUevent_st *copied, *begun, *computed, *done;
    bool is_done;  // under the mutex: its logits are there
};

// What WORKER_PROFILE is to do, and what came of it.
struct device_profile {
    int32_t batch;
    struct forward_marks marks;
    struct CUevent_st *begun;  // in front of everything
    struct encoder_profile seconds;
};

// What WORKER_PRODUCTS is to do, and what came of it.
struct device_products {
    double seconds;  // to be spent on each shape, about
    struct encoder_products best;
    struct matmul *matmul;  // the rest while it measures
    void *x, *weight, *y, *pinned;
    struct CUevent_st *begin, *end;
};

enum worker_step {
    WORKER_NOTHING,
    WORKER_PROBE,     // context, library, free memory
    WORKER_OPEN,      // memory, weights, graphs, a first run of each, with `n_rows`; may come again
    WORKER_PROFILE,   // one batch by itself, as `profile` has it; nothing else is on its way
    WORKER_PRODUCTS,  // large products alone, as `products` has it; nothing else is on its way
    WORKER_SERVE,     // batches, until another step is asked for; reported at once
    WORKER_CLOSE,     // everything is released, the thread ends
};

struct device_worker {
    // Set before the thread starts.
    struct cuda_device device;
    struct bert_config config;  // the model's, which may be closed while a stuck thread lives on
    const struct model *model;
    struct matmul_choices *choices;
    enum dtype dtype;
    int32_t n_batches, timeout_seconds;

    // What the steps make.
    struct CUstream_st *copy_in, *compute, *copy_out;
    struct matmul_context *matmuls;
    size_t free_nbytes;              // by WORKER_PROBE
    int32_t n_rows;                  // for WORKER_OPEN
    struct forward forward;          // by WORKER_OPEN, as are the batches
    struct device_batch *batches;    // [n_batches]
    struct device_profile *profile;  // once WORKER_PROFILE was asked for
    struct device_products products;

    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t asked;    // the thread waits for it: a step, a batch
    pthread_cond_t changed;  // the others do: a report, a batch that is done, a loss
    enum worker_step step;   // asked for and not yet taken
    bool reported;           // the step is done,
    enum status status;      // and how it ended
    bool out_of_memory;      // why it failed: a smaller batch may do
    uint64_t n_progress;     // grows whenever something got done
    int32_t *queue;          // [n_batches], a ring in the order of submission: first those that
    int32_t first, n_running, n_waiting;  // run on the device, behind them those that will
    bool lost;                            // there will be no more batches
    bool stuck;                           // for the thread hangs in a call: nothing may be freed
    struct error error;                   // of the step, or why it is lost
};

// ---- for who asks (worker_queue.c)

// Starts the thread. `worker` is zeroed but for what is set before; it stays where it is. STATUS_IO
// without memory or threads; nothing is left then.
enum status worker_start(struct device_worker *worker, struct error *error);

// Hands a step to the thread, which has reported its last one, or is lost.
void worker_ask(struct device_worker *worker, enum worker_step step);

// Waits for the step to be done. After timeout_seconds without progress the device is lost and
// stuck. STATUS_AGAIN when the device failed, else as the step ended. `*out_of_memory`: that is
// why, so a smaller batch may do.
enum status worker_await(struct device_worker *worker, bool *out_of_memory, struct error *error);

void worker_submit(struct device_worker *worker, int32_t batch);
// With the same patience. STATUS_AGAIN when the device was lost before the batch was done.
enum status worker_await_batch(struct device_worker *worker, int32_t batch, struct error *error);

enum status worker_check(struct device_worker *worker, struct error *error);  // whether it is lost

// Has `batch` computed by itself and asks the thread to serve again. No batch is on its way.
enum status worker_profile(struct device_worker *worker, int32_t batch,
                           struct encoder_profile *profile, struct error *error);

// After WORKER_CLOSE. False when the thread is stuck: `worker` and all it uses must live on.
bool worker_join(struct device_worker *worker);

// ---- for the thread

void *worker_main(void *worker);  // device_worker.c

enum worker_step worker_next_step(struct device_worker *worker);
void worker_report(struct device_worker *worker, enum status status, bool out_of_memory,
                   const struct error *error);
void worker_lose(struct device_worker *worker, const struct error *error);
void worker_progress(struct device_worker *worker);
struct poll worker_poll(struct device_worker *worker);  // gives up when the device is stuck

// The next batch to enqueue; WORKER_NONE when there is none now and one runs; WORKER_LEAVE when
// none runs and another step is asked for, or the device is lost. Waits while nothing is to do.
enum { WORKER_NONE = -1, WORKER_LEAVE = -2 };
int32_t worker_take(struct device_worker *worker);
void worker_finish(struct device_worker *worker);  // the first of those that run

// From now on encoder_cuda_is_stuck() (device_search.c).
void worker_mark_stuck(void);

// ---- device_batch.c. Return a code of runtime.h or poll.h.

// Pinned memory, events and graphs of all batches, once the rest of `forward` is made; runs each
// once. What was made is released by device_batches_close, also after a failure.
int device_batches_open(struct device_worker *worker);
void device_batches_close(struct device_worker *worker);

// Enqueues batch `i`; its event `done` is behind everything.
int device_batch_enqueue(struct device_worker *worker, int32_t i);

// Runs the batch of worker->profile without a graph and waits for it: its logits are there then,
// and where the time went. Its events go with device_batches_close.
int device_batch_profile(struct device_worker *worker);

// ---- device_products.c. As above.

// Finds worker->products.best: what the library's large products reach. Without a rate where there
// is no memory for any. Whatever a failure left is released by device_products_close.
int device_products_measure(struct device_worker *worker);
void device_products_close(struct device_worker *worker);

#endif
