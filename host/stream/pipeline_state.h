// SPDX-License-Identifier: Apache-2.0
//
// What the pipeline's stages share, private to pipeline*.c. How they work together is told at the
// top of pipeline.c.
#ifndef WADER_HOST_STREAM_PIPELINE_STATE_H
#define WADER_HOST_STREAM_PIPELINE_STATE_H

#include <pthread.h>

#include "host/stream/pipeline.h"

struct fifo {
    struct chunk *first, *last;
};

struct pipeline {
    struct pipeline_config config;
    struct input *input;
    struct output *output;
    struct chunk **chunks;  // [n_chunks], for freeing them
    int32_t n_chunks;
    pthread_t *threads;
    int32_t n_threads;

    pthread_mutex_t mutex;  // guards all below
    pthread_cond_t changed;
    struct fifo free, raw, packed;
    struct chunk **ready;  // [n_chunks], by sequence modulo n_chunks
    bool read_all;         // `raw` gets no more
    bool packed_all;       // `packed` gets no more, and no batch is submitted
    bool draining;
    int64_t n_submitted, n_released;  // batches; slot of batch b: b modulo n_slots
    bool stopping;
    enum status status;  // the first failure
    struct error error;
    int32_t n_running;  // stages that have not left
    struct totals totals;
    struct checkpoint *noted;  // the latest; NULL where nobody wants to know
    bool noted_is_new;
};

// The stages' threads; each takes the pipeline.
void *pipeline_run_reader(void *pipeline);
void *pipeline_run_tokenizer(void *pipeline);
void *pipeline_run_packer(void *pipeline);
void *pipeline_run_writer(void *pipeline);

void pipeline_lock(struct pipeline *pipeline);
void pipeline_unlock(struct pipeline *pipeline);

// The same behind a change of anything below the mutex: it may be what another stage waits for.
void pipeline_unlock_changed(struct pipeline *pipeline);

// Under the mutex: waits for a change.
void pipeline_await_change(struct pipeline *pipeline);

// Under the mutex.
void fifo_push(struct fifo *fifo, struct chunk *chunk);
struct chunk *fifo_pop(struct fifo *fifo);

// Keeps the first failure and makes every stage leave. `error` may be NULL.
void pipeline_fail(struct pipeline *pipeline, enum status status, const struct error *error);

// Under the mutex: no more is to be begun.
static inline bool pipeline_is_ending(const struct pipeline *pipeline) {
    return pipeline->stopping || pipeline->draining;
}

// A stage has ended.
void pipeline_leave(struct pipeline *pipeline);

// A stage is done with a chunk; the last one gives it back to the reader.
void pipeline_let_go(struct pipeline *pipeline, struct chunk *chunk);

#endif
