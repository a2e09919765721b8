// SPDX-License-Identifier: Apache-2.0
#include "host/stream/replay.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/base64.h"
#include "host/stream/rejects.h"

_Static_assert((int)REJECT_FILE_NBYTES_MAX <= (int)PATH_NBYTES_MAX,
               "a chunk has room for one file name behind its lines");

struct replay {
    struct input *input;
    struct line_reader *reader;
    struct chunk *lines;  // of the rejects file
    size_t at;            // the next one in it
    uint64_t n_done;      // records handed out
    bool any_kind;
    enum record_kind kind;
    char *raw;  // a record's bytes, [lines->line_nbytes_max / 4 * 3]
};

enum status replay_create(struct input *input, size_t record_nbytes_max,
                          const enum record_kind *kind, struct replay **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "a replay", error);
    if (status != STATUS_OK) return status;
    struct replay *replay = memory;
    replay->input = input;
    replay->any_kind = kind == NULL;
    if (kind != NULL) replay->kind = *kind;
    const size_t line_nbytes_max = (record_nbytes_max + 2) / 3 * 4 + REJECT_LINE_ROOM;
    status = line_reader_create(input, &replay->reader, error);
    if (status == STATUS_OK) status = chunk_create(line_nbytes_max, &replay->lines, error);
    if (status == STATUS_OK) {
        status = alloc_array(&memory, line_nbytes_max / 4 * 3, 1, "a rejected record", error);
    }
    if (status != STATUS_OK) {
        replay_destroy(replay);
        return status;
    }
    replay->raw = memory;
    *out = replay;
    return STATUS_OK;
}

void replay_destroy(struct replay *replay) {
    if (replay == NULL) return;
    line_reader_destroy(replay->reader);
    chunk_destroy(replay->lines);
    free(replay->raw);
    free(replay);
}

static enum status bad_line(const struct replay *replay, const struct record *line,
                            const char *what, struct error *error) {
    return error_set(error, STATUS_INPUT,
                     "%s: line %llu at byte %llu is no rejected record: %s; take the file that "
                     "--on-bad reject wrote",
                     input_name(replay->input), (unsigned long long)line->number,
                     (unsigned long long)line->offset, what);
}

// The name goes into messages: control characters would be a terminal's orders. Two records in a
// row with one name share it.
static struct span add_file(struct chunk *chunk, struct json_value file) {
    char *at = chunk->bytes + chunk->nbytes;
    const struct span name = {at, json_string(file, at)};
    for (size_t i = 0; i < name.len; i++) {
        if ((unsigned char)at[i] < 0x20 || at[i] == 0x7f) at[i] = '?';
    }
    const struct record *before =
        chunk->n_records > 0 ? &chunk->records[chunk->n_records - 1] : NULL;
    if (before != NULL && before->file.len == name.len &&
        memcmp(before->file.ptr, name.ptr, name.len) == 0) {
        return before->file;
    }
    chunk->nbytes += name.len;
    return name;
}

static enum status add_record(struct replay *replay, const struct record *line, struct chunk *chunk,
                              struct error *error) {
    struct reject reject;
    if (line->status == RECORD_TOO_LONG) {
        return bad_line(replay, line,
                        "it is longer than one can be here; give the --max-record-bytes of the "
                        "run that wrote it",
                        error);
    }
    const char *fault = reject_parse(line->line, &reject);
    size_t n = 0;
    if (fault == NULL && !base64_decode(reject.raw, replay->raw, &n)) {
        fault = "\"raw\" is not base64";
    }
    if (fault == NULL && n > reject.nbytes) fault = "\"raw\" holds more than \"nbytes\" says";
    if (fault == NULL && memchr(replay->raw, '\n', n) != NULL) {
        fault = "\"raw\" holds an end of line";
    }
    if (fault == NULL && !replay->any_kind && reject.format != replay->kind) {
        fault = "its format is another than that of the first; replay each by itself";
    }
    if (fault != NULL) return bad_line(replay, line, fault, error);
    const struct span file = add_file(chunk, reject.file);
    const size_t kept = n < chunk->line_nbytes_max ? n : chunk->line_nbytes_max;
    char *bytes = chunk->bytes + chunk->nbytes;
    memcpy(bytes, replay->raw, kept);
    chunk->nbytes += kept;
    chunk->records[chunk->n_records++] =
        (struct record){.line = {bytes, kept},
                        .number = reject.number,
                        .offset = reject.offset,
                        .line_nbytes = reject.nbytes,
                        .file = file,
                        .status = kept < reject.nbytes ? RECORD_TOO_LONG : RECORD_OK};
    return STATUS_OK;
}

enum status replay_fill(struct replay *replay, struct chunk *chunk, struct error *error) {
    chunk->n_records = chunk->nbytes = chunk->n_tokens = 0;
    chunk->flush = chunk->last = false;
    chunk->first_record = replay->n_done + 1;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && chunk->nbytes < CHUNK_NBYTES &&
           chunk->n_records < CHUNK_RECORDS) {
        if (replay->at < replay->lines->n_records) {
            status = add_record(replay, &replay->lines->records[replay->at++], chunk, error);
            continue;
        }
        chunk->last = replay->lines->last;
        if (chunk->last) break;
        replay->at = 0;
        status = line_reader_fill(replay->reader, -1, replay->lines, error);
    }
    replay->n_done += chunk->n_records;
    return status;
}

enum status replay_peek(const char *path, size_t record_nbytes_max, enum record_kind *kind,
                        struct error *error) {
    struct input *input;
    struct replay *replay = NULL;
    struct reject reject;
    enum status status = input_open(path, &input, error);
    if (status != STATUS_OK) return status;
    status = replay_create(input, record_nbytes_max, NULL, &replay, error);
    if (status == STATUS_OK) status = line_reader_fill(replay->reader, -1, replay->lines, error);
    if (status == STATUS_OK && replay->lines->n_records == 0) {
        status = error_set(error, STATUS_INPUT, "%s: there is no rejected record in it", path);
    }
    if (status == STATUS_OK) {
        const struct record *line = &replay->lines->records[0];
        const char *fault = reject_parse(line->line, &reject);
        if (fault != NULL) status = bad_line(replay, line, fault, error);
        *kind = fault == NULL ? reject.format : RECORD_TEXT;
    }
    replay_destroy(replay);
    input_close(input);
    return status;
}
