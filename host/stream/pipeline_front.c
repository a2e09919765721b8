// SPDX-License-Identifier: Apache-2.0
//
// The pipeline's first half: input to lines to token ids.
#include <stdlib.h>

#include "host/stream/pipeline_state.h"

// ---- reader: input to raw chunks

static enum status read_chunks(struct pipeline *pipeline, struct line_reader *reader,
                               struct error *error) {
    for (uint64_t sequence = 0;; sequence++) {
        pipeline_lock(pipeline);
        while (pipeline->free.first == NULL && !pipeline->stopping) pipeline_await_change(pipeline);
        struct chunk *chunk = pipeline->stopping ? NULL : fifo_pop(&pipeline->free);
        pipeline_unlock(pipeline);
        if (chunk == NULL) return STATUS_OK;

        const double begin = now_seconds();
        chunk->consumed_begin = input_consumed_nbytes(pipeline->input);
        enum status status = line_reader_fill(reader, pipeline->config.flush_ms, chunk, error);
        const bool last = status != STATUS_OK || chunk->last;
        chunk->consumed_end = input_consumed_nbytes(pipeline->input);
        chunk->sequence = sequence;

        pipeline_lock(pipeline);
        pipeline->totals.seconds.read += now_seconds() - begin;
        fifo_push(status == STATUS_OK ? &pipeline->raw : &pipeline->free, chunk);
        pipeline_unlock_changed(pipeline);
        if (last) return status;
    }
}

void *pipeline_run_reader(void *argument) {
    struct pipeline *pipeline = argument;
    struct line_reader *reader;
    struct error error;
    enum status status = line_reader_create(pipeline->input, &reader, &error);
    if (status == STATUS_OK) status = read_chunks(pipeline, reader, &error);
    if (status != STATUS_OK) pipeline_fail(pipeline, status, &error);
    line_reader_destroy(reader);
    pipeline_lock(pipeline);
    pipeline->read_all = true;
    pipeline_unlock_changed(pipeline);
    pipeline_leave(pipeline);
    return NULL;
}

// ---- tokenizers: raw chunks to ready ones, in any order

static void tokenize_chunk(const struct pipeline_config *config, struct chunk *chunk,
                           char *scratch) {
    for (size_t i = 0; i < chunk->n_records; i++) {
        struct record *record = &chunk->records[i];
        struct span title;
        record_parse(&config->record_format, record, scratch, &title);
        if (record_is_bad(record->status)) continue;
        struct encoding encoding = tokenizer_encode(config->tokenizer, title, config->max_length,
                                                    chunk->token_ids + chunk->n_tokens);
        if (encoding.truncated) record->status = RECORD_TRUNCATED;
        record->n_tokens = encoding.n_ids;
        record->tokens_at = chunk->n_tokens;
        chunk->n_tokens += (size_t)encoding.n_ids;
    }
}

void *pipeline_run_tokenizer(void *argument) {
    struct pipeline *pipeline = argument;
    struct error error;
    void *scratch;
    enum status status = alloc_array(&scratch, RECORD_NBYTES_MAX, 1, "a title", &error);
    if (status != STATUS_OK) pipeline_fail(pipeline, status, &error);
    while (status == STATUS_OK) {
        pipeline_lock(pipeline);
        while (pipeline->raw.first == NULL && !pipeline->read_all && !pipeline->stopping) {
            pipeline_await_change(pipeline);
        }
        const bool over = pipeline->stopping || pipeline->raw.first == NULL;
        struct chunk *chunk = over ? NULL : fifo_pop(&pipeline->raw);
        pipeline_unlock(pipeline);
        if (chunk == NULL) break;

        const double begin = now_seconds();
        tokenize_chunk(&pipeline->config, chunk, scratch);

        pipeline_lock(pipeline);
        pipeline->totals.seconds.tokenize += now_seconds() - begin;
        pipeline->ready[chunk->sequence % (uint64_t)pipeline->n_chunks] = chunk;
        pipeline_unlock_changed(pipeline);
    }
    free(scratch);
    pipeline_leave(pipeline);
    return NULL;
}
