// SPDX-License-Identifier: Apache-2.0
#include "host/job/diff_file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/base/sha256.h"
#include "host/stream/input.h"

enum { FIRST_NBYTES = 256 * 1024 };

struct diff_file {
    struct input *input;
    struct sha256 *hash;
    struct commit_record record;
    bool has_record;
    enum row_kind kind;
    bool kind_is_known, ended;
    char *bytes, *scratch;  // [cap] each
    size_t cap, at, end;    // what is read and not yet handed out: [at, end)
    uint64_t offset;        // of bytes[at] in the uncompressed file
    uint64_t n_lines, n_rows, n_read;
    struct buffer header;
};

static enum status grow(struct diff_file *file, size_t cap, struct error *error) {
    char *bytes = realloc(file->bytes, cap);
    if (bytes != NULL) file->bytes = bytes;
    char *scratch = realloc(file->scratch, cap);
    if (scratch != NULL) file->scratch = scratch;
    if (bytes == NULL || scratch == NULL) {
        return error_set(error, STATUS_IO, "out of memory for a row of %zu bytes", cap);
    }
    file->cap = cap;
    return STATUS_OK;
}

enum status diff_file_record(const char *path, struct commit_record *record, bool *is_there,
                             struct error *error) {
    struct error found;
    struct stat info;
    if (commit_record_read(path, record, is_there, &found) != STATUS_OK) {
        return error_set(error, STATUS_INPUT,
                         "%s" COMMIT_RECORD_SUFFIX
                         ": %s; take the output from where it was made, or label again",
                         path, found.text);
    }
    if (*is_there && stat(path, &info) == 0 && S_ISREG(info.st_mode) &&
        (uint64_t)info.st_size != record->file_nbytes) {
        return error_set(error, STATUS_INPUT,
                         "%s: it has %llu bytes, and its commit record says %llu: it was changed "
                         "or cut; label again, or take it from where it was made",
                         path, (unsigned long long)info.st_size,
                         (unsigned long long)record->file_nbytes);
    }
    return STATUS_OK;
}

enum status diff_file_open(const char *path, struct diff_file **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "an output's reader", error);
    if (status != STATUS_OK) return status;
    struct diff_file *file = memory;
    const enum record_kind kind = record_kind_of_name(path);
    file->kind = kind == RECORD_TSV ? ROW_TSV : ROW_JSONL;
    file->kind_is_known = kind != RECORD_TEXT;
    status = diff_file_record(path, &file->record, &file->has_record, error);
    if (status == STATUS_OK) status = grow(file, FIRST_NBYTES, error);
    if (status == STATUS_OK) status = sha256_create(&file->hash, error);
    if (status == STATUS_OK) status = input_open(path, &file->input, error);
    if (status != STATUS_OK) {
        diff_file_close(file);
        return status;
    }
    *out = file;
    return STATUS_OK;
}

void diff_file_close(struct diff_file *file) {
    if (file == NULL) return;
    input_close(file->input);
    sha256_destroy(file->hash);
    commit_record_free(&file->record);
    buffer_free(&file->header);
    free(file->bytes);
    free(file->scratch);
    free(file);
}

uint64_t diff_file_at(const struct diff_file *file) {
    return input_consumed_nbytes(file->input);
}

struct span diff_file_header(const struct diff_file *file) {
    return (struct span){file->header.bytes, file->header.len};
}

// ---- lines

static enum status bad_row(const struct diff_file *file, const char *what, size_t offset,
                           struct error *error) {
    return error_set(error, STATUS_INPUT,
                     "%s: line %llu, at byte %llu of the rows, is no row that wader label writes: "
                     "%s",
                     input_name(file->input), (unsigned long long)file->n_lines,
                     (unsigned long long)(file->offset + offset), what);
}

// More bytes behind `end`.
static enum status refill(struct diff_file *file, struct error *error) {
    size_t n = 0;
    enum status status = STATUS_OK;
    if (file->at > 0) {
        memmove(file->bytes, file->bytes + file->at, file->end - file->at);
        file->end -= file->at;
        file->at = 0;
    }
    if (file->end == file->cap) {
        if (file->cap >= ROW_NBYTES_MAX) {
            file->n_lines++;
            return bad_row(file, "it is longer than 64 MiB", 0, error);
        }
        status = grow(file, 2 * file->cap, error);
    }
    if (status == STATUS_OK) {
        status = input_read(file->input, file->bytes + file->end, file->cap - file->end, &n, error);
    }
    if (status != STATUS_OK) return status;
    file->ended = n == 0;
    sha256_update(file->hash, file->bytes + file->end, n);
    file->end += n;
    file->n_read += n;
    return STATUS_OK;
}

// The next line without its end, [bytes + at, + *len).
static enum status find_line(struct diff_file *file, size_t *len, bool *found,
                             struct error *error) {
    size_t searched = 0;
    *len = 0;
    *found = false;
    for (;;) {
        const char *begin = file->bytes + file->at;
        const size_t n = file->end - file->at;
        const char *newline = n > searched ? memchr(begin + searched, '\n', n - searched) : NULL;
        if (newline != NULL) {
            *len = (size_t)(newline - begin);
            *found = true;
            file->n_lines++;
            return STATUS_OK;
        }
        if (file->ended) break;
        searched = n;
        enum status status = refill(file, error);
        if (status != STATUS_OK) return status;
    }
    if (file->at == file->end) return STATUS_OK;
    file->n_lines++;
    return bad_row(file, "it has no end of line: the file was cut", 0, error);
}

static void pass(struct diff_file *file, size_t len) {
    file->at += len + 1;
    file->offset += len + 1;
}

// ---- the end

static enum status differs(const struct diff_file *file, const char *what, struct error *error) {
    return error_set(error, STATUS_INPUT,
                     "%s: its %s not what its commit record says: it was changed since; label "
                     "again, or take it from where it was made",
                     input_name(file->input), what);
}

static enum status check_end(struct diff_file *file, struct error *error) {
    char sha256[SHA256_HEX_LEN + 1];
    const struct commit_record *record = &file->record;
    enum status status = input_check_unchanged(file->input, error);
    if (status == STATUS_OK) status = sha256_finish(file->hash, sha256, error);
    if (status != STATUS_OK || !file->has_record) return status;
    if (file->n_read != record->nbytes) return differs(file, "size is", error);
    if (strcmp(sha256, record->sha256) != 0) return differs(file, "SHA-256 is", error);
    if (file->n_rows != record->rows_out) return differs(file, "number of rows is", error);
    return STATUS_OK;
}

enum status diff_file_next(struct diff_file *file, struct diff_row *row, bool *found,
                           struct error *error) {
    struct diff_row_fault fault;
    size_t len;
    enum status status = find_line(file, &len, found, error);
    if (status != STATUS_OK) return status;
    if (!*found) return check_end(file, error);
    struct span line = {file->bytes + file->at, len};
    if (!file->kind_is_known) {
        file->kind = len > 0 && line.ptr[0] == '{' ? ROW_JSONL : ROW_TSV;
        file->kind_is_known = true;
    }
    if (file->n_lines == 1 && file->kind == ROW_TSV && diff_row_is_header(line)) {
        buffer_add(&file->header, line.ptr, len);
        status = buffer_check(&file->header, error);
        pass(file, len);
        return status == STATUS_OK ? diff_file_next(file, row, found, error) : status;
    }
    if (!diff_row_parse(file->kind, line, file->scratch, row, &fault)) {
        return bad_row(file, fault.what, fault.offset, error);
    }
    file->n_rows++;
    pass(file, len);
    return STATUS_OK;
}
