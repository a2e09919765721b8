// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as a rejects file: reading it ends with all its records or with a message; a record
// that comes out, written as a rejected one again, is the same when it is read again.
#define _GNU_SOURCE  // memfd_create
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/base/base64.h"
#include "host/stream/rejects.h"
#include "host/stream/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NBYTES_MAX = 256 };

static void check_again(const struct record *record, enum record_kind kind) {
    static char raw[2 * NBYTES_MAX];
    struct buffer line = {0};
    struct reject reject;
    size_t n;
    reject_add(&line, record, kind, "unused", "");
    assert(!line.failed && line.bytes[line.len - 1] == '\n');
    assert(memchr(line.bytes, '\n', line.len - 1) == NULL);
    if (reject_parse((struct span){line.bytes, line.len - 1}, &reject) == NULL) {
        assert(reject.format == kind && reject.number == record->number);
        assert(reject.offset == record->offset && reject.nbytes == record->line_nbytes);
        assert(base64_decode(reject.raw, raw, &n) && n == record->line.len);
        assert(n == 0 || memcmp(raw, record->line.ptr, n) == 0);
    } else {
        assert(record->file.len > REJECT_FILE_NBYTES_MAX / 6);  // a name that grew when escaped
    }
    buffer_free(&line);
}

static uint64_t read_records(const char *path, const enum record_kind *kind, bool *good) {
    static struct chunk *chunk;
    struct input *input;
    struct replay *replay;
    struct error error = {""};
    uint64_t n_records = 0;
    if (chunk == NULL && chunk_create(NBYTES_MAX, &chunk, NULL) != STATUS_OK) abort();
    if (input_open(path, &input, NULL) != STATUS_OK) abort();
    if (replay_create(input, NBYTES_MAX, kind, &replay, NULL) != STATUS_OK) abort();
    enum status status = STATUS_OK;
    do {
        status = replay_fill(replay, chunk, &error);
        assert(status == STATUS_OK || (status == STATUS_INPUT && error.text[0] != '\0'));
        assert(chunk->n_records <= CHUNK_RECORDS);
        for (size_t i = 0; i < chunk->n_records; i++) {
            const struct record *record = &chunk->records[i];
            assert(record->line.len <= NBYTES_MAX && record->file.ptr != NULL);
            assert(record->number > 0 && record->line.len <= record->line_nbytes);
            assert((record->status == RECORD_TOO_LONG) == (record->line.len < record->line_nbytes));
            assert(memchr(record->line.ptr, '\n', record->line.len) == NULL);
            check_again(record, RECORD_JSONL);
        }
        n_records += chunk->n_records;
    } while (status == STATUS_OK && !chunk->last);
    *good = status == STATUS_OK;
    replay_destroy(replay);
    input_close(input);
    return n_records;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    int fd = memfd_create("rejects", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    bool good, good_of_kind;
    enum record_kind kind = RECORD_TEXT;
    const uint64_t n = read_records(path, NULL, &good);
    const bool peeked = replay_peek(path, NBYTES_MAX, &kind, NULL) == STATUS_OK;
    assert(peeked || n == 0);
    // Records of one format alone are the first ones of all.
    assert(read_records(path, &kind, &good_of_kind) <= n);
    assert(good || !good_of_kind);
    close(fd);
    return 0;
}
