// SPDX-License-Identifier: Apache-2.0
//
// The pipeline's writer: logits to rows, in input order.
#include "host/stream/pipeline_state.h"

struct writer {
    struct pipeline *pipeline;
    const struct encoder_slot *batch;  // the batch being read, or NULL
    int32_t title;                     // the next one in it
    struct totals fresh;               // since they were last published
    double busy_since;                 // when it last stopped waiting for a batch
    struct buffer rows;
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

// The logits of the next title. STATUS_AGAIN when the run is stopping for another reason, which the
// pipeline then knows already; or when the encoder says so.
static enum status next_logits(struct writer *writer, const float **logits, struct error *error) {
    struct pipeline *pipeline = writer->pipeline;
    struct encoder *encoder = pipeline->config.encoder;
    if (batch_is_used_up(writer)) release_batch(writer);
    if (writer->batch == NULL) {
        pipeline_lock(pipeline);
        while (pipeline->n_submitted == pipeline->n_released && !pipeline->stopping) {
            pipeline_await_change(pipeline);
        }
        const bool submitted = pipeline->n_submitted > pipeline->n_released;
        const int32_t slot = (int32_t)(pipeline->n_released % encoder->n_slots);
        pipeline_unlock(pipeline);
        if (!submitted) return STATUS_AGAIN;
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

static enum status bad_record(const struct pipeline *pipeline, const struct record *record,
                              uint64_t number, struct error *error) {
    const bool replayed = record->file.ptr != NULL;
    const struct span name = replayed ? record->file : span_text(input_name(pipeline->input));
    return error_set(error, STATUS_INPUT, "%.*s: record %llu at byte %llu: %s; --on-bad fail stops",
                     (int)name.len, name.ptr, (unsigned long long)number,
                     (unsigned long long)record->offset, record_status_name(record->status));
}

static enum status write_record(struct writer *writer, const struct chunk *chunk, size_t i,
                                struct error *error) {
    const struct pipeline_config *config = &writer->pipeline->config;
    struct record *record = &chunk->records[i];
    struct totals *fresh = &writer->fresh;
    const uint64_t number = record->number;
    const float *logits = NULL;
    if (!record_is_bad(record->status)) {
        if (batch_is_used_up(writer)) publish(writer, chunk, i);
        enum status status = next_logits(writer, &logits, error);
        if (status != STATUS_OK) return status;
    }
    if (writer->pipeline->output != NULL) {
        row_add(&writer->rows, &config->row_format, record, number, logits);
    }
    const bool bad = record_is_bad(record->status);
    fresh->records++;
    fresh->by_status[record->status]++;
    fresh->tokens += bad ? 0 : (uint64_t)record->n_tokens;
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

static enum status write_chunk(struct writer *writer, const struct chunk *chunk,
                               struct error *error) {
    enum status status = STATUS_OK;
    writer->busy_since = now_seconds();
    for (size_t i = 0; status == STATUS_OK && i < chunk->n_records; i++) {
        status = write_record(writer, chunk, i, error);
        if (status == STATUS_OK && writer->rows.len >= ROWS_NBYTES) {
            status = write_rows(writer, error);
        }
    }
    if (status == STATUS_OK) status = write_rows(writer, error);
    if (status == STATUS_OK && chunk->flush && writer->pipeline->output != NULL) {
        status = output_flush(writer->pipeline->output, error);
    }
    publish(writer, chunk, chunk->n_records);
    return status;
}

static enum status write_chunks(struct writer *writer, struct error *error) {
    struct pipeline *pipeline = writer->pipeline;
    enum status status = STATUS_OK;
    if (pipeline->config.header) {
        row_add_header(&writer->rows, &pipeline->config.row_format);
        status = write_rows(writer, error);
    }
    for (bool last = false; status == STATUS_OK && !last;) {
        pipeline_lock(pipeline);
        while (pipeline->packed.first == NULL && !pipeline->stopping)
            pipeline_await_change(pipeline);
        struct chunk *chunk = pipeline->stopping ? NULL : fifo_pop(&pipeline->packed);
        pipeline_unlock(pipeline);
        if (chunk == NULL) break;
        status = write_chunk(writer, chunk, error);
        last = chunk->last;
        pipeline_let_go(pipeline, chunk);
    }
    return status;
}

void *pipeline_run_writer(void *argument) {
    struct pipeline *pipeline = argument;
    struct writer writer = {.pipeline = pipeline};
    struct error error = {""};
    enum status status = write_chunks(&writer, &error);
    if (status != STATUS_OK) pipeline_fail(pipeline, status, &error);  // the first one counts
    if (writer.batch != NULL) release_batch(&writer);
    buffer_free(&writer.rows);
    pipeline_leave(pipeline);
    return NULL;
}
