// SPDX-License-Identifier: Apache-2.0
#include "host/job/diff_side.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// ---- which files

// The name of an output's input without its kind: "a" of "dir/a.labels.tsv.gz". False where it is
// no output's name.
static bool stem_of(const char *path, struct span *stem) {
    static const char *const kinds[] = {".labels.jsonl", ".labels.tsv"};
    *stem = span_text(path_base(path));
    if (stem->ptr[0] == '.') return false;
    if (name_ends_in_gz(path)) stem->len -= strlen(".gz");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!span_ends_in(*stem, kinds[i])) continue;
        stem->len -= strlen(kinds[i]);
        return true;
    }
    return false;
}

static int by_stem(const void *a, const void *b) {
    struct span left, right;
    (void)stem_of(*(char *const *)a, &left);
    (void)stem_of(*(char *const *)b, &right);
    const size_t n = left.len < right.len ? left.len : right.len;
    const int order = memcmp(left.ptr, right.ptr, n);
    return order != 0 ? order : (left.len > right.len) - (left.len < right.len);
}

static enum status add(struct diff_side *side, const char *dir, const char *name,
                       struct error *error) {
    struct stat info;
    char path[PATH_NBYTES_MAX];
    enum status status = path_join(path, sizeof path, dir, name, error);
    if (status != STATUS_OK) return status;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) return STATUS_OK;
    char **files = realloc(side->files, (side->n_files + 1) * sizeof *files);
    if (files != NULL) side->files = files;
    char *copy = files != NULL ? strdup(path) : NULL;
    if (copy == NULL) return error_set(error, STATUS_IO, "out of memory for a list of outputs");
    files[side->n_files++] = copy;
    side->nbytes += (uint64_t)info.st_size;
    return STATUS_OK;
}

static enum status list_directory(struct diff_side *side, struct error *error) {
    DIR *directory = opendir(side->path);
    if (directory == NULL) {
        return error_set(error, STATUS_INPUT, "%s: %s", side->path, strerror(errno));
    }
    enum status status = STATUS_OK;
    struct span stem;
    for (struct dirent *entry; status == STATUS_OK && (entry = readdir(directory)) != NULL;) {
        if (stem_of(entry->d_name, &stem)) status = add(side, side->path, entry->d_name, error);
    }
    closedir(directory);
    if (status != STATUS_OK) return status;
    if (side->n_files == 0) {
        return error_set(error, STATUS_INPUT,
                         "%s: no .labels.jsonl or .labels.tsv file in this directory, plain or .gz",
                         side->path);
    }
    qsort(side->files, side->n_files, sizeof *side->files, by_stem);
    for (size_t i = 1; i < side->n_files; i++) {
        if (by_stem(&side->files[i - 1], &side->files[i]) != 0) continue;
        return error_set(error, STATUS_USAGE,
                         "%s and %s are outputs of inputs with one name; move one away",
                         side->files[i - 1], side->files[i]);
    }
    return STATUS_OK;
}

static enum status list(struct diff_side *side, struct error *error) {
    struct stat info;
    if (strcmp(side->path, "-") == 0) {
        return error_set(error, STATUS_USAGE, "OLD and NEW are files or directories, not stdin");
    }
    if (stat(side->path, &info) != 0) {
        return error_set(error, STATUS_INPUT, "%s: %s", side->path, strerror(errno));
    }
    side->is_directory = S_ISDIR(info.st_mode);
    if (side->is_directory) return list_directory(side, error);
    side->files = malloc(sizeof *side->files);
    if (side->files != NULL) side->files[0] = strdup(side->path);
    if (side->files == NULL || side->files[0] == NULL) {
        return error_set(error, STATUS_IO, "out of memory for a list of outputs");
    }
    side->n_files = 1;
    side->nbytes = S_ISREG(info.st_mode) ? (uint64_t)info.st_size : 0;
    return STATUS_OK;
}

// ---- their records

static bool same_span(struct span a, struct span b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

// Every record is read at once, before any row: what does not fit is said in the first second.
static enum status read_records(struct diff_side *side, struct error *error) {
    size_t n_numbered = 0;
    for (size_t i = 0; i < side->n_files; i++) {
        struct commit_record record;
        bool is_there;
        enum status status = diff_file_record(side->files[i], &record, &is_there, error);
        if (status != STATUS_OK || !is_there) {
            commit_record_free(&record);
            if (status != STATUS_OK) return status;
            continue;
        }
        n_numbered += commit_record_setting_is(&record, "input_format", "text");
        if (side->n_recorded++ == 0) {
            side->record = record;
            continue;
        }
        const struct commit_record *first = &side->record;
        side->many_models |= strcmp(record.model_sha256, first->model_sha256) != 0;
        side->many_tokenizers |= strcmp(record.tokenizer_sha256, first->tokenizer_sha256) != 0;
        side->many_settings |= !same_span(record.settings.raw, first->settings.raw);
        commit_record_free(&record);
    }
    side->numbers_lines = n_numbered == side->n_files;
    return STATUS_OK;
}

enum status diff_side_open(const char *path, struct diff_side *side, struct error *error) {
    *side = (struct diff_side){.path = path};
    enum status status = list(side, error);
    return status == STATUS_OK ? read_records(side, error) : status;
}

void diff_side_close(struct diff_side *side) {
    diff_file_close(side->file);
    for (size_t i = 0; i < side->n_files; i++) free(side->files[i]);
    free(side->files);
    commit_record_free(&side->record);
    buffer_free(&side->id);
    *side = (struct diff_side){0};
}

// ---- rows

static enum status name_file(struct diff_side *side, struct diff_row *row, struct error *error) {
    struct span stem;
    (void)stem_of(side->files[side->next - 1], &stem);
    buffer_clear(&side->id);
    buffer_add(&side->id, stem.ptr, stem.len);
    buffer_add(&side->id, ":", 1);
    buffer_add(&side->id, row->id.ptr, row->id.len);
    row->id = (struct span){side->id.bytes, side->id.len};
    return buffer_check(&side->id, error);
}

enum status diff_side_next(struct diff_side *side, struct diff_row *row, bool *found,
                           struct error *error) {
    enum status status = STATUS_OK;
    *found = false;
    while (status == STATUS_OK) {
        if (side->file == NULL) {
            if (side->next == side->n_files) return STATUS_OK;
            status = diff_file_open(side->files[side->next++], &side->file, error);
            if (status != STATUS_OK) return status;
        }
        status = diff_file_next(side->file, row, found, error);
        if (status != STATUS_OK || *found) break;
        side->behind_nbytes += diff_file_at(side->file);
        diff_file_close(side->file);
        side->file = NULL;
    }
    if (status == STATUS_OK && side->names_files) status = name_file(side, row, error);
    return status;
}

uint64_t diff_side_at(const struct diff_side *side) {
    return side->behind_nbytes + (side->file != NULL ? diff_file_at(side->file) : 0);
}

struct span diff_side_header(const struct diff_side *side) {
    return side->file != NULL ? diff_file_header(side->file) : (struct span){0};
}
