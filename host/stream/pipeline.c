// SPDX-License-Identifier: Apache-2.0
//
// How the stages work together
//
//   reader ──► raw ──► tokenizers ──► ready ──► packer ──► slots ══► encoder ══► writer
//      ▲                                          └──────► packed chunks ─────────►│
//      └────────────────────────────── free chunks ◄───────────────────────────────┘
//
// Memory. Chunks and slots are all made before the first byte is read, and go round. A stage that
// finds none waits, so whichever stage is slowest sets the pace and nothing piles up.
//
// Order. Chunks carry a sequence number. The packer takes them in that order, whichever tokenizer
// was quicker, and packs their titles one after the other into slot 0, 1, ... , n-1, 0, ... . The
// writer walks the same records in the same order, so the next logits it needs are always the next
// ones in the oldest slot: nobody has to remember which title went where.
//
// No deadlock. The writer may wait for a batch that the packer has not submitted, and the packer
// for a slot that the writer has not released, so
//   - the packer hands a chunk to the writer before it packs it: the batches it waits for are ones
//     whose rows the writer already has;
//   - the packer submits an unfilled batch before the batch spans half of all chunks: the writer
//     never sits on all of them waiting for one batch.
// A chunk goes back to the reader when both the packer and the writer are done with it.
//
// Not all titles are packed. Those whose scores an earlier run had, which the tokenizers look up,
// and those that are identical to an earlier one of this run, which the packer knows, are not; the
// writer takes their logits from there (shared_titles.h tells how without a lock). So the next
// logits in the oldest slot are those of the next record that is neither.
//
// Ending early. `draining` makes reader, tokenizers and packer leave; the writer still takes what
// the encoder was given, notes where it stands and ends the run with STATUS_AGAIN.
//
// Failure. The first one is kept; `stopping` makes every wait end and every stage leave. Batches in
// flight are waited for, so the encoder is idle again whatever happened.
//
// One mutex guards it all: a chunk is thousands of titles, so it is taken rarely.
#include "host/stream/pipeline.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/stream/pipeline_state.h"

void fifo_push(struct fifo *fifo, struct chunk *chunk) {
    chunk->next = NULL;
    if (fifo->last != NULL) {
        fifo->last->next = chunk;
    } else {
        fifo->first = chunk;
    }
    fifo->last = chunk;
}

struct chunk *fifo_pop(struct fifo *fifo) {
    struct chunk *chunk = fifo->first;
    fifo->first = chunk->next;
    if (fifo->first == NULL) fifo->last = NULL;
    return chunk;
}

void pipeline_lock(struct pipeline *pipeline) {
    pthread_mutex_lock(&pipeline->mutex);
}

void pipeline_unlock(struct pipeline *pipeline) {
    pthread_mutex_unlock(&pipeline->mutex);
}

void pipeline_unlock_changed(struct pipeline *pipeline) {
    pthread_cond_broadcast(&pipeline->changed);
    pipeline_unlock(pipeline);
}

void pipeline_await_change(struct pipeline *pipeline) {
    pthread_cond_wait(&pipeline->changed, &pipeline->mutex);
}

void pipeline_fail(struct pipeline *pipeline, enum status status, const struct error *error) {
    pipeline_lock(pipeline);
    if (pipeline->status == STATUS_OK) {
        pipeline->status = status;
        if (error != NULL) pipeline->error = *error;
    }
    pipeline->stopping = true;
    pipeline_unlock_changed(pipeline);
    input_cancel(pipeline->input);
}

void pipeline_leave(struct pipeline *pipeline) {
    pipeline_lock(pipeline);
    pipeline->n_running--;
    pipeline_unlock_changed(pipeline);
}

void pipeline_let_go(struct pipeline *pipeline, struct chunk *chunk) {
    pipeline_lock(pipeline);
    if (--chunk->n_holders == 0) fifo_push(&pipeline->free, chunk);
    pipeline_unlock_changed(pipeline);
}

static enum status make_chunks(struct pipeline *pipeline, struct error *error) {
    const size_t n = (size_t)pipeline->n_chunks;
    void *memory;
    enum status status = alloc_zeroed(&memory, n, sizeof *pipeline->chunks, "chunks", error);
    if (status != STATUS_OK) return status;
    pipeline->chunks = memory;
    status = alloc_zeroed(&memory, n, sizeof *pipeline->ready, "chunks", error);
    if (status != STATUS_OK) return status;
    pipeline->ready = memory;
    for (size_t i = 0; i < n; i++) {
        status = chunk_create(pipeline->config.record_nbytes_max, &pipeline->chunks[i], error);
        if (status == STATUS_OK && pipeline->noted != NULL) {
            status = chunk_keep_origin(pipeline->chunks[i], error);
        }
        if (status != STATUS_OK) return status;
        fifo_push(&pipeline->free, pipeline->chunks[i]);
    }
    return STATUS_OK;
}

static enum status start_thread(struct pipeline *pipeline, void *(*run)(void *),
                                struct error *error) {
    pipeline_lock(pipeline);
    pipeline->n_running++;
    pipeline_unlock(pipeline);
    int reason = pthread_create(&pipeline->threads[pipeline->n_threads], NULL, run, pipeline);
    if (reason != 0) {
        pipeline_leave(pipeline);
        return error_set(error, STATUS_IO, "cannot start a thread: %s", strerror(reason));
    }
    pipeline->n_threads++;
    return STATUS_OK;
}

static enum status start_threads(struct pipeline *pipeline, struct error *error) {
    const int32_t n_tokenizers = pipeline->config.n_tokenizers;
    void *memory;
    enum status status =
        alloc_zeroed(&memory, (size_t)n_tokenizers + 3, sizeof(pthread_t), "threads", error);
    if (status != STATUS_OK) return status;
    pipeline->threads = memory;
    status = start_thread(pipeline, pipeline_run_reader, error);
    for (int32_t i = 0; status == STATUS_OK && i < n_tokenizers; i++) {
        status = start_thread(pipeline, pipeline_run_tokenizer, error);
    }
    if (status == STATUS_OK) status = start_thread(pipeline, pipeline_run_packer, error);
    return status == STATUS_OK ? start_thread(pipeline, pipeline_run_writer, error) : status;
}

int32_t pipeline_n_chunks(int32_t n_tokenizers) {
    // One in the reader, the packer and the writer each, one or two around each tokenizer, some
    // between the stages.
    return 6 + 2 * n_tokenizers;
}

enum status pipeline_start(const struct pipeline_config *config, struct input *input,
                           struct output *output, struct pipeline **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "a pipeline", error);
    if (status != STATUS_OK) return status;
    struct pipeline *pipeline = memory;
    pipeline->config = *config;
    if (config->record_nbytes_max == 0) pipeline->config.record_nbytes_max = RECORD_NBYTES_MAX;
    pipeline->input = input;
    pipeline->output = output;
    pipeline->n_chunks = pipeline_n_chunks(config->n_tokenizers);
    pthread_mutex_init(&pipeline->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&pipeline->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (config->resume != NULL) pipeline->totals = config->resume->totals;
    if (config->checkpoints) {
        assert(output != NULL && config->replay == REPLAY_NOTHING);
        status = alloc_zeroed(&memory, 1, sizeof *pipeline->noted, "a checkpoint", error);
        if (status == STATUS_OK) pipeline->noted = memory;
    }
    if (status == STATUS_OK) status = make_chunks(pipeline, error);
    if (status == STATUS_OK) status = start_threads(pipeline, error);
    if (status != STATUS_OK) {
        pipeline_fail(pipeline, status, error);
        struct totals totals;
        pipeline_finish(pipeline, &totals, error);
        return status;
    }
    *out = pipeline;
    return STATUS_OK;
}

bool pipeline_poll(struct pipeline *pipeline, int wait_ms, struct totals *totals) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    until.tv_sec += wait_ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pipeline_lock(pipeline);
    int timed_out = 0;
    while (pipeline->n_running > 0 && timed_out == 0) {
        timed_out = pthread_cond_timedwait(&pipeline->changed, &pipeline->mutex, &until);
    }
    const bool over = pipeline->n_running == 0;
    *totals = pipeline->totals;
    pipeline_unlock(pipeline);
    return over;
}

void pipeline_drain(struct pipeline *pipeline) {
    pipeline_lock(pipeline);
    pipeline->draining = true;
    pipeline_unlock_changed(pipeline);
    input_cancel(pipeline->input);
}

bool pipeline_checkpoint(struct pipeline *pipeline, struct checkpoint **into) {
    pipeline_lock(pipeline);
    const bool is_new = pipeline->noted_is_new;
    if (is_new) {
        struct checkpoint *noted = pipeline->noted;
        pipeline->noted = *into;
        pipeline->noted_is_new = false;
        *into = noted;
    }
    pipeline_unlock(pipeline);
    return is_new;
}

enum status pipeline_finish(struct pipeline *pipeline, struct totals *totals, struct error *error) {
    for (int32_t i = 0; i < pipeline->n_threads; i++) pthread_join(pipeline->threads[i], NULL);
    struct encoder *encoder = pipeline->config.encoder;
    for (int64_t b = pipeline->n_released; b < pipeline->n_submitted; b++) {
        encoder_wait(encoder, (int32_t)(b % encoder->n_slots), NULL);
    }
    enum status status = pipeline->status;
    // Packer and writer stopped at different places.
    if (status != STATUS_OK && pipeline->config.shared != NULL) {
        shared_titles_forget(pipeline->config.shared);
    }
    if (status != STATUS_OK && error != NULL) *error = pipeline->error;
    *totals = pipeline->totals;
    for (int32_t i = 0; pipeline->chunks != NULL && i < pipeline->n_chunks; i++) {
        chunk_destroy(pipeline->chunks[i]);
    }
    free(pipeline->chunks);
    free(pipeline->ready);
    free(pipeline->noted);
    free(pipeline->threads);
    pthread_cond_destroy(&pipeline->changed);
    pthread_mutex_destroy(&pipeline->mutex);
    free(pipeline);
    return status;
}
