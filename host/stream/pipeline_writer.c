// SPDX-License-Identifier: Apache-2.0
//
// The pipeline's writer: logits to rows, in input order.
#include <stdlib.h>
#include <string.h>

#include "host/stream/pipeline_state.h"

struct writer {
    struct pipeline *pipeline;
    const struct encoder_slot *batch;  // the batch being read, or NULL
    int32_t title;                     // the next one in it
    struct totals fresh;               // since they were last published
    double busy_since;                 // when it last stopped waiting for a batch
    struct buffer rows;
    struct checkpoint *note;  // to be filled next, or NULL: nobody wants to know
    double noted;             // when the last one was made
};

// Adds the fresh figures to the pipeline's: after `n_written` records of `chunk`.
static void publish(struct writer *writer, const struct chunk *chunk, size_t n_written) {
    struct pipeline *pipeline = writer->pipeline;
    const uint64_t span = chunk->consumed_end - chunk->consumed_begin;
    const double share = chunk->n_records > 0 ? (double)n_written / (double)chunk->n_records : 1.0;
    const double now = now_seconds();
    writer->fresh.seconds.write += now - writer->busy_since;
    writer->busy_since = now;
    pipeline_lock(pipeline);
    totals_add(&pipeline->totals, &writer->fresh);
    pipeline->totals.consumed_nbytes = chunk->consumed_begin + (uint64_t)((double)span * share);
    pipeline_unlock(pipeline);
    writer->fresh = (struct totals){0};
}

static void release_batch(struct writer *writer) {
    writer->batch = NULL;
    pipeline_lock(writer->pipeline);
    writer->pipeline->n_released++;
    pipeline_unlock_changed(writer->pipeline);
}

static bool batch_is_used_up(const struct writer *writer) {
    return writer->batch != NULL && writer->title == writer->batch->n_titles;
}

// Drained; or stopping for another reason, which the pipeline then knows already.
static enum status ended_early(const struct pipeline *pipeline, struct error *error) {
    return error_set(error, STATUS_AGAIN, "%s: stopped early", input_name(pipeline->input));
}

// The logits of the next title in the oldest batch. STATUS_AGAIN when none will come, or when the
// encoder says so.
static enum status next_logits(struct writer *writer, const float **logits, struct error *error) {
    struct pipeline *pipeline = writer->pipeline;
    struct encoder *encoder = pipeline->config.encoder;
    if (batch_is_used_up(writer)) release_batch(writer);
    if (writer->batch == NULL) {
        pipeline_lock(pipeline);
        while (pipeline->n_submitted == pipeline->n_released && !pipeline->stopping &&
               !pipeline->packed_all) {
            pipeline_await_change(pipeline);
        }
        const bool submitted = pipeline->n_submitted > pipeline->n_released;
        const int32_t slot = (int32_t)(pipeline->n_released % encoder->n_slots);
        pipeline_unlock(pipeline);
        if (!submitted) return ended_early(pipeline, error);
        enum status status = encoder_wait(encoder, slot, error);
        writer->batch = encoder_slot(encoder, slot);
        writer->fresh.seconds.encode += writer->batch->seconds;
        writer->title = 0;
        writer->busy_since = now_seconds();
        if (status != STATUS_OK) return status;
    }
    *logits = writer->batch->logits + (size_t)writer->title++ * (size_t)encoder->n_labels;
    return STATUS_OK;
}

enum { ROWS_NBYTES = 64 * 1024 };  // rows are handed to the output in stretches of about this

static enum status write_rows(struct writer *writer, struct error *error) {
    enum status status = buffer_check(&writer->rows, error);
    if (status == STATUS_OK && writer->pipeline->output != NULL) {
        status =
            output_write(writer->pipeline->output, writer->rows.bytes, writer->rows.len, error);
    }
    buffer_clear(&writer->rows);
    return status;
}

// Notes that `n_written` records of `chunk` are done, if it is time to or must be.
static enum status note(struct writer *writer, const struct chunk *chunk, size_t n_written,
                        bool must, struct error *error) {
    struct pipeline *pipeline = writer->pipeline;
    const double now = now_seconds();
    if (writer->note == NULL ||
        (!must && now - writer->noted < pipeline->config.checkpoint_every)) {
        return STATUS_OK;
    }
    enum status status = write_rows(writer, error);
    if (status != STATUS_OK) return status;
    struct checkpoint *made = writer->note;
    made->n_records = chunk->first_record - 1 + n_written;
    made->offset =
        n_written < chunk->n_records ? chunk->records[n_written].offset : chunk->end_offset;
    made->input = *chunk->origin;
    made->n_outputs = 0;
    struct output *const outputs[] = {
        pipeline->output, pipeline->config.beside,
        pipeline->config.scores != NULL ? score_log_output(pipeline->config.scores) : NULL};
    for (size_t i = 0; i < ARRAY_LEN(outputs) && status == STATUS_OK; i++) {
        if (outputs[i] == NULL) continue;
        status = output_point(outputs[i], &made->outputs[made->n_outputs++], error);
    }
    if (status != STATUS_OK) return status;
    writer->noted = now;
    pipeline_lock(pipeline);
    made->totals = pipeline->totals;
    made->totals.read = made->totals.records;  // others are on their way
    writer->note = pipeline->noted;
    pipeline->noted = made;
    pipeline->noted_is_new = true;
    pipeline_unlock(pipeline);
    return STATUS_OK;
}

static enum status bad_record(const struct pipeline *pipeline, const struct record *record,
                              uint64_t number, struct error *error) {
    const bool replayed = record->file.ptr != NULL;
    const struct span name = replayed ? record->file : span_text(input_name(pipeline->input));
    (void)error_set(error, STATUS_INPUT, "%.*s: record %llu at byte %llu: %s; --on-bad fail stops",
                    (int)name.len, name.ptr, (unsigned long long)number,
                    (unsigned long long)record->offset, record_status_name(record->status));
    return error_at(
        error, STATUS_INPUT,
        (struct error_place){
            .file_nbytes = name.len, .has_record = true, .record = number, .byte = record->offset});
}

static uint64_t count_unknown(const struct tokenizer *tokenizer, const struct chunk *chunk,
                              const struct record *record) {
    const int32_t unknown = tokenizer_unknown_id(tokenizer);
    const int32_t *ids = chunk->token_ids + record->tokens_at;
    uint64_t n = 0;
    for (int32_t i = 0; i < record->n_tokens; i++) n += ids[i] == unknown;
    return n;
}

// The logits of a good record, wherever they come from.
static enum status logits_of(struct writer *writer, const struct chunk *chunk, size_t i,
                             const float **logits, struct error *error) {
    const struct pipeline_config *config = &writer->pipeline->config;
    const struct record *record = &chunk->records[i];
    float *shared = record->place != 0 ? shared_titles_logits(config->shared, record->place) : NULL;
    *logits = record->shares ? shared : record->scores;
    if (*logits != NULL) return STATUS_OK;
    enum status status = STATUS_OK;
    if (batch_is_used_up(writer)) {
        publish(writer, chunk, i);
        status = note(writer, chunk, i, false, error);
    }
    if (status == STATUS_OK) status = next_logits(writer, logits, error);
    if (status == STATUS_OK && shared != NULL) {
        memcpy(shared, *logits, (size_t)config->encoder->n_labels * sizeof *shared);
    }
    return status;
}

static void count_reuse(struct reuse *reuse, const struct record *record) {
    reuse->reused += record->scores != NULL;
    reuse->shared += record->shares;
    reuse->known += record->id_known;
    reuse->changed += record->id_known && record->scores == NULL;
}

static enum status write_record(struct writer *writer, const struct chunk *chunk, size_t i,
                                struct error *error) {
    const struct pipeline_config *config = &writer->pipeline->config;
    struct record *record = &chunk->records[i];
    struct totals *fresh = &writer->fresh;
    const uint64_t number = record->number;
    const float *logits = NULL;
    if (!record_is_bad(record->status)) {
        enum status status = logits_of(writer, chunk, i, &logits, error);
        if (status != STATUS_OK) return status;
        count_reuse(&fresh->reuse, record);
    }
    if (writer->pipeline->output != NULL) {
        row_add(&writer->rows, &config->row_format, record, number, logits);
    }
    const bool bad = record_is_bad(record->status);
    if (!bad && config->scores != NULL) {
        enum status status = score_log_add(config->scores, record, logits, error);
        if (status != STATUS_OK) return status;
    }
    fresh->records++;
    fresh->by_status[record->status]++;
    fresh->tokens += bad ? 0 : (uint64_t)record->n_tokens;
    fresh->unknown_tokens += bad ? 0 : count_unknown(config->tokenizer, chunk, record);
    fresh->ill_formed_utf8 += !bad && record->ill_formed_utf8;
    const struct record_watcher *watcher = &config->watcher;
    if (watcher->seen != NULL && (watcher->every || bad || record->ill_formed_utf8)) {
        enum status status = watcher->seen(watcher->context, record, number, logits, error);
        if (status != STATUS_OK) return status;
    }
    if (!bad && config->audit != NULL) {
        const int32_t *ids = chunk->token_ids + record->tokens_at;
        enum status status = audit_see(config->audit, record, number, ids, logits, error);
        if (status != STATUS_OK) return status;
    }
    if (bad && config->fail_on_bad) return bad_record(writer->pipeline, record, number, error);
    return STATUS_OK;
}

static enum status write_chunk(struct writer *writer, const struct chunk *chunk,
                               struct error *error) {
    enum status status = STATUS_OK;
    size_t n_written = 0;
    writer->busy_since = now_seconds();
    while (status == STATUS_OK && n_written < chunk->n_records) {
        status = write_record(writer, chunk, n_written, error);
        if (status != STATUS_OK) break;
        n_written++;
        if (writer->rows.len >= ROWS_NBYTES) status = write_rows(writer, error);
    }
    if (status == STATUS_OK) status = write_rows(writer, error);
    if (status == STATUS_OK && chunk->flush && writer->pipeline->output != NULL) {
        status = output_flush(writer->pipeline->output, error);
    }
    publish(writer, chunk, n_written);
    if (status != STATUS_OK && status != STATUS_AGAIN) return status;
    enum status noted = note(writer, chunk, n_written, status == STATUS_AGAIN, error);
    return status == STATUS_OK ? noted : status;
}

static enum status write_chunks(struct writer *writer, struct error *error) {
    struct pipeline *pipeline = writer->pipeline;
    enum status status = STATUS_OK;
    struct chunk *before = NULL;
    if (pipeline->config.header && pipeline->config.resume == NULL) {
        row_add_header(&writer->rows, &pipeline->config.row_format);
        status = write_rows(writer, error);
    }
    while (status == STATUS_OK && (before == NULL || !before->last)) {
        pipeline_lock(pipeline);
        while (pipeline->packed.first == NULL && !pipeline->stopping && !pipeline->packed_all) {
            pipeline_await_change(pipeline);
        }
        struct chunk *chunk = NULL;
        if (!pipeline->stopping && pipeline->packed.first != NULL) {
            chunk = fifo_pop(&pipeline->packed);
        }
        pipeline_unlock(pipeline);
        if (chunk == NULL) {
            if (before != NULL) status = note(writer, before, before->n_records, true, error);
            if (status == STATUS_OK) status = ended_early(pipeline, error);
            break;
        }
        // Kept until now: its end is where the run stands.
        if (before != NULL) pipeline_let_go(pipeline, before);
        before = chunk;
        status = write_chunk(writer, chunk, error);
    }
    if (before != NULL) pipeline_let_go(pipeline, before);
    return status;
}

void *pipeline_run_writer(void *argument) {
    struct pipeline *pipeline = argument;
    struct writer writer = {.pipeline = pipeline};
    struct error error = {""};
    enum status status = STATUS_OK;
    if (pipeline->noted != NULL) {
        void *memory;
        status = alloc_zeroed(&memory, 1, sizeof *writer.note, "a checkpoint", &error);
        writer.note = status == STATUS_OK ? memory : NULL;
    }
    writer.noted = now_seconds();
    if (status == STATUS_OK) status = write_chunks(&writer, &error);
    if (status != STATUS_OK) pipeline_fail(pipeline, status, &error);  // the first one counts
    if (writer.batch != NULL) release_batch(&writer);
    buffer_free(&writer.rows);
    free(writer.note);
    pipeline_leave(pipeline);
    return NULL;
}
