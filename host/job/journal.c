// SPDX-License-Identifier: Apache-2.0
//
// The file: a magic word; the fields one after the other, numbers of 8 bytes with the lowest first,
// texts and windows as their length and their bytes; the SHA-256 of all that in hexadecimal.
#include "host/job/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char magic[] = "wader journal 3\n";
enum { MAGIC_LEN = sizeof magic - 1 };

// ---- numbers and bytes, out and in

static void put(struct buffer *out, uint64_t number) {
    char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (char)(number >> 8 * i);
    buffer_add(out, bytes, sizeof bytes);
}

static void put_bytes(struct buffer *out, const void *bytes, size_t n) {
    put(out, n);
    buffer_add(out, bytes, n);
}

// What is still to be read. A field that is not there, or out of its range, makes it bad for good.
struct source {
    const char *at, *end;
    bool bad;
};

static uint64_t take(struct source *source, uint64_t most) {
    uint64_t number = 0;
    if (source->bad || source->end - source->at < 8) {
        source->bad = true;
        return 0;
    }
    for (int i = 0; i < 8; i++) number |= (uint64_t)(unsigned char)source->at[i] << 8 * i;
    source->at += 8;
    if (number > most) source->bad = true;
    return source->bad ? 0 : number;
}

static size_t take_bytes(struct source *source, void *bytes, size_t cap) {
    const size_t n = (size_t)take(source, cap);
    if (source->bad || (size_t)(source->end - source->at) < n) {
        source->bad = true;
        return 0;
    }
    memcpy(bytes, source->at, n);
    source->at += n;
    return n;
}

// A text without a NUL in it, into `cap` bytes with one behind it.
static void take_text(struct source *source, char *text, size_t cap) {
    const size_t n = take_bytes(source, text, cap - 1);
    text[n] = '\0';
    if (strlen(text) != n) source->bad = true;
}

// ---- the parts

static void put_hash(struct buffer *out, const struct sha256_state *hash) {
    put(out, hash->nbytes);
    for (int i = 0; i < 8; i++) put(out, hash->words[i]);
    put_bytes(out, hash->pending, (size_t)(hash->nbytes % sizeof hash->pending));
}

static void take_hash(struct source *source, struct sha256_state *hash) {
    hash->nbytes = take(source, UINT64_MAX);
    for (int i = 0; i < 8; i++) hash->words[i] = (uint32_t)take(source, UINT32_MAX);
    const size_t n = take_bytes(source, hash->pending, sizeof hash->pending);
    if (n != hash->nbytes % sizeof hash->pending) source->bad = true;
}

static void put_totals(struct buffer *out, const struct totals *totals) {
    put(out, totals->records);
    put(out, RECORD_STATUS_COUNT);
    for (int s = 0; s < RECORD_STATUS_COUNT; s++) put(out, totals->by_status[s]);
    put(out, totals->ill_formed_utf8);
    put(out, totals->consumed_nbytes);
    put(out, totals->tokens);
    put(out, totals->unknown_tokens);
    put(out, totals->reuse.reused);
    put(out, totals->reuse.shared);
    put(out, totals->reuse.changed);
    put(out, totals->reuse.known);
}

// Seconds are of one process.
static void take_totals(struct source *source, struct totals *totals) {
    *totals = (struct totals){.records = take(source, UINT64_MAX)};
    totals->read = totals->records;
    if (take(source, RECORD_STATUS_COUNT) != RECORD_STATUS_COUNT) source->bad = true;
    for (int s = 0; s < RECORD_STATUS_COUNT; s++) totals->by_status[s] = take(source, UINT64_MAX);
    totals->ill_formed_utf8 = take(source, UINT64_MAX);
    totals->consumed_nbytes = take(source, UINT64_MAX);
    totals->tokens = take(source, UINT64_MAX);
    totals->unknown_tokens = take(source, UINT64_MAX);
    totals->reuse.reused = take(source, UINT64_MAX);
    totals->reuse.shared = take(source, UINT64_MAX);
    totals->reuse.changed = take(source, UINT64_MAX);
    totals->reuse.known = take(source, UINT64_MAX);
}

static void put_input(struct buffer *out, const struct input_point *point) {
    put(out, point->place);
    put(out, (uint64_t)point->n_bits);
    put(out, point->plain_nbytes);
    put(out, point->file_nbytes);
    put(out, point->member_nbytes);
    put(out, point->member_crc);
    put_hash(out, &point->hash);
    put_bytes(out, point->window, point->window_nbytes);
}

static void take_input(struct source *source, struct input_point *point) {
    point->place = (enum input_place)take(source, INPUT_PLACES - 1);
    point->n_bits = (int)take(source, 7);
    point->plain_nbytes = take(source, INT64_MAX);
    point->file_nbytes = take(source, INT64_MAX);
    point->member_nbytes = take(source, UINT64_MAX);
    point->member_crc = (uint32_t)take(source, UINT32_MAX);
    take_hash(source, &point->hash);
    point->window_nbytes = (uint32_t)take_bytes(source, point->window, sizeof point->window);
}

static void put_output(struct buffer *out, const char *temporary,
                       const struct output_point *point) {
    const struct output_place *begin = &point->begin;
    put_bytes(out, temporary, strlen(temporary));
    put(out, begin->nbytes);
    put(out, begin->file_nbytes);
    put(out, begin->crc);
    put(out, begin->file_crc);
    put_hash(out, &begin->hash);
    put_bytes(out, point->tail, point->tail_nbytes);
}

static void take_output(struct source *source, char *temporary, struct output_point *point) {
    struct output_place *begin = &point->begin;
    take_text(source, temporary, JOURNAL_NAME_NBYTES);
    begin->nbytes = take(source, INT64_MAX);
    begin->file_nbytes = take(source, INT64_MAX);
    begin->crc = (uint32_t)take(source, UINT32_MAX);
    begin->file_crc = (uint32_t)take(source, UINT32_MAX);
    take_hash(source, &begin->hash);
    point->tail_nbytes = (uint32_t)take_bytes(source, point->tail, sizeof point->tail - 1);
    if (*temporary == '\0' || strchr(temporary, '/') != NULL ||
        begin->hash.nbytes != begin->nbytes || begin->nbytes % OUTPUT_SEGMENT_NBYTES != 0) {
        source->bad = true;
    }
}

// ---- the whole

enum status journal_format(const struct journal *journal, struct buffer *out, struct error *error) {
    const struct checkpoint *at = &journal->at;
    const size_t begin = out->len;
    char sha256[SHA256_HEX_LEN + 1];
    buffer_add(out, magic, MAGIC_LEN);
    for (int i = 0; i < JOURNAL_PARTS; i++) {
        put_bytes(out, journal->key[i], strlen(journal->key[i]));
    }
    put(out, at->n_records);
    put(out, at->offset);
    put_totals(out, &at->totals);
    put_input(out, &at->input);
    put(out, at->n_outputs);
    for (uint32_t i = 0; i < at->n_outputs; i++) {
        put_output(out, journal->temporary[i], &at->outputs[i]);
    }
    enum status status = buffer_check(out, error);
    if (status != STATUS_OK) return status;
    status = sha256_of(out->bytes + begin, out->len - begin, sha256, error);
    buffer_add(out, sha256, SHA256_HEX_LEN);
    return status == STATUS_OK ? buffer_check(out, error) : status;
}

bool journal_parse(struct span bytes, struct journal *journal) {
    char sha256[SHA256_HEX_LEN + 1];
    if (bytes.len < MAGIC_LEN + SHA256_HEX_LEN || memcmp(bytes.ptr, magic, MAGIC_LEN) != 0) {
        return false;
    }
    const size_t len = bytes.len - SHA256_HEX_LEN;
    if (sha256_of(bytes.ptr, len, sha256, NULL) != STATUS_OK ||
        memcmp(bytes.ptr + len, sha256, SHA256_HEX_LEN) != 0) {
        return false;
    }
    struct source source = {.at = bytes.ptr + MAGIC_LEN, .end = bytes.ptr + len};
    struct checkpoint *at = &journal->at;
    for (int i = 0; i < JOURNAL_PARTS; i++) {
        take_text(&source, journal->key[i], sizeof journal->key[i]);
    }
    at->n_records = take(&source, INT64_MAX);
    at->offset = take(&source, INT64_MAX);
    take_totals(&source, &at->totals);
    take_input(&source, &at->input);
    at->n_outputs = (uint32_t)take(&source, CHECKPOINT_OUTPUTS_MAX);
    for (uint32_t i = 0; i < at->n_outputs; i++) {
        take_output(&source, journal->temporary[i], &at->outputs[i]);
    }
    return !source.bad && source.at == source.end && at->n_outputs > 0 &&
           at->input.plain_nbytes <= at->offset;
}

// ---- the file

// Where the journal of `output` is; false where such a path is too long for any system. It takes no
// memory: a run that fails for want of it removes its journal.
static bool path_of(const char *output, char path[PATH_NBYTES_MAX]) {
    const char *base = path_base(output);
    const int len = snprintf(path, PATH_NBYTES_MAX, "%.*s.%s" JOURNAL_SUFFIX, (int)(base - output),
                             output, base);
    return len > 0 && len < PATH_NBYTES_MAX;
}

enum status journal_write(const char *output, const struct journal *journal, struct error *error) {
    struct buffer bytes = {0};
    struct output *file = NULL;
    char path[PATH_NBYTES_MAX];
    if (!path_of(output, path)) return error_set(error, STATUS_IO, "%s: too long a name", output);
    enum status status = journal_format(journal, &bytes, error);
    if (status == STATUS_OK) status = output_open(path, &file, error);
    if (status == STATUS_OK) status = output_write(file, bytes.bytes, bytes.len, error);
    if (status == STATUS_OK) status = output_commit(file, error);
    output_close(file);
    buffer_free(&bytes);
    return status;
}

// The file's bytes; false where there is no file.
static bool read_file(const char *output, struct buffer *bytes) {
    char path[PATH_NBYTES_MAX];
    errno = ENOENT;
    const int fd = path_of(output, path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return false;
    char *at = buffer_reserve(bytes, JOURNAL_NBYTES_MAX);
    for (ssize_t n = 1; n > 0 && at != NULL && bytes->len < JOURNAL_NBYTES_MAX;) {
        n = read(fd, at + bytes->len, JOURNAL_NBYTES_MAX - bytes->len);
        if (n > 0) bytes->len += (size_t)n;
    }
    close(fd);
    return true;
}

enum journal_found journal_read(const char *output, const struct journal *wanted,
                                struct journal *found, const char **why) {
    static const char *const others[JOURNAL_PARTS] = {
        [JOURNAL_INPUT] = "its input has changed",
        [JOURNAL_MODEL] = "it was begun with another model",
        [JOURNAL_SETTINGS] = "it was begun with other settings",
        [JOURNAL_PROGRAM] = "it was begun by another version of wader, or on other hardware",
    };
    struct buffer bytes = {0};
    *why = NULL;
    if (!read_file(output, &bytes)) {
        if (errno != ENOENT) *why = "its journal cannot be read";
        return JOURNAL_NONE;
    }
    if (!journal_parse((struct span){bytes.bytes, bytes.len}, found)) {
        *why = "its journal is damaged";
    }
    for (int i = 0; i < JOURNAL_PARTS && *why == NULL; i++) {
        if (strcmp(found->key[i], wanted->key[i]) != 0) *why = others[i];
    }
    buffer_free(&bytes);
    return *why == NULL ? JOURNAL_FITS : JOURNAL_STALE;
}

bool journal_exists(const char *output) {
    char path[PATH_NBYTES_MAX];
    return path_of(output, path) && access(path, F_OK) == 0;
}

bool journal_look(const char *output, struct totals *totals) {
    void *memory;
    struct buffer bytes = {0};
    if (!journal_exists(output) ||
        alloc_zeroed(&memory, 1, sizeof(struct journal), "a journal", NULL) != STATUS_OK) {
        return false;
    }
    struct journal *journal = memory;
    const bool good =
        read_file(output, &bytes) && journal_parse((struct span){bytes.bytes, bytes.len}, journal);
    if (good) *totals = journal->at.totals;
    buffer_free(&bytes);
    free(journal);
    return good;
}

static void clear(const char *output, bool all) {
    char path[PATH_NBYTES_MAX];
    if (!path_of(output, path)) return;
    if (all) unlink(path);
    output_sweep(path, NULL);
}

void journal_remove(const char *output) {
    clear(output, true);
}

void journal_sweep(const char *output) {
    clear(output, false);
}
