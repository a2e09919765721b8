// SPDX-License-Identifier: Apache-2.0
//
// The pipeline's first half: input to lines to token ids.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/stream/pipeline_state.h"
#include "host/stream/replay.h"

// ---- reader: input to raw chunks

// Before any other stage looks at the chunk or at how records are to be read.
static enum status read_first_line(struct pipeline *pipeline, struct chunk *chunk,
                                   struct error *error) {
    const struct first_line_reader *reader = &pipeline->config.first_line;
    const struct span line = chunk->n_records > 0 ? chunk->records[0].line : (struct span){0};
    bool is_header = false;
    if (reader->read == NULL || pipeline->config.resume != NULL) return STATUS_OK;
    enum status status =
        reader->read(reader->context, line, &pipeline->config.record_format, &is_header, error);
    if (status != STATUS_OK || !is_header || chunk->n_records == 0) return status;
    chunk->n_records--;
    chunk->first_record++;
    memmove(chunk->records, chunk->records + 1, chunk->n_records * sizeof *chunk->records);
    return STATUS_OK;
}

// Where records come from: the lines of the input, or those told of in a rejects file.
struct source {
    struct line_reader *lines;
    struct replay *replay;  // one of both
};

static enum status source_open(const struct pipeline *pipeline, struct source *source,
                               struct error *error) {
    const struct pipeline_config *config = &pipeline->config;
    *source = (struct source){0};
    if (config->replay == REPLAY_NOTHING) {
        const struct checkpoint *resume = config->resume;
        enum status status = line_reader_create(pipeline->input, &source->lines, error);
        if (status != STATUS_OK || resume == NULL) return status;
        return line_reader_resume(source->lines, resume->n_records, resume->offset, error);
    }
    return replay_create(pipeline->input, config->record_nbytes_max,
                         config->replay == REPLAY_SAME_FORMAT ? &config->record_format.kind : NULL,
                         &source->replay, error);
}

static enum status source_fill(struct source *source, int flush_ms, struct chunk *chunk,
                               struct error *error) {
    return source->replay != NULL ? replay_fill(source->replay, chunk, error)
                                  : line_reader_fill(source->lines, flush_ms, chunk, error);
}

static enum status read_chunks(struct pipeline *pipeline, struct source *source,
                               struct error *error) {
    for (uint64_t sequence = 0;; sequence++) {
        pipeline_lock(pipeline);
        while (pipeline->free.first == NULL && !pipeline_is_ending(pipeline)) {
            pipeline_await_change(pipeline);
        }
        struct chunk *chunk = pipeline_is_ending(pipeline) ? NULL : fifo_pop(&pipeline->free);
        pipeline_unlock(pipeline);
        if (chunk == NULL) return STATUS_OK;

        const double begin = now_seconds();
        chunk->consumed_begin = input_consumed_nbytes(pipeline->input);
        enum status status = source_fill(source, pipeline->config.flush_ms, chunk, error);
        if (status == STATUS_OK && sequence == 0) status = read_first_line(pipeline, chunk, error);
        const bool last = status != STATUS_OK || chunk->last;
        chunk->consumed_end = input_consumed_nbytes(pipeline->input);
        chunk->sequence = sequence;

        pipeline_lock(pipeline);
        pipeline->totals.seconds.read += now_seconds() - begin;
        if (status == STATUS_OK) pipeline->totals.read += chunk->n_records;
        fifo_push(status == STATUS_OK ? &pipeline->raw : &pipeline->free, chunk);
        pipeline_unlock_changed(pipeline);
        if (last) return status;
    }
}

void *pipeline_run_reader(void *argument) {
    struct pipeline *pipeline = argument;
    struct source source;
    struct error error;
    enum status status = source_open(pipeline, &source, &error);
    if (status == STATUS_OK) status = read_chunks(pipeline, &source, &error);
    if (status != STATUS_OK) pipeline_fail(pipeline, status, &error);
    line_reader_destroy(source.lines);
    replay_destroy(source.replay);
    pipeline_lock(pipeline);
    pipeline->read_all = true;
    pipeline_unlock_changed(pipeline);
    pipeline_leave(pipeline);
    return NULL;
}

// ---- tokenizers: raw chunks to ready ones, in any order

// What a tokenizing thread works with.
struct front {
    struct tokenizer_batch *batch;
    char *scratch;               // [record_nbytes_max], a title without JSON's escapes
    struct encoding *encodings;  // [CHUNK_RECORDS]
    size_t title_hint, id_hint;  // where the last search for previous scores ended
};

static enum status front_open(const struct pipeline_config *config, struct front *front,
                              struct error *error) {
    *front = (struct front){0};
    void *memory;
    const size_t most = config->record_nbytes_max;
    enum status status = alloc_array(&memory, most, 1, "a title", error);
    if (status != STATUS_OK) return status;
    front->scratch = memory;
    status = alloc_array(&memory, CHUNK_RECORDS, sizeof *front->encodings, "encodings", error);
    if (status != STATUS_OK) return status;
    front->encodings = memory;
    return tokenizer_batch_create(config->tokenizer, config->max_length, most, &front->batch,
                                  error);
}

static void front_close(struct front *front) {
    tokenizer_batch_destroy(front->batch);
    free(front->encodings);
    free(front->scratch);
}

static void tokenize_chunk(const struct pipeline_config *config, struct front *front,
                           struct chunk *chunk) {
    tokenizer_batch_start(front->batch, chunk->token_ids, front->encodings);
    for (size_t i = 0; i < chunk->n_records; i++) {
        struct record *record = &chunk->records[i];
        struct span title;
        record_parse(&config->record_format, record, front->scratch, &title);
        if (!record_is_bad(record->status)) tokenizer_batch_add(front->batch, title);
    }
    chunk->n_tokens = tokenizer_batch_finish(front->batch);
    const struct encoding *encoding = front->encodings;
    size_t at = 0;
    for (size_t i = 0; i < chunk->n_records; i++) {
        struct record *record = &chunk->records[i];
        if (record_is_bad(record->status)) continue;
        if (encoding->truncated) record->status = RECORD_TRUNCATED;
        record->n_tokens = encoding->n_ids;
        record->tokens_at = at;
        at += (size_t)encoding++->n_ids;
    }
}

static bool id_of(const struct record_format *format, struct record *record) {
    char number[24];
    if (format->kind != RECORD_TEXT) return score_id_of(record->id, &record->id_key);
    const int n = snprintf(number, sizeof number, "%llu", (unsigned long long)record->number);
    return score_id_of((struct span){number, (size_t)n}, &record->id_key);
}

// Gives the titles of a tokenized chunk their keys, and the scores that an earlier run had of them.
static enum status find_scores(const struct pipeline_config *config, struct front *front,
                               struct chunk *chunk, struct error *error) {
    if (config->previous == NULL && config->shared == NULL && config->scores == NULL) {
        return STATUS_OK;
    }
    for (size_t i = 0; i < chunk->n_records; i++) {
        struct record *record = &chunk->records[i];
        if (record_is_bad(record->status)) continue;
        const int32_t *ids = chunk->token_ids + record->tokens_at;
        if (!score_key_of(ids, record->n_tokens, &record->key) ||
            !id_of(&config->record_format, record)) {
            return error_set(error, STATUS_IO, "libcrypto cannot compute SHA-256");
        }
        if (config->previous == NULL) continue;
        record->scores = score_set_find(config->previous, &record->key, record->id_key,
                                        &front->title_hint, &record->id_known);
        if (!record->id_known) {
            record->id_known = score_set_has_id(config->previous, record->id_key, &front->id_hint);
        }
    }
    return STATUS_OK;
}

void *pipeline_run_tokenizer(void *argument) {
    struct pipeline *pipeline = argument;
    struct error error;
    struct front front;
    enum status status = front_open(&pipeline->config, &front, &error);
    if (status != STATUS_OK) pipeline_fail(pipeline, status, &error);
    while (status == STATUS_OK) {
        pipeline_lock(pipeline);
        while (pipeline->raw.first == NULL && !pipeline->read_all &&
               !pipeline_is_ending(pipeline)) {
            pipeline_await_change(pipeline);
        }
        const bool over = pipeline_is_ending(pipeline) || pipeline->raw.first == NULL;
        struct chunk *chunk = over ? NULL : fifo_pop(&pipeline->raw);
        pipeline_unlock(pipeline);
        if (chunk == NULL) break;

        const double begin = now_seconds();
        tokenize_chunk(&pipeline->config, &front, chunk);
        status = find_scores(&pipeline->config, &front, chunk, &error);
        if (status != STATUS_OK) pipeline_fail(pipeline, status, &error);

        pipeline_lock(pipeline);
        pipeline->totals.seconds.tokenize += now_seconds() - begin;
        pipeline->ready[chunk->sequence % (uint64_t)pipeline->n_chunks] = chunk;
        pipeline_unlock_changed(pipeline);
    }
    front_close(&front);
    pipeline_leave(pipeline);
    return NULL;
}
