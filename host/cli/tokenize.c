// SPDX-License-Identifier: Apache-2.0
//
// `wader tokenize`: a line of ids for each line of input. One thread: it is for looking and for
// comparing, on the path that `wader label` takes.
#include <stdlib.h>

#include "host/base/buffer.h"
#include "host/cli/commands.h"
#include "host/stream/chunk.h"
#include "host/stream/output.h"
#include "tokenizer/tokenizer.h"
#include "weights/model.h"

struct job {
    const struct options *options;
    struct tokenizer_batch *batch;
    struct input *input;
    struct output *output;
    struct line_reader *reader;
    struct chunk *chunk;
    struct encoding *encodings;  // [CHUNK_RECORDS]
    char *title;                 // [RECORD_NBYTES_MAX]
    struct buffer text;
};

static enum status decode_hex(const struct job *job, const struct record *record, uint64_t number,
                              struct span *title, struct error *error) {
    const struct span line = record->line;
    for (size_t i = 0; i < line.len; i++) {
        if (hex_digit(line.ptr[i]) < 0 || line.len % 2 != 0) {
            return error_set(error, STATUS_INPUT,
                             "%s: record %llu at byte %llu: not hexadecimal (pairs of 0-9a-f, "
                             "nothing else)",
                             input_name(job->input), (unsigned long long)number,
                             (unsigned long long)record->offset);
        }
    }
    for (size_t i = 0; i < line.len; i += 2) {
        job->title[i / 2] = (char)(hex_digit(line.ptr[i]) * 16 + hex_digit(line.ptr[i + 1]));
    }
    *title = (struct span){job->title, line.len / 2};
    return STATUS_OK;
}

static void add_number(struct buffer *text, int32_t n) {
    char digits[12];
    int len = 0;
    do {
        digits[len++] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    char *at = buffer_reserve(text, (size_t)len);
    if (at == NULL) return;
    for (int i = 0; i < len; i++) at[i] = digits[len - 1 - i];
    text->len += (size_t)len;
}

static enum status add_record(struct job *job, const struct record *record, uint64_t number,
                              struct error *error) {
    struct span title = record->line;
    if (record->status == RECORD_TOO_LONG) {
        return error_set(error, STATUS_INPUT, "%s: record %llu at byte %llu: longer than %d bytes",
                         input_name(job->input), (unsigned long long)number,
                         (unsigned long long)record->offset, (int)RECORD_NBYTES_MAX);
    }
    if (job->options->hex) {
        enum status status = decode_hex(job, record, number, &title, error);
        if (status != STATUS_OK) return status;
    }
    tokenizer_batch_add(job->batch, title);
    return STATUS_OK;
}

static void print_ids(struct buffer *text, const int32_t *ids, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        if (i > 0) buffer_add(text, " ", 1);
        add_number(text, ids[i]);
    }
    buffer_add(text, "\n", 1);
}

static enum status tokenize_chunk(struct job *job, struct error *error) {
    struct chunk *chunk = job->chunk;
    tokenizer_batch_start(job->batch, chunk->token_ids, job->encodings);
    enum status status = STATUS_OK;
    size_t n = 0;
    for (; status == STATUS_OK && n < chunk->n_records; n++) {
        status = add_record(job, &chunk->records[n], chunk->first_record + n, error);
    }
    tokenizer_batch_finish(job->batch);
    if (status != STATUS_OK) return status;
    const int32_t *ids = chunk->token_ids;
    for (size_t i = 0; i < n; i++) {
        print_ids(&job->text, ids, job->encodings[i].n_ids);
        ids += job->encodings[i].n_ids;
    }
    return buffer_check(&job->text, error);
}

static enum status tokenize_all(struct job *job, struct error *error) {
    struct chunk *chunk = job->chunk;
    do {
        enum status status = line_reader_fill(job->reader, IDLE_MS, chunk, error);
        if (status == STATUS_OK) status = tokenize_chunk(job, error);
        if (status == STATUS_OK) {
            status = output_write(job->output, job->text.bytes, job->text.len, error);
        }
        if (status == STATUS_OK && chunk->flush) status = output_flush(job->output, error);
        if (status != STATUS_OK) return status;
        buffer_clear(&job->text);
    } while (!chunk->last);
    return output_commit(job->output, error);
}

static enum status run(struct job *job, struct error *error) {
    const struct options *options = job->options;
    void *memory;
    enum status status =
        alloc_array(&memory, CHUNK_RECORDS, sizeof *job->encodings, "encodings", error);
    if (status != STATUS_OK) return status;
    job->encodings = memory;
    status = alloc_array(&memory, RECORD_NBYTES_MAX, 1, "a title", error);
    if (status != STATUS_OK) return status;
    job->title = memory;
    status = input_open(options->n_inputs == 1 ? options->inputs[0] : "-", &job->input, error);
    if (status == STATUS_OK) status = line_reader_create(job->input, &job->reader, error);
    if (status == STATUS_OK) status = chunk_create(RECORD_NBYTES_MAX, &job->chunk, error);
    if (status == STATUS_OK) status = output_open("-", &job->output, error);
    return status == STATUS_OK ? tokenize_all(job, error) : status;
}

enum status command_tokenize(const struct options *options, struct error *error) {
    if (options->n_inputs > 1) {
        return error_set(error, STATUS_USAGE, "tokenize takes one input at most, not %d",
                         options->n_inputs);
    }
    struct tokenizer *tokenizer = NULL;
    struct job job = {.options = options};
    // config.json only tells how many tokens the model takes: a bare vocabulary will do where the
    // command line says that.
    struct bert_config config = {0};
    int32_t max_length;
    enum status status = STATUS_OK;
    if (options->max_length < 0) status = model_read_config(options->model, &config, error);
    if (status == STATUS_OK) status = choose_max_length(options, &config, &max_length, error);
    if (status == STATUS_OK) status = tokenizer_open(options->model, &tokenizer, error);
    if (status == STATUS_OK) {
        status =
            tokenizer_batch_create(tokenizer, max_length, RECORD_NBYTES_MAX, &job.batch, error);
    }
    if (status == STATUS_OK) status = run(&job, error);
    buffer_free(&job.text);
    output_close(job.output);
    chunk_destroy(job.chunk);
    line_reader_destroy(job.reader);
    input_close(job.input);
    free(job.title);
    free(job.encodings);
    tokenizer_batch_destroy(job.batch);
    tokenizer_close(tokenizer);
    return status;
}
