// SPDX-License-Identifier: Apache-2.0
//
// Inputs, or parts of them, read for `wader plan`. A gzip can only be read from its beginning, so
// the sample is the beginnings of inputs: of those that evenly spaced bytes of the whole catalog
// lie in, so that a large input counts for more, each as often as it was hit. A gzip's first part
// has nothing before it to refer to and so compresses less: of what goes on it is counted, but does
// not tell how much the rest holds.
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/bench/corpus.h"
#include "host/cli/plan.h"
#include "host/cli/report.h"

enum {
    POINTS = 64,  // inputs that are looked into, at most
    CHUNKS_PER_MIB = (1 << 20) / CHUNK_NBYTES,
    PACKED_NBYTES_MAX = 16 * 1024 * 1024,  // rows that are compressed, to see how small they get
};

// What reading takes besides the sample.
struct reader {
    struct plan_report *report;
    const struct item_formats *formats;
    struct input *input;
    struct line_reader *lines;
    struct chunk *chunk;
    struct tokenizer_batch *batch;
    struct encoding *encodings;  // [CHUNK_RECORDS]
    char *scratch;               // [options->max_record_bytes]
    float *logits;               // [n_labels], made up
    uint64_t random;
    struct buffer rows;
    struct memory_file packed;
    struct output *packer;    // of the input at hand; NULL once enough was compressed
    size_t titles_per_chunk;  // kept for measuring
    struct progress progress;
    uint64_t done_nbytes, wanted_nbytes;
};

int32_t plan_length_end(int i) {
    return (int32_t)4 << i;
}

// ---- rows, to see how much room they take

// Between -2 and 2, the same for every run.
static float next_logit(struct reader *reader) {
    reader->random = reader->random * 6364136223846793005u + 1442695040888963407u;
    return (float)(reader->random >> 40) * (4.0f / 16777216.0f) - 2.0f;
}

// Labels and scores are made up, each as likely as the others: real ones compress a little better.
static enum status add_row(struct reader *reader, struct record *record, uint64_t number,
                           struct error *error) {
    const int32_t n_labels = reader->formats->row.n_labels;
    const bool good = !record_is_bad(record->status);
    for (int32_t k = 0; good && k < n_labels; k++) reader->logits[k] = next_logit(reader);
    const size_t before = reader->rows.len;
    row_add(&reader->rows, &reader->formats->row, record, number, good ? reader->logits : NULL);
    struct plan_sample *sample = &reader->report->sample;
    if (reader->packer == NULL || sample->packed_of >= PACKED_NBYTES_MAX) return STATUS_OK;
    const size_t n = reader->rows.len - before;
    sample->packed_of += n;
    return output_write(reader->packer, reader->rows.bytes + before, n, error);
}

// ---- a chunk

static void keep_title(struct reader *reader, struct span title) {
    struct plan_sample *sample = &reader->report->sample;
    if (sample->titles.len + title.len > PLAN_TITLES_NBYTES_MAX) return;
    buffer_add_format(&sample->titles, "{\"id\":%zu,\"title\":", ++sample->n_titles);
    buffer_add_json_string(&sample->titles, title);
    buffer_add_text(&sample->titles, "}\n");
}

static struct plan_unit *add_unit(struct plan_sample *sample) {
    if (sample->n_units == sample->cap) {
        const size_t cap = sample->cap > 0 ? 2 * sample->cap : 256;
        struct plan_unit *units = realloc(sample->units, cap * sizeof *units);
        if (units == NULL) return NULL;
        sample->units = units;
        sample->cap = cap;
    }
    struct plan_unit *unit = &sample->units[sample->n_units++];
    *unit = (struct plan_unit){0};
    return unit;
}

static void count_title(struct plan_sample *sample, struct plan_unit *unit,
                        const struct encoding *encoding, struct record *record) {
    if (encoding->truncated) record->status = RECORD_TRUNCATED;
    unit->titles++;
    unit->tokens += encoding->n_ids;
    unit->truncated += encoding->truncated;
    int i = 0;
    while (i + 1 < PLAN_LENGTHS && encoding->n_ids > plan_length_end(i)) i++;
    sample->lengths[i]++;
}

static enum status take_chunk(struct reader *reader, struct plan_unit *unit, struct error *error) {
    struct chunk *chunk = reader->chunk;
    struct plan_sample *sample = &reader->report->sample;
    size_t kept = 0;
    tokenizer_batch_start(reader->batch, chunk->token_ids, reader->encodings);
    for (size_t i = 0; i < chunk->n_records; i++) {
        struct span title;
        record_parse(&reader->formats->record, &chunk->records[i], reader->scratch, &title);
        if (record_is_bad(chunk->records[i].status)) continue;
        tokenizer_batch_add(reader->batch, title);
        if (kept++ < reader->titles_per_chunk) keep_title(reader, title);
    }
    tokenizer_batch_finish(reader->batch);
    const struct encoding *encoding = reader->encodings;
    buffer_clear(&reader->rows);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < chunk->n_records && status == STATUS_OK; i++) {
        struct record *record = &chunk->records[i];
        if (!record_is_bad(record->status)) count_title(sample, unit, encoding++, record);
        status = add_row(reader, record, chunk->first_record + i, error);
        sample->by_status[record->status]++;
        unit->bad += record_is_bad(record->status);
    }
    unit->records = (double)chunk->n_records;
    unit->row_nbytes = (double)reader->rows.len;
    return status == STATUS_OK ? buffer_check(&reader->rows, error) : status;
}

// Compressed bytes that the chunks so far took: lines are read ahead of.
static double taken_nbytes(const struct reader *reader, uint64_t *taken) {
    uint64_t ahead;
    line_reader_place(reader->lines, taken, &ahead);
    const double consumed = (double)input_consumed_nbytes(reader->input);
    const double all = (double)(*taken + ahead);
    return all > 0 ? consumed * (double)*taken / all : consumed;
}

// The first `n_chunks` of an input; *ended: there are no more.
static enum status read_chunks(struct reader *reader, size_t file, size_t n_chunks, bool *ended,
                               struct error *error) {
    struct plan_sample *sample = &reader->report->sample;
    const uint64_t size = reader->report->sizes[file];
    const size_t first = sample->n_units;
    double before = 0;
    uint64_t plain_before = 0;
    *ended = false;
    for (size_t i = 0; i < n_chunks && !*ended; i++) {
        enum status status = line_reader_fill(reader->lines, -1, reader->chunk, error);
        if (status != STATUS_OK) return status;
        struct plan_unit *unit = add_unit(sample);
        if (unit == NULL) return error_set(error, STATUS_IO, "out of memory for the sample");
        uint64_t plain;
        *ended = reader->chunk->last;
        const double taken = taken_nbytes(reader, &plain);
        unit->file = file;
        unit->is_warm = i > 0;
        unit->nbytes = (*ended ? (double)size : taken) - before;
        unit->plain_nbytes = (double)(plain - plain_before);
        before += unit->nbytes;
        plain_before = plain;
        status = take_chunk(reader, unit, error);
        if (status != STATUS_OK) return status;
        if (!reader->report->options->quiet && reader->wanted_nbytes > 0) {
            progress_show_bytes(&reader->progress, "reading",
                                reader->done_nbytes + input_consumed_nbytes(reader->input),
                                reader->wanted_nbytes);
        }
    }
    if (*ended) sample->units[first].is_warm = true;
    sample->nbytes += (uint64_t)before;
    reader->done_nbytes += size;
    return STATUS_OK;
}

// Each input's rows are a gzip of their own, as they will be.
static enum status open_packer(struct reader *reader, struct error *error) {
    int fd = -1;
    if (reader->report->sample.packed_of >= PACKED_NBYTES_MAX) return STATUS_OK;
    enum status status = memory_file_rewrite(&reader->packed, &fd, error);
    if (status != STATUS_OK) return status;
    status = output_open_fd(fd, true, &reader->packer, error);
    if (status != STATUS_OK) close(fd);
    return status;
}

static enum status close_packer(struct reader *reader, struct error *error) {
    struct stat info;
    if (reader->packer == NULL) return STATUS_OK;
    enum status status = output_commit(reader->packer, error);
    if (status == STATUS_OK && fstat(reader->packed.fd, &info) == 0) {
        reader->report->sample.packed += (uint64_t)info.st_size;
    }
    output_close(reader->packer);
    reader->packer = NULL;
    return status;
}

static enum status read_input(struct reader *reader, size_t file, size_t n_chunks, bool *ended,
                              struct error *error) {
    struct plan_report *report = reader->report;
    const char *path = report->plan.items[file].input;
    struct item_formats formats;
    enum status status = item_formats_make(report->options, &report->engine, path, &formats, error);
    if (status != STATUS_OK) return status;
    reader->formats = &formats;
    status = input_open(path, &reader->input, error);
    if (status == STATUS_OK) status = line_reader_create(reader->input, &reader->lines, error);
    if (status == STATUS_OK) status = open_packer(reader, error);
    if (status == STATUS_OK) status = read_chunks(reader, file, n_chunks, ended, error);
    if (status == STATUS_OK) status = close_packer(reader, error);
    line_reader_destroy(reader->lines);
    input_close(reader->input);
    reader->lines = NULL;
    reader->input = NULL;
    item_formats_free(&formats);
    report->sample.n_files++;
    return status;
}

// ---- which parts

static enum status read_whole(struct reader *reader, struct error *error) {
    enum status status = STATUS_OK;
    bool ended;
    for (size_t i = 0; i < reader->report->plan.n_items && status == STATUS_OK; i++) {
        status = read_input(reader, i, SIZE_MAX, &ended, error);
    }
    reader->report->sample.is_whole = true;
    return status;
}

static enum status read_parts(struct reader *reader, size_t n_chunks, struct error *error) {
    struct plan_report *report = reader->report;
    const size_t n_points = n_chunks / 2 < POINTS ? n_chunks / 2 : POINTS;
    const double step = (double)report->input_nbytes / (double)n_points;
    enum status status = STATUS_OK;
    bool all = true;
    double begin = 0;
    for (size_t i = 0, point = 0; i < report->plan.n_items && status == STATUS_OK; i++) {
        const double end = begin + (double)report->sizes[i];
        size_t hits = 0;
        for (; point < n_points && ((double)point + 0.5) * step < end; point++) hits++;
        begin = end;
        bool ended = false;
        if (hits > 0) {
            status = read_input(reader, i, hits * (n_chunks / n_points), &ended, error);
        }
        all = all && ended;
    }
    report->sample.is_whole = all;
    return status;
}

// ---- all of it

static enum status open_reader(struct reader *reader, struct error *error) {
    const struct engine *engine = &reader->report->engine;
    const size_t most = (size_t)reader->report->options->max_record_bytes;
    void *memory;
    enum status status = chunk_create(most, &reader->chunk, error);
    if (status == STATUS_OK) {
        status = tokenizer_batch_create(engine->tokenizer, engine->max_length, most, &reader->batch,
                                        error);
    }
    if (status == STATUS_OK) {
        status = alloc_array(&memory, CHUNK_RECORDS, sizeof *reader->encodings, "titles", error);
        reader->encodings = memory;
    }
    if (status == STATUS_OK) {
        status = alloc_array(&memory, most, 1, "a title", error);
        reader->scratch = memory;
    }
    if (status == STATUS_OK) {
        status = alloc_array(&memory, (size_t)engine->model->config.n_labels, sizeof(float),
                             "logits", error);
        reader->logits = memory;
    }
    return status == STATUS_OK ? memory_file_create(&reader->packed, error) : status;
}

static void close_reader(struct reader *reader) {
    output_close(reader->packer);
    memory_file_close(&reader->packed);
    buffer_free(&reader->rows);
    free(reader->logits);
    free(reader->scratch);
    free(reader->encodings);
    tokenizer_batch_destroy(reader->batch);
    chunk_destroy(reader->chunk);
}

enum status plan_sample_read(struct plan_report *report, struct error *error) {
    const struct options *options = report->options;
    const size_t n_chunks = (size_t)options->sample * CHUNKS_PER_MIB;
    const uint64_t budget = (uint64_t)options->sample << 20;
    struct reader reader = {.report = report, .random = 1, .packed = {.fd = -1}};
    // What is small even if it were all inflated fivefold is read whole.
    const bool whole = options->exact || report->input_nbytes <= budget / 4;
    reader.titles_per_chunk = whole && report->input_nbytes > budget / 4 ? 64 : 4096;
    if (whole) reader.wanted_nbytes = report->input_nbytes;
    progress_start(&reader.progress, (enum progress_mode)options->progress);
    enum status status = open_reader(&reader, error);
    if (status == STATUS_OK) {
        status = whole ? read_whole(&reader, error) : read_parts(&reader, n_chunks, error);
    }
    if (status == STATUS_OK) status = buffer_check(&report->sample.titles, error);
    close_reader(&reader);
    return status;
}

void plan_sample_free(struct plan_sample *sample) {
    free(sample->units);
    buffer_free(&sample->titles);
}
