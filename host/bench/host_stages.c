// SPDX-License-Identifier: Apache-2.0
//
// The stages on the host, each alone: the very functions that a run calls, on the corpus in memory.
#include <stdlib.h>
#include <unistd.h>

#include "host/bench/bench_state.h"
#include "host/stream/row.h"

enum { ROWS_NBYTES = 64 * 1024 };  // as the pipeline's writer hands rows on

static void add_pass(const struct bench_state *state, struct bench_work *work, double amount,
                     double seconds) {
    work->amount += amount;
    work->titles += (double)state->corpus->n_titles;
    work->tokens += (double)state->corpus->n_tokens;
    work->seconds += seconds;
}

// ---- lines of a file in memory, chunk by chunk

struct lines {
    struct input *input;
    struct line_reader *reader;
};

static enum status lines_open(const struct memory_file *file, struct lines *lines,
                              struct error *error) {
    *lines = (struct lines){0};
    enum status status = input_open(file->path, &lines->input, error);
    return status == STATUS_OK ? line_reader_create(lines->input, &lines->reader, error) : status;
}

static void lines_close(struct lines *lines) {
    line_reader_destroy(lines->reader);
    input_close(lines->input);
}

enum status bench_inflate(struct bench_state *state, struct bench_work *work, struct error *error) {
    *work = (struct bench_work){0};
    while (work->seconds < state->host_slice) {
        struct lines lines;
        const double begin = now_seconds();
        enum status status = lines_open(&state->corpus->gzip_file, &lines, error);
        state->chunk->last = false;
        while (status == STATUS_OK && !state->chunk->last) {
            status = line_reader_fill(lines.reader, -1, state->chunk, error);
        }
        add_pass(state, work, (double)state->corpus->plain.len, now_seconds() - begin);
        lines_close(&lines);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static void parse_chunk(struct bench_state *state) {
    struct chunk *chunk = state->chunk;
    for (size_t i = 0; i < chunk->n_records; i++) {
        struct span title;
        record_parse(&state->corpus->format, &chunk->records[i], state->scratch, &title);
    }
}

enum status bench_parse(struct bench_state *state, struct bench_work *work, struct error *error) {
    *work = (struct bench_work){0};
    while (work->seconds < state->host_slice) {
        struct lines lines;
        double seconds = 0;
        enum status status = lines_open(&state->corpus->plain_file, &lines, error);
        state->chunk->last = false;
        while (status == STATUS_OK && !state->chunk->last) {
            status = line_reader_fill(lines.reader, -1, state->chunk, error);
            const double begin = now_seconds();
            if (status == STATUS_OK) parse_chunk(state);
            seconds += now_seconds() - begin;
        }
        add_pass(state, work, (double)state->corpus->plain.len, seconds);
        lines_close(&lines);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

// ---- rows

struct writing {
    struct output *output;
    struct buffer rows;
    size_t title;
};

static enum status write_chunk(struct bench_state *state, struct writing *writing,
                               struct error *error) {
    const struct encoder *null = state->null;
    const float *logits = encoder_slot(state->null, 0)->logits;
    struct chunk *chunk = state->chunk;
    for (size_t i = 0; i < chunk->n_records; i++) {
        struct record *record = &chunk->records[i];
        const bool bad = record_is_bad(record->status);
        const size_t place = writing->title % (size_t)null->titles_cap;
        row_add(&writing->rows, &state->settings->row_format, record, chunk->first_record + i,
                bad ? NULL : logits + place * (size_t)null->n_labels);
        writing->title += bad ? 0 : 1;
        if (writing->rows.len < ROWS_NBYTES && i + 1 < chunk->n_records) continue;
        enum status status = buffer_check(&writing->rows, error);
        if (status == STATUS_OK) {
            status = output_write(writing->output, writing->rows.bytes, writing->rows.len, error);
        }
        if (status != STATUS_OK) return status;
        buffer_clear(&writing->rows);
    }
    return STATUS_OK;
}

static enum status write_pass(struct bench_state *state, struct lines *lines,
                              struct writing *writing, double *seconds, struct error *error) {
    enum status status = STATUS_OK;
    for (bool last = false; status == STATUS_OK && !last;) {
        status = line_reader_fill(lines->reader, -1, state->chunk, error);
        if (status != STATUS_OK) break;
        parse_chunk(state);
        last = state->chunk->last;
        const double begin = now_seconds();
        status = write_chunk(state, writing, error);
        if (status == STATUS_OK && last) status = output_complete(writing->output, error);
        *seconds += now_seconds() - begin;
    }
    return status;
}

enum status bench_write(struct bench_state *state, struct bench_work *work, struct error *error) {
    *work = (struct bench_work){0};
    enum status status = STATUS_OK;
    while (status == STATUS_OK && work->seconds < state->host_slice) {
        struct writing writing = {0};
        struct lines lines;
        int fd = -1;
        double seconds = 0;
        status = lines_open(&state->corpus->plain_file, &lines, error);
        if (status == STATUS_OK) status = memory_file_rewrite(&state->rows, &fd, error);
        if (status == STATUS_OK) {
            status = output_open_fd(fd, true, &writing.output, error);
            if (status != STATUS_OK) close(fd);
        }
        if (status == STATUS_OK) status = write_pass(state, &lines, &writing, &seconds, error);
        if (status == STATUS_OK) {
            add_pass(state, work, (double)output_nbytes(writing.output), seconds);
        }
        output_close(writing.output);
        buffer_free(&writing.rows);
        lines_close(&lines);
    }
    return status;
}

// ---- token ids

enum status bench_lanes_open(struct bench_state *state, struct error *error) {
    const int32_t n = state->settings->n_tokenizers;
    void *memory;
    enum status status = alloc_zeroed(&memory, (size_t)n, sizeof *state->lanes, "threads", error);
    if (status != STATUS_OK) return status;
    state->lanes = memory;
    for (int32_t i = 0; i < n; i++) {
        struct tokenize_lane *lane = &state->lanes[i];
        status = alloc_array(&memory, CHUNK_RECORDS, sizeof *lane->encodings, "encodings", error);
        if (status != STATUS_OK) return status;
        lane->encodings = memory;
        status = chunk_create(RECORD_NBYTES_MAX, &lane->chunk, error);
        if (status != STATUS_OK) return status;
        status = tokenizer_batch_create(state->settings->tokenizer, state->settings->max_length,
                                        RECORD_NBYTES_MAX, &lane->batch, error);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

void bench_lanes_close(struct bench_state *state) {
    for (int32_t i = 0; state->lanes != NULL && i < state->settings->n_tokenizers; i++) {
        tokenizer_batch_destroy(state->lanes[i].batch);
        chunk_destroy(state->lanes[i].chunk);
        free(state->lanes[i].encodings);
    }
    free(state->lanes);
}

// A thread's share of the titles, in batches as large as a chunk's.
static void tokenize_share(void *context, int32_t i) {
    const struct bench_state *state = context;
    const struct corpus *corpus = state->corpus;
    const struct tokenize_lane *lane = &state->lanes[i];
    const size_t n = (size_t)state->n_lanes;
    const size_t end = corpus->n_titles * ((size_t)i + 1) / n;
    for (size_t t = corpus->n_titles * (size_t)i / n; t < end;) {
        size_t n_nbytes = 0;
        tokenizer_batch_start(lane->batch, lane->chunk->token_ids, lane->encodings);
        for (int k = 0; t < end && k < CHUNK_RECORDS && n_nbytes < CHUNK_NBYTES; k++, t++) {
            const struct span title = corpus_title(corpus, t);
            tokenizer_batch_add(lane->batch, title);
            n_nbytes += title.len;
        }
        tokenizer_batch_finish(lane->batch);
    }
}

void bench_tokenize(struct bench_state *state, int32_t n_threads, struct bench_work *work) {
    *work = (struct bench_work){0};
    state->n_lanes = n_threads;
    while (work->seconds < state->host_slice) {
        const double seconds = crew_run(state->crew, n_threads, tokenize_share, state);
        add_pass(state, work, (double)state->corpus->titles.len, seconds);
    }
}

// ---- batches

static void pack_pass(const struct bench_state *state) {
    const struct corpus *corpus = state->corpus;
    struct encoder *encoder = state->null;
    int32_t turn = 0;
    struct encoder_slot *slot = encoder_slot(encoder, 0);
    slot->n_titles = 0;
    for (size_t i = 0; i < corpus->n_titles; i++) {
        const int32_t n = corpus_length(corpus, i);
        if (slot->cu_seqlens[slot->n_titles] + n > encoder->batch_tokens ||
            slot->n_titles == encoder->titles_cap) {
            turn = (turn + 1) % encoder->n_slots;
            slot = encoder_slot(encoder, turn);
            slot->n_titles = 0;
        }
        encoder_slot_add(slot, corpus->token_ids + corpus->cu_seqlens[i], n);
    }
}

void bench_pack(struct bench_state *state, struct bench_work *work) {
    *work = (struct bench_work){0};
    while (work->seconds < state->host_slice) {
        const double begin = now_seconds();
        pack_pass(state);
        add_pass(state, work, (double)(state->corpus->n_tokens * sizeof(int32_t)),
                 now_seconds() - begin);
    }
}
