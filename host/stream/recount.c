// SPDX-License-Identifier: Apache-2.0
#include "host/stream/recount.h"

#include <stdlib.h>

#include "host/stream/chunk.h"
#include "host/stream/input.h"

struct recount {
    struct input *input;
    struct line_reader *lines;
    struct chunk *chunk;
    char *scratch;  // [record_nbytes_max]
};

static enum status begin(struct recount *recount, const char *path, size_t record_nbytes_max,
                         struct error *error) {
    void *memory;
    enum status status = input_open(path, &recount->input, error);
    if (status != STATUS_OK) return status;
    // What stands behind the records is the run's to judge.
    input_set_rules(recount->input, (struct input_rules){.trailing = TRAILING_IGNORE});
    status = line_reader_create(recount->input, &recount->lines, error);
    if (status == STATUS_OK) status = chunk_create(record_nbytes_max, &recount->chunk, error);
    if (status == STATUS_OK) status = alloc_array(&memory, record_nbytes_max, 1, "an id", error);
    if (status == STATUS_OK) recount->scratch = memory;
    return status;
}

static void end(struct recount *recount) {
    free(recount->scratch);
    chunk_destroy(recount->chunk);
    line_reader_destroy(recount->lines);
    input_close(recount->input);
}

// Adds the ids of a chunk's first `n` records.
static enum status add_ids(const struct record_format *format, struct recount *recount, size_t n,
                           struct id_set *set, struct error *error) {
    enum status status = STATUS_OK;
    for (size_t i = 0; i < n && status == STATUS_OK; i++) {
        struct record *record = &recount->chunk->records[i];
        struct span title;
        record_parse(format, record, recount->scratch, &title);
        if (record->id.ptr != NULL) status = id_set_add(set, record->id, error);
    }
    return status;
}

enum status recount_ids(const char *path, const struct record_format *format,
                        size_t record_nbytes_max, uint64_t n_records, bool (*stop)(void),
                        struct id_set *set, struct error *error) {
    struct recount recount = {0};
    enum status status = begin(&recount, path, record_nbytes_max, error);
    const struct chunk *chunk = recount.chunk;
    for (uint64_t rest = n_records; status == STATUS_OK && rest > 0;) {
        if (stop()) {
            status = error_set(error, STATUS_AGAIN, "%s: stopped while its ids were counted again",
                               path);
            break;
        }
        status = line_reader_fill(recount.lines, -1, recount.chunk, error);
        if (status != STATUS_OK) break;
        const size_t n = rest < chunk->n_records ? (size_t)rest : chunk->n_records;
        status = add_ids(format, &recount, n, set, error);
        rest -= n;
        if (status == STATUS_OK && rest > 0 && chunk->last) {
            status = error_set(error, STATUS_INPUT, "%s: is shorter than it was", path);
        }
    }
    end(&recount);
    return status;
}
