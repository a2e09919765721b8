// SPDX-License-Identifier: Apache-2.0
#include "host/stream/chunk.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/stream/foreign.h"

const char *record_status_name(enum record_status status) {
    static const char *const names[RECORD_STATUS_COUNT] = {
        [RECORD_OK] = "",
        [RECORD_TRUNCATED] = "truncated",
        [RECORD_ABSTAIN] = "abstain",
        [RECORD_BAD_JSON] = "bad_json",
        [RECORD_BLANK] = "blank_line",
        [RECORD_NO_ID] = "missing_id",
        [RECORD_NO_TITLE] = "missing_title",
        [RECORD_TITLE_TYPE] = "title_not_a_string",
        [RECORD_TOO_LONG] = "record_too_long",
        [RECORD_NONFINITE] = "nonfinite_logits",
    };
    return names[status];
}

static size_t lines_cap_of(size_t line_nbytes_max) {
    return CHUNK_NBYTES + line_nbytes_max;
}

static size_t tokens_cap_of(size_t line_nbytes_max) {
    return lines_cap_of(line_nbytes_max) + 2 * (size_t)CHUNK_RECORDS + TOKENIZER_IDS_SLACK;
}

size_t chunk_nbytes_most(size_t line_nbytes_max) {
    return CHUNK_RECORDS * sizeof(struct record) + lines_cap_of(line_nbytes_max) + PATH_NBYTES_MAX +
           tokens_cap_of(line_nbytes_max) * sizeof(int32_t);
}

enum status chunk_create(size_t line_nbytes_max, struct chunk **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "a chunk", error);
    if (status != STATUS_OK) return status;
    struct chunk *chunk = memory;
    chunk->line_nbytes_max = line_nbytes_max;
    // The two big arrays are sized for the worst chunk.
    status = alloc_array(&memory, CHUNK_RECORDS, sizeof *chunk->records, "records", error);
    if (status == STATUS_OK) {
        chunk->records = memory;
        status = alloc_array(&memory, lines_cap_of(line_nbytes_max) + PATH_NBYTES_MAX, 1, "lines",
                             error);
    }
    if (status == STATUS_OK) {
        chunk->bytes = memory;
        status = alloc_array(&memory, tokens_cap_of(line_nbytes_max), sizeof(int32_t), "token ids",
                             error);
    }
    if (status != STATUS_OK) {
        chunk_destroy(chunk);
        return status;
    }
    chunk->token_ids = memory;
    *out = chunk;
    return STATUS_OK;
}

enum status chunk_keep_origin(struct chunk *chunk, struct error *error) {
    void *memory;
    enum status status = alloc_zeroed(&memory, 1, sizeof *chunk->origin, "a place", error);
    if (status == STATUS_OK) chunk->origin = memory;
    return status;
}

void chunk_destroy(struct chunk *chunk) {
    if (chunk == NULL) return;
    free(chunk->records);
    free(chunk->bytes);
    free(chunk->token_ids);
    free(chunk->origin);
    free(chunk);
}

enum { RAW_NBYTES = 64 * 1024 };

struct line_reader {
    struct input *input;
    uint64_t n_records;  // handed out so far
    uint64_t offset;     // of raw[at], in plain bytes
    bool ended;
    bool flushed;    // the last chunk was cut short, and nothing was read since
    size_t at, end;  // the unread part of raw
    char raw[RAW_NBYTES];
};

enum status line_reader_create(struct input *input, struct line_reader **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "a line reader", error);
    if (status != STATUS_OK) return status;
    *out = memory;
    (*out)->input = input;
    return STATUS_OK;
}

void line_reader_destroy(struct line_reader *reader) {
    free(reader);
}

static enum status refill(struct line_reader *reader, struct error *error) {
    size_t n = 0;
    enum status status = input_read(reader->input, reader->raw, sizeof reader->raw, &n, error);
    reader->at = 0;
    reader->end = n;
    reader->ended = status == STATUS_OK && n == 0;
    if (status == STATUS_INPUT && error != NULL) {
        const size_t len = strlen(error->text);
        snprintf(error->text + len, sizeof error->text - len, " (%llu whole records came before)",
                 (unsigned long long)reader->n_records);
    }
    return status;
}

static void consume(struct line_reader *reader, size_t n) {
    reader->at += n;
    reader->offset += n;
}

enum status line_reader_resume(struct line_reader *reader, uint64_t n_records, uint64_t offset,
                               struct error *error) {
    assert(input_plain_nbytes(reader->input) <= offset);
    reader->n_records = n_records;
    reader->offset = input_plain_nbytes(reader->input);
    while (reader->offset < offset) {
        if (reader->at == reader->end) {
            enum status status = refill(reader, error);
            if (status != STATUS_OK) return status;
            if (reader->ended) {
                return error_set(error, STATUS_INPUT, "%s: is shorter than it was",
                                 input_name(reader->input));
            }
        }
        const uint64_t rest = offset - reader->offset;
        const size_t n = reader->end - reader->at;
        consume(reader, rest < n ? (size_t)rest : n);
    }
    return STATUS_OK;
}

// Appends the next line to `chunk`. *found is false at the end of the input. Of a line that is too
// long the rest is read and dropped, so memory stays bounded and the stream is in step again.
static enum status read_line(struct line_reader *reader, struct chunk *chunk, bool *found,
                             struct error *error) {
    char *line = chunk->bytes + chunk->nbytes;
    const uint64_t offset = reader->offset;
    const size_t most = chunk->line_nbytes_max;
    size_t kept = 0;
    uint64_t nbytes = 0;
    char last = 0;
    bool complete = false;
    *found = false;
    while (!complete) {
        if (reader->at == reader->end) {
            enum status status = refill(reader, error);
            if (status != STATUS_OK) return status;
            if (reader->ended) break;
        }
        *found = true;
        const char *part = reader->raw + reader->at;
        size_t n = reader->end - reader->at;
        const char *newline = memchr(part, '\n', n);
        if (newline != NULL) n = (size_t)(newline - part);
        complete = newline != NULL;
        const size_t room = most - kept < n ? most - kept : n;
        memcpy(line + kept, part, room);
        kept += room;
        nbytes += n;
        if (n > 0) last = part[n - 1];
        consume(reader, n + (complete ? 1 : 0));
    }
    if (!*found) return STATUS_OK;
    const bool too_long = nbytes > most;
    chunk->nbytes += kept;
    if (complete && last == '\r') {
        nbytes--;
        if (!too_long) kept--;
    }
    chunk->records[chunk->n_records++] =
        (struct record){.line = {line, kept},
                        .number = ++reader->n_records,
                        .offset = offset,
                        .line_nbytes = nbytes,
                        .status = too_long ? RECORD_TOO_LONG : RECORD_OK};
    return STATUS_OK;
}

static const unsigned char byte_order_mark[] = {0xef, 0xbb, 0xbf}, gzip_magic[] = {0x1f, 0x8b, 8};

// Whether `bytes` are the first ones of the three of `magic`, or go on behind them.
static bool begin_alike(const unsigned char *bytes, size_t n, const unsigned char magic[3]) {
    return memcmp(bytes, magic, n < 3 ? n : 3) == 0;
}

// Whether the first `n` bytes may be less than something that has to be told from text.
static bool start_is_open(const unsigned char *bytes, size_t n) {
    return foreign_is_open(bytes, n) ||
           (n < 3 && (begin_alike(bytes, n, byte_order_mark) || begin_alike(bytes, n, gzip_magic)));
}

// Only the very start of an input can hold a byte order mark. What came out of gzip may be a
// packing of another kind again.
static enum status check_start(struct line_reader *reader, struct error *error) {
    const unsigned char *bytes = (const unsigned char *)reader->raw;
    enum status status = refill(reader, error);
    while (status == STATUS_OK && reader->end > 0 && start_is_open(bytes, reader->end)) {
        size_t n = 0;
        status = input_read(reader->input, reader->raw + reader->end,
                            sizeof reader->raw - reader->end, &n, error);
        if (n == 0) break;
        reader->end += n;
    }
    if (status != STATUS_OK) return status;
    const bool packed_twice = reader->end >= 3 && begin_alike(bytes, 3, gzip_magic);
    const char *foreign = packed_twice ? "gzip again (unpack it once with `gzip -dc`)"
                                       : foreign_format(bytes, reader->end);
    if (foreign != NULL) {
        return error_set(error, STATUS_INPUT, "%s: what is packed in it is %s, not UTF-8 text",
                         input_name(reader->input), foreign);
    }
    if (reader->end >= 3 && begin_alike(bytes, 3, byte_order_mark)) consume(reader, 3);
    return STATUS_OK;
}

// Whether the next line can be read without waiting for anybody.
static bool line_is_here(const struct line_reader *reader) {
    return memchr(reader->raw + reader->at, '\n', reader->end - reader->at) != NULL;
}

enum status line_reader_fill(struct line_reader *reader, int flush_ms, struct chunk *chunk,
                             struct error *error) {
    chunk->n_records = chunk->nbytes = chunk->n_tokens = 0;
    chunk->flush = chunk->last = false;
    if (reader->offset == 0 && reader->end == 0 && !reader->ended) {
        enum status status = check_start(reader, error);
        if (status != STATUS_OK) return status;
    }
    if (chunk->origin != NULL) input_point(reader->input, reader->offset, chunk->origin);
    chunk->first_record = reader->n_records + 1;
    bool found = true;
    while (found && chunk->nbytes < CHUNK_NBYTES && chunk->n_records < CHUNK_RECORDS) {
        if (flush_ms >= 0 && !reader->flushed && !line_is_here(reader) &&
            input_would_wait(reader->input, flush_ms)) {
            chunk->flush = reader->flushed = true;
            break;
        }
        enum status status = read_line(reader, chunk, &found, error);
        if (status != STATUS_OK) return status;
        reader->flushed = false;
    }
    chunk->last = !found;
    chunk->end_offset = reader->offset;
    return STATUS_OK;
}

void line_reader_place(const struct line_reader *reader, uint64_t *taken, uint64_t *ahead) {
    *taken = reader->offset;
    *ahead = reader->end - reader->at;
}
