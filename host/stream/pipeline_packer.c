// SPDX-License-Identifier: Apache-2.0
//
// The pipeline's packer: token ids to batches in the encoder's slots.
#include "host/stream/pipeline_state.h"

struct packer {
    struct pipeline *pipeline;
    struct encoder_slot *open;  // the batch being filled, or NULL
    int32_t n_spanned;          // chunks begun since it was opened
};

static void submit_open(struct packer *packer) {
    struct pipeline *pipeline = packer->pipeline;
    if (packer->open == NULL) return;
    packer->open = NULL;
    packer->n_spanned = 0;
    encoder_submit(pipeline->config.encoder,
                   (int32_t)(pipeline->n_submitted % pipeline->config.encoder->n_slots));
    pipeline_lock(pipeline);
    pipeline->n_submitted++;
    pipeline_unlock_changed(pipeline);
}

// False when the run is ending.
static bool open_batch(struct packer *packer) {
    struct pipeline *pipeline = packer->pipeline;
    struct encoder *encoder = pipeline->config.encoder;
    pipeline_lock(pipeline);
    while (pipeline->n_submitted - pipeline->n_released >= encoder->n_slots &&
           !pipeline_is_ending(pipeline)) {
        pipeline_await_change(pipeline);
    }
    const bool ending = pipeline_is_ending(pipeline);
    pipeline_unlock(pipeline);
    if (ending) return false;
    packer->open = encoder_slot(encoder, (int32_t)(pipeline->n_submitted % encoder->n_slots));
    packer->open->n_titles = 0;
    packer->open->cu_seqlens[0] = 0;
    packer->n_spanned = 1;
    return true;
}

static bool pack_title(struct packer *packer, const int32_t *ids, int32_t n) {
    const struct encoder *encoder = packer->pipeline->config.encoder;
    struct encoder_slot *open = packer->open;
    if (open != NULL && (open->cu_seqlens[open->n_titles] + n > encoder->batch_tokens ||
                         open->n_titles == encoder->titles_cap)) {
        submit_open(packer);
    }
    if (packer->open == NULL && !open_batch(packer)) return false;
    encoder_slot_add(packer->open, ids, n);
    return true;
}

static bool pack_chunk(struct packer *packer, const struct chunk *chunk) {
    if (packer->open != NULL && ++packer->n_spanned > packer->pipeline->n_chunks / 2) {
        submit_open(packer);
    }
    for (size_t i = 0; i < chunk->n_records; i++) {
        const struct record *record = &chunk->records[i];
        if (record->n_tokens == 0 || record->scores != NULL || record->shares) continue;
        if (!pack_title(packer, chunk->token_ids + record->tokens_at, record->n_tokens)) {
            return false;
        }
    }
    if (chunk->flush || chunk->last) submit_open(packer);
    return true;
}

// Tells which titles of a chunk take the logits of an earlier one, before the writer sees them.
static void share_titles(struct shared_titles *shared, struct chunk *chunk) {
    for (size_t i = 0; i < chunk->n_records; i++) {
        struct record *record = &chunk->records[i];
        if (record->n_tokens == 0 || record->scores != NULL) continue;
        record->place = shared_titles_place(shared, &record->key, &record->shares);
    }
}

// The next chunk in order, tokenized and already the writer's too; NULL when the run is ending.
static struct chunk *next_ready(struct pipeline *pipeline, uint64_t sequence) {
    struct chunk **place = &pipeline->ready[sequence % (uint64_t)pipeline->n_chunks];
    pipeline_lock(pipeline);
    while (*place == NULL && !pipeline_is_ending(pipeline)) pipeline_await_change(pipeline);
    struct chunk *chunk = pipeline_is_ending(pipeline) ? NULL : *place;
    if (chunk != NULL) *place = NULL;
    pipeline_unlock(pipeline);
    if (chunk == NULL) return NULL;
    if (pipeline->config.shared != NULL) share_titles(pipeline->config.shared, chunk);
    pipeline_lock(pipeline);
    chunk->n_holders = 2;
    fifo_push(&pipeline->packed, chunk);
    pipeline_unlock_changed(pipeline);
    return chunk;
}

void *pipeline_run_packer(void *argument) {
    struct packer packer = {.pipeline = argument};
    struct pipeline *pipeline = argument;
    bool last = false;
    for (uint64_t sequence = 0; !last; sequence++) {
        struct chunk *chunk = next_ready(pipeline, sequence);
        if (chunk == NULL) break;
        last = !pack_chunk(&packer, chunk) || chunk->last;
        pipeline_let_go(pipeline, chunk);
    }
    pipeline_lock(pipeline);
    pipeline->packed_all = true;
    pipeline_unlock_changed(pipeline);
    pipeline_leave(pipeline);
    return NULL;
}
