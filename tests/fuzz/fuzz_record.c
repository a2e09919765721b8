// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a catalog of each kind: every line gives exactly one row, in either form, and every
// row is one line of well-formed UTF-8; JSONL rows are JSON objects, TSV rows have all columns. The
// first byte chooses the scores and the logits.
#define _GNU_SOURCE  // memfd_create
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/base/json.h"
#include "host/base/utf8.h"
#include "host/stream/chunk.h"
#include "host/stream/record.h"
#include "host/stream/row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_LABELS = 3, N_PASSTHROUGH = 2 };

static char *const labels[N_LABELS] = {"a", "b \"quoted\"\t", "\xc3\xa9"};
static const struct field passthrough[N_PASSTHROUGH] = {{"x", 3}, {"/id/0", 1}};

static const float thresholds[N_LABELS] = {0.9f, 0.3f, 0.0f};

static size_t count(const struct buffer *row, char c) {
    size_t n = 0;
    for (size_t i = 0; i < row->len; i++) n += row->bytes[i] == c;
    return n;
}

static void check_row(const struct buffer *row, const struct row_format *format,
                      const struct record *record) {
    struct json_value value, member;
    struct json_fault fault;
    assert(!row->failed && row->len > 0 && row->bytes[row->len - 1] == '\n');
    assert(count(row, '\n') == 1);
    assert(utf8_check(row->bytes, row->len) == row->len);
    if (format->kind == ROW_TSV) {
        const size_t n_scores = format->scores == SCORES_TOP ? 0 : N_LABELS;
        assert(count(row, '\t') == 3 + n_scores + N_PASSTHROUGH);
        return;
    }
    assert(json_parse((struct span){row->bytes, row->len}, &value, &fault));
    assert(value.type == JSON_OBJECT);
    assert(json_member(value, "id", &member));
    assert(json_member(value, "label", &member));
    assert((member.type == JSON_NULL) ==
           (record_is_bad(record->status) || record->status == RECORD_ABSTAIN));
    assert(json_member(value, "status", &member) == (record->status != RECORD_OK));
    assert(json_member(value, "score", &member) == !record_is_bad(record->status));
    assert(json_member(value, "x", &member));
}

static void check_record(enum record_kind kind, enum row_scores scores, const float *logits,
                         struct record record, uint64_t number, char *scratch) {
    const bool tsv = kind == RECORD_TSV;
    const struct record_format input = {.kind = kind,
                                        .id = {tsv ? "1" : "id", 1},
                                        .title = {tsv ? "2" : "title", 2},
                                        .passthrough = passthrough,
                                        .n_passthrough = N_PASSTHROUGH};
    struct span title;
    record_parse(&input, &record, scratch, &title);
    if (record.status == RECORD_OK) {
        assert(title.len <= record.line.len);
        assert(record.ill_formed_utf8 || utf8_check(title.ptr, title.len) == title.len);
    }
    for (int to = ROW_JSONL; to <= ROW_TSV; to++) {
        const struct row_format format = {.kind = (enum row_kind)to,
                                          .scores = scores,
                                          .input = &input,
                                          .labels = labels,
                                          .n_labels = N_LABELS,
                                          .temperature = 0.7f,
                                          .thresholds = thresholds};
        struct buffer row = {0};
        struct record copy = record;
        row_add(&row, &format, &copy, number, record_is_bad(copy.status) ? NULL : logits);
        check_row(&row, &format, &copy);
        buffer_free(&row);
    }
}

static void *must(void *memory) {
    if (memory == NULL) abort();
    return memory;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    // Made once: big, and filled anew each time.
    static struct chunk *chunk;
    static char *scratch;
    if (chunk == NULL && chunk_create(RECORD_NBYTES_MAX, &chunk, NULL) != STATUS_OK) abort();
    if (scratch == NULL) scratch = must(malloc(RECORD_NBYTES_MAX));
    if (size == 0) return 0;
    const enum row_scores scores = (enum row_scores)(data[0] % 3);
    const float special[] = {0.5f, -0.0f, 3e38f, 1e-40f, NAN, INFINITY};
    const float logits[N_LABELS] = {special[data[0] / 3 % 6], 1.0f, special[data[0] / 18 % 6]};
    data++;
    size--;

    char path[64];
    int fd = memfd_create("catalog", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct input *input;
    struct line_reader *reader;
    if (input_open(path, &input, NULL) != STATUS_OK) abort();
    if (line_reader_create(input, &reader, NULL) != STATUS_OK) abort();
    uint64_t n_records = 0;
    while (line_reader_fill(reader, -1, chunk, NULL) == STATUS_OK) {
        assert(chunk->first_record == n_records + 1);
        for (size_t i = 0; i < chunk->n_records; i++) {
            n_records++;
            for (int kind = RECORD_TEXT; kind <= RECORD_JSONL; kind++) {
                check_record((enum record_kind)kind, scores, logits, chunk->records[i], n_records,
                             scratch);
            }
        }
        if (chunk->last) break;
    }
    line_reader_destroy(reader);
    input_close(input);
    close(fd);
    return 0;
}
