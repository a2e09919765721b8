// SPDX-License-Identifier: Apache-2.0
#include "host/job/marks.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

char *rejects_path(const char *output) {
    const size_t len = strlen(output);
    char *path = malloc(len + sizeof REJECTS_SUFFIX);
    if (path == NULL) return NULL;
    memcpy(path, output, len);
    memcpy(path + len, REJECTS_SUFFIX, sizeof REJECTS_SUFFIX);
    return path;
}

enum status rejects_place(const char *output, struct output *rejects, struct error *error) {
    if (rejects != NULL) return output_commit(rejects, error);
    char *path = rejects_path(output);
    enum status status = output_remove(path, error);
    free(path);
    return status;
}

static void add_rejects(struct buffer *buffer, const char *output, const struct marks *marks) {
    const struct span base = span_text(path_base(output));
    struct buffer name = {0};
    buffer_add(&name, base.ptr, base.len);
    buffer_add_text(&name, REJECTS_SUFFIX);
    buffer_add_text(buffer, "  \"rejects\": {\"name\": ");
    buffer_add_json_string(buffer, (struct span){name.bytes, name.len});
    buffer->failed = buffer->failed || name.failed;
    buffer_free(&name);
    buffer_add_format(
        buffer, ", \"rows\": %llu, \"file_nbytes\": %llu, \"nbytes\": %llu, \"sha256\": \"%s\"},\n",
        (unsigned long long)marks->n_rejects,
        (unsigned long long)output_file_nbytes(marks->rejects),
        (unsigned long long)output_nbytes(marks->rejects), output_sha256(marks->rejects));
}

static void add_salvage(struct buffer *buffer, const struct salvage *salvage) {
    buffer_add_format(buffer,
                      "  \"salvaged\": {\"compressed_byte\": %llu, \"records\": %llu, "
                      "\"unchecked_records\": %llu, \"reason\": ",
                      (unsigned long long)salvage->compressed_at,
                      (unsigned long long)salvage->records, (unsigned long long)salvage->unchecked);
    buffer_add_json_string(buffer, span_text(salvage->reason));
    buffer_add_text(buffer, "},\n");
}

void marks_add(struct buffer *buffer, const char *output, const struct marks *marks) {
    if (marks->rejects != NULL) add_rejects(buffer, output, marks);
    if (marks->ids != NULL) {
        buffer_add_format(buffer, "  \"duplicate_ids\": %llu,\n",
                          (unsigned long long)id_set_duplicates(marks->ids));
        if (!id_set_is_exact(marks->ids)) {
            buffer_add_text(buffer, "  \"duplicate_ids_exact\": false,\n");
        }
    }
    if (marks->salvage != NULL && marks->salvage->damaged) add_salvage(buffer, marks->salvage);
    if (marks->trailing.found) {
        buffer_add_format(buffer, "  \"trailing\": {\"compressed_byte\": %llu},\n",
                          (unsigned long long)marks->trailing.compressed_at);
    }
}

static bool rejects_are_there(struct json_value rejects, const char *output) {
    struct json_value value;
    struct stat info;
    int64_t nbytes;
    char *path = rejects_path(output);
    const bool there = path != NULL && json_member(rejects, "file_nbytes", &value) &&
                       json_int64(value, &nbytes) && stat(path, &info) == 0 &&
                       (int64_t)info.st_size == nbytes;
    free(path);
    return there;
}

void marks_read(struct json_value record, const char *output, struct marks_found *found) {
    struct json_value value;
    *found = (struct marks_found){
        .salvaged = json_member(record, "salvaged", &value),
        .trailing = json_member(record, "trailing", &value),
        .duplicates_counted = json_member(record, "duplicate_ids", &value),
    };
    found->has_rejects = json_member(record, "rejects", &value) && rejects_are_there(value, output);
}
