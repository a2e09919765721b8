// SPDX-License-Identifier: Apache-2.0
#include "host/job/diff_record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { RECORD_SCHEMA = 1, RECORD_FILE_NBYTES_MAX = 1 << 20 };

static enum status broken(const char *output, const char *what, struct error *error) {
    return error_set(error, STATUS_INPUT,
                     "%s.meta.json: %s; take the output from where it was made, or label again",
                     output, what);
}

static enum status read_text(const char *output, struct diff_record *record, struct error *error) {
    char path[PATH_NBYTES_MAX + 16];
    snprintf(path, sizeof path, "%s.meta.json", output);
    FILE *file = fopen(path, "re");
    if (file == NULL && errno == ENOENT) return STATUS_OK;
    if (file == NULL) return broken(output, strerror(errno), error);
    char *at = buffer_reserve(&record->text, RECORD_FILE_NBYTES_MAX);
    if (at != NULL) record->text.len = fread(at, 1, RECORD_FILE_NBYTES_MAX, file);
    const bool failed = ferror(file) != 0;
    fclose(file);
    if (failed) return broken(output, "it cannot be read", error);
    record->is_there = true;
    return buffer_check(&record->text, error);
}

static bool get_count(struct json_value object, const char *key, uint64_t *out) {
    struct json_value value;
    int64_t number;
    if (!json_member(object, key, &value) || !json_int64(value, &number) || number < 0) {
        return false;
    }
    *out = (uint64_t)number;
    return true;
}

static bool get_sha256(struct json_value object, const char *key, char hex[SHA256_HEX_LEN + 1]) {
    struct json_value value;
    if (!json_member(object, key, &value) || value.type != JSON_STRING ||
        value.raw.len != SHA256_HEX_LEN + 2) {
        return false;
    }
    for (size_t i = 0; i < SHA256_HEX_LEN; i++) {
        hex[i] = value.raw.ptr[i + 1];
        if (hex_digit(hex[i]) < 0) return false;
    }
    hex[SHA256_HEX_LEN] = '\0';
    return true;
}

static bool get_all(struct json_value root, struct diff_record *record, uint64_t *file_nbytes) {
    struct json_value output, model, rows, input_format;
    if (!json_member(root, "output", &output) || !json_member(root, "model", &model) ||
        !json_member(root, "rows", &rows) || !json_member(root, "settings", &record->settings)) {
        return false;
    }
    record->numbers_lines = json_member(record->settings, "input_format", &input_format) &&
                            input_format.type == JSON_STRING &&
                            json_string_equal(input_format, "text");
    return record->settings.type == JSON_OBJECT && get_count(output, "file_nbytes", file_nbytes) &&
           get_count(output, "nbytes", &record->output_nbytes) &&
           get_count(rows, "out", &record->rows) &&
           get_sha256(output, "sha256", record->output_sha256) &&
           get_sha256(model, "sha256", record->model_sha256) &&
           get_sha256(model, "tokenizer_sha256", record->tokenizer_sha256);
}

static enum status understand(const char *output, struct diff_record *record, struct error *error) {
    struct json_value root;
    struct json_fault fault;
    struct stat info;
    uint64_t schema = 0, file_nbytes = 0;
    const struct span text = {record->text.bytes, record->text.len};
    if (!json_parse(text, &root, &fault)) return broken(output, "it is not JSON", error);
    if (!get_count(root, "schema", &schema) || schema != RECORD_SCHEMA) {
        return broken(output, "it is not a commit record of this version", error);
    }
    if (!get_all(root, record, &file_nbytes)) return broken(output, "it is not whole", error);
    if (stat(output, &info) == 0 && S_ISREG(info.st_mode) &&
        (uint64_t)info.st_size != file_nbytes) {
        return error_set(error, STATUS_INPUT,
                         "%s: it has %llu bytes, and its commit record says %llu: it was changed "
                         "or cut; label again, or take it from where it was made",
                         output, (unsigned long long)info.st_size, (unsigned long long)file_nbytes);
    }
    return STATUS_OK;
}

enum status diff_record_read(const char *output, struct diff_record *record, struct error *error) {
    *record = (struct diff_record){.settings = {.type = JSON_NULL}};
    if (strlen(output) >= PATH_NBYTES_MAX) {
        return error_set(error, STATUS_USAGE, "%s: the path is too long", output);
    }
    enum status status = read_text(output, record, error);
    if (status != STATUS_OK || !record->is_there) return status;
    return understand(output, record, error);
}

void diff_record_free(struct diff_record *record) {
    buffer_free(&record->text);
    *record = (struct diff_record){.settings = {.type = JSON_NULL}};
}
