// SPDX-License-Identifier: Apache-2.0
#include "host/job/commit_record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SCHEMA = 1 };

// A record being read: the first fault stays.
struct reading {
    enum status status;
    struct error *error;
};

static void fail(struct reading *reading, const char *part, const char *key, const char *what) {
    if (reading->status != STATUS_OK) return;
    reading->status = error_set(reading->error, STATUS_ROWS, "its record is damaged: %s%s%s %s",
                                part, part[0] != '\0' ? "." : "", key, what);
}

// The member `key` of an object that messages call `part`.
static struct json_value member(struct reading *reading, struct json_value object, const char *part,
                                const char *key, enum json_type type) {
    struct json_value value = {.type = JSON_NULL};
    if (reading->status != STATUS_OK) return value;
    if (!json_member(object, key, &value)) {
        fail(reading, part, key, "is missing");
    } else if (value.type != type) {
        fail(reading, part, key, "is of another type");
    } else {
        return value;
    }
    return (struct json_value){.type = JSON_NULL};
}

static uint64_t count(struct reading *reading, struct json_value object, const char *part,
                      const char *key) {
    const struct json_value value = member(reading, object, part, key, JSON_NUMBER);
    int64_t number = 0;
    if (reading->status == STATUS_OK && (!json_int64(value, &number) || number < 0)) {
        fail(reading, part, key, "is no count");
        return 0;
    }
    return (uint64_t)number;
}

static void digest(struct reading *reading, struct json_value object, const char *part,
                   const char *key, char hex[SHA256_HEX_LEN + 1]) {
    const struct json_value value = member(reading, object, part, key, JSON_STRING);
    hex[0] = '\0';
    if (reading->status != STATUS_OK) return;
    const char *text = value.raw.ptr + 1;
    bool good = value.raw.len == SHA256_HEX_LEN + 2;
    for (size_t i = 0; good && i < SHA256_HEX_LEN; i++) {
        good = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
    }
    if (!good) {
        fail(reading, part, key, "is no SHA-256");
        return;
    }
    memcpy(hex, text, SHA256_HEX_LEN);
    hex[SHA256_HEX_LEN] = '\0';
}

static void read_rows(struct reading *reading, struct json_value object,
                      struct commit_record *record) {
    const struct json_value rows = member(reading, object, "", "rows", JSON_OBJECT);
    record->rows_in = count(reading, rows, "rows", "in");
    record->rows_out = count(reading, rows, "rows", "out");
    record->labelled = count(reading, rows, "rows", "labelled");
    record->truncated = count(reading, rows, "rows", "truncated");
    record->abstained = count(reading, rows, "rows", "abstained");
    record->bad = count(reading, rows, "rows", "bad");
    record->tokens = count(reading, object, "", "tokens");
    if (reading->status != STATUS_OK) return;
    if (record->rows_in != record->rows_out) fail(reading, "rows", "in", "is not rows.out");
    uint64_t sum;
    if (__builtin_add_overflow(record->labelled, record->abstained, &sum) ||
        __builtin_add_overflow(sum, record->bad, &sum) || sum != record->rows_out) {
        fail(reading, "rows", "out", "is not what labelled, abstained and bad add up to");
    }
}

// What only some records have (marks.h).
static void read_marks(struct reading *reading, struct json_value object,
                       struct commit_record *record) {
    struct json_value value;
    record->salvaged = json_member(object, "salvaged", &value);
    record->trailing = json_member(object, "trailing", &value);
    record->has_rejects = json_member(object, "rejects", &value);
    if (reading->status != STATUS_OK || !record->has_rejects) return;
    const struct json_value rejects = member(reading, object, "", "rejects", JSON_OBJECT);
    record->rejects_rows = count(reading, rejects, "rejects", "rows");
    record->rejects_file_nbytes = count(reading, rejects, "rejects", "file_nbytes");
    record->rejects_nbytes = count(reading, rejects, "rejects", "nbytes");
    digest(reading, rejects, "rejects", "sha256", record->rejects_sha256);
    if (reading->status == STATUS_OK && record->rejects_rows != record->bad) {
        fail(reading, "rejects", "rows", "is not rows.bad");
    }
}

enum status commit_record_parse(struct commit_record *record, struct error *error) {
    struct reading reading = {STATUS_OK, error};
    struct json_value object;
    struct json_fault fault;
    int64_t schema;
    if (!json_parse((struct span){record->text.bytes, record->text.len}, &object, &fault)) {
        return error_set(error, STATUS_ROWS, "its record is damaged: byte %zu: %s", fault.offset,
                         fault.what);
    }
    const struct json_value number = member(&reading, object, "", "schema", JSON_NUMBER);
    if (reading.status == STATUS_OK && (!json_int64(number, &schema) || schema != SCHEMA)) {
        return error_set(error, STATUS_ROWS,
                         "its record has a schema that this wader (%s) does not "
                         "know",
                         WADER_VERSION);
    }
    record->version = member(&reading, object, "", "wader", JSON_STRING);
    const struct json_value input = member(&reading, object, "", "input", JSON_OBJECT);
    record->input_name = member(&reading, input, "input", "name", JSON_STRING);
    record->input_nbytes = count(&reading, input, "input", "nbytes");
    digest(&reading, input, "input", "sha256", record->input_sha256);
    const struct json_value output = member(&reading, object, "", "output", JSON_OBJECT);
    record->output_name = member(&reading, output, "output", "name", JSON_STRING);
    record->file_nbytes = count(&reading, output, "output", "file_nbytes");
    record->nbytes = count(&reading, output, "output", "nbytes");
    digest(&reading, output, "output", "sha256", record->sha256);
    const struct json_value model = member(&reading, object, "", "model", JSON_OBJECT);
    digest(&reading, model, "model", "sha256", record->model_sha256);
    digest(&reading, model, "model", "tokenizer_sha256", record->tokenizer_sha256);
    record->settings = member(&reading, object, "", "settings", JSON_OBJECT);
    if (!json_member(object, "hardware", &record->hardware)) {
        record->hardware = (struct json_value){.type = JSON_NULL};
    }
    read_rows(&reading, object, record);
    read_marks(&reading, object, record);
    return reading.status;
}

// All of a file of bounded size. STATUS_ROWS where it is larger.
static enum status read_text(FILE *file, struct buffer *text, struct error *error) {
    char *at = buffer_reserve(text, COMMIT_RECORD_NBYTES_MAX + 1);
    if (at == NULL) return buffer_check(text, error);
    do {
        clearerr(file);
        text->len += fread(at + text->len, 1, COMMIT_RECORD_NBYTES_MAX + 1 - text->len, file);
    } while (ferror(file) && errno == EINTR);
    if (ferror(file)) {
        return error_set(error, STATUS_IO, "its record cannot be read: %s", strerror(errno));
    }
    if (text->len <= COMMIT_RECORD_NBYTES_MAX) return STATUS_OK;
    return error_set(error, STATUS_ROWS, "its record is damaged: larger than %d bytes",
                     (int)COMMIT_RECORD_NBYTES_MAX);
}

// Keeps no more memory than the text takes: there is one for each output of a catalog.
static void shrink(struct buffer *text) {
    char *smaller = realloc(text->bytes, text->len > 0 ? text->len : 1);
    if (smaller == NULL) return;
    text->bytes = smaller;
    text->cap = text->len > 0 ? text->len : 1;
}

enum status commit_record_read(const char *output, struct commit_record *record, bool *is_there,
                               struct error *error) {
    *record = (struct commit_record){0};
    *is_there = false;
    char path[PATH_NBYTES_MAX + sizeof COMMIT_RECORD_SUFFIX];
    const int len = snprintf(path, sizeof path, "%s" COMMIT_RECORD_SUFFIX, output);
    if (len < 0 || (size_t)len >= sizeof path) {
        return error_set(error, STATUS_IO, "the path is too long");
    }
    // Not waiting: whatever has the name may be a pipe.
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *is_there = fd >= 0 || (errno != ENOENT && errno != ENOTDIR);
    if (fd < 0 && !*is_there) return STATUS_OK;
    struct stat info;
    if (fd >= 0 && fstat(fd, &info) == 0 && !S_ISREG(info.st_mode)) {
        close(fd);
        return error_set(error, STATUS_ROWS, "its record is no regular file");
    }
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (file == NULL) {
        enum status failed =
            error_set(error, STATUS_IO, "its record cannot be read: %s", strerror(errno));
        if (fd >= 0) close(fd);
        return failed;
    }
    enum status status = read_text(file, &record->text, error);
    fclose(file);
    if (status != STATUS_OK) return status;
    shrink(&record->text);
    return commit_record_parse(record, error);
}

void commit_record_free(struct commit_record *record) {
    buffer_free(&record->text);
    *record = (struct commit_record){0};
}

bool commit_record_setting_is(const struct commit_record *record, const char *key,
                              const char *text) {
    struct json_value value;
    return json_member(record->settings, key, &value) && value.type == JSON_STRING &&
           json_string_equal(value, text);
}
