// SPDX-License-Identifier: Apache-2.0
#include "host/job/verify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/job/kept_scores.h"
#include "host/job/marks.h"
#include "host/job/row_scan.h"
#include "host/stream/input.h"
#include "host/stream/score_set.h"

enum { PIECE_NBYTES = 256 * 1024 };

const char *verdict_name(enum verdict verdict) {
    static const char *const names[VERDICTS] = {[VERDICT_GOOD] = "good",
                                                [VERDICT_MISSING] = "missing",
                                                [VERDICT_PARTIAL] = "partial",
                                                [VERDICT_DIFFERS] = "differs",
                                                [VERDICT_UNREADABLE] = "unreadable"};
    return names[verdict];
}

static void find(struct verify_item *item, enum verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void find(struct verify_item *item, enum verdict verdict, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(item->what, sizeof item->what, format, args);
    va_end(args);
    item->verdict = verdict;
}

static void find_unreadable(struct verify_item *item, enum status why, const char *what) {
    find(item, VERDICT_UNREADABLE, "%.390s", what);
    item->unreadable = why;
}

// A message that begins with the file's name, without it.
static const char *without_name(const char *text, const char *name) {
    const size_t len = strlen(name);
    return strncmp(text, name, len) == 0 && strncmp(text + len, ": ", 2) == 0 ? text + len + 2
                                                                              : text;
}

// ---- what a look tells

static void look_at_size(struct verify_item *item, const struct stat *info) {
    const unsigned long long there = (unsigned long long)info->st_size;
    const unsigned long long wanted = item->record.file_nbytes;
    if (there < wanted) {
        find(item, VERDICT_PARTIAL, "%llu of %llu bytes are there", there, wanted);
    } else if (there > wanted) {
        find(item, VERDICT_DIFFERS, "%llu bytes, where its record tells of %llu", there, wanted);
    }
}

// As a record has it: what is ill-formed UTF-8 in a file's name is U+FFFD there.
static bool is_name(struct json_value recorded, const char *name) {
    struct buffer text = {0};
    buffer_add_json_string(&text, span_text(name));
    const bool same = text.failed || (text.len == recorded.raw.len &&
                                      memcmp(text.bytes, recorded.raw.ptr, text.len) == 0);
    buffer_free(&text);
    return same;
}

static void look_at_record(struct verify_item *item, const struct stat *info) {
    struct error error;
    bool is_there;
    const enum status status = commit_record_read(item->output, &item->record, &is_there, &error);
    if (status == STATUS_ROWS) {
        find(item, VERDICT_DIFFERS, "%.390s", error.text);
    } else if (status != STATUS_OK) {
        find_unreadable(item, STATUS_IO, error.text);
    } else if (!is_there) {
        find(item, VERDICT_MISSING,
             "it has no record (" COMMIT_RECORD_SUFFIX "): it was not finished, or is not wader's");
    } else if (!is_name(item->record.output_name, path_base(item->output))) {
        find(item, VERDICT_DIFFERS, "its record is that of another output");
    } else {
        item->has_record = true;
        look_at_size(item, info);
    }
}

static void look(struct verify_item *item) {
    struct stat info;
    if (stat(item->output, &info) != 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            find(item, VERDICT_MISSING, "there is no such file");
        } else {
            find_unreadable(item, STATUS_IO, strerror(errno));
        }
    } else if (!S_ISREG(info.st_mode)) {
        find(item, VERDICT_DIFFERS, "not a regular file");
    } else {
        look_at_record(item, &info);
    }
}

// ---- its input

static enum status check_input(const struct verify_request *request, struct verify_item *item,
                               struct error *error) {
    struct stat info;
    char sha256[SHA256_HEX_LEN + 1], what[400];
    if (stat(item->input, &info) != 0) {
        snprintf(what, sizeof what, "its input %.250s: %s", item->input, strerror(errno));
        find_unreadable(item, STATUS_INPUT, what);
        return STATUS_OK;
    }
    if ((uint64_t)info.st_size != item->record.input_nbytes) {
        find(item, VERDICT_DIFFERS,
             "it was made of %llu bytes of input; %.250s has %llu: label it again",
             (unsigned long long)item->record.input_nbytes, item->input,
             (unsigned long long)info.st_size);
        return STATUS_OK;
    }
    if (request->quick) return STATUS_OK;
    const enum status status = sha256_file(item->input, request->stop, sha256, error);
    if (status == STATUS_AGAIN) return status;
    if (status != STATUS_OK) {
        snprintf(what, sizeof what, "its input %.380s", error->text);
        find_unreadable(item, STATUS_IO, what);
    } else if (strcmp(sha256, item->record.input_sha256) != 0) {
        find(item, VERDICT_DIFFERS,
             "it was made of another input: the SHA-256 of %.250s is not that of its record",
             item->input);
    }
    return STATUS_OK;
}

// ---- its bytes

struct reading {
    struct input *input;
    struct sha256 *hash;
    struct row_scan scan;
    uint64_t nbytes;
    char bytes[PIECE_NBYTES];
};

static enum status read_all(const struct verify_request *request, struct reading *reading,
                            struct error *error) {
    uint64_t told = 0;
    for (;;) {
        size_t n;
        if (request->stop != NULL && request->stop()) {
            return error_set(error, STATUS_AGAIN, "stopped by a signal");
        }
        enum status status = input_read(reading->input, reading->bytes, PIECE_NBYTES, &n, error);
        if (status != STATUS_OK) return status;
        const uint64_t consumed = input_consumed_nbytes(reading->input);
        if (request->nbytes != NULL) *request->nbytes += consumed - told;
        told = consumed;
        if (n == 0) return row_scan_end(&reading->scan, error);
        reading->nbytes += n;
        sha256_update(reading->hash, reading->bytes, n);
        status = row_scan_feed(&reading->scan, (struct span){reading->bytes, n}, error);
        if (status != STATUS_OK) return status;
    }
}

static void compare(struct verify_item *item, const struct reading *reading, const char *sha256) {
    const struct commit_record *record = &item->record;
    if (reading->scan.n_rows != record->rows_out) {
        find(item, reading->scan.n_rows < record->rows_out ? VERDICT_PARTIAL : VERDICT_DIFFERS,
             "%llu rows, where its record tells of %llu", (unsigned long long)reading->scan.n_rows,
             (unsigned long long)record->rows_out);
    } else if (reading->nbytes != record->nbytes || strcmp(sha256, record->sha256) != 0) {
        find(item, VERDICT_DIFFERS, "its rows are others than those of its record (SHA-256)");
    }
}

// What reading found, as a verdict where it is one.
static enum status judge(struct verify_item *item, enum status status, struct error *error) {
    if (status == STATUS_ROWS) {
        find(item, VERDICT_DIFFERS, "%.390s", error->text);
    } else if (status == STATUS_INPUT) {
        const char *what = without_name(error->text, item->output);
        find(item, strncmp(what, "truncated", 9) == 0 ? VERDICT_PARTIAL : VERDICT_DIFFERS, "%.390s",
             what);
    } else if (status == STATUS_IO) {
        find_unreadable(item, STATUS_IO, without_name(error->text, item->output));
    } else {
        return status;
    }
    return STATUS_OK;
}

static enum status check_bytes(const struct verify_request *request, struct verify_item *item,
                               struct reading *reading, struct error *error) {
    struct error fault = {.text = ""};
    char sha256[SHA256_HEX_LEN + 1];
    reading->scan =
        (struct row_scan){.is_tsv = commit_record_setting_is(&item->record, "output_format", "tsv"),
                          .has_header = commit_record_setting_is(&item->record, "header", "yes"),
                          .tally = request->tally};
    reading->scan.has_header = reading->scan.has_header && reading->scan.is_tsv;
    enum status status = sha256_create(&reading->hash, error);
    if (status != STATUS_OK) return status;
    if (request->ids && item->input != NULL) {
        status = id_walk_open(item->input, &item->record, &reading->scan.ids, &fault);
        if (status != STATUS_OK) return judge(item, status, &fault);
    }
    status = input_open(item->output, &reading->input, &fault);
    if (status != STATUS_OK) {  // it was there a moment ago, and a regular file
        find_unreadable(item, STATUS_IO, without_name(fault.text, item->output));
        return STATUS_OK;
    }
    status = read_all(request, reading, &fault);
    if (status == STATUS_AGAIN) return error_set(error, status, "%s", fault.text);
    if (status != STATUS_OK) return judge(item, status, &fault);
    status = sha256_finish(reading->hash, sha256, error);
    if (status == STATUS_OK) compare(item, reading, sha256);
    return status;
}

static enum status check_output(const struct verify_request *request, struct verify_item *item,
                                struct error *error) {
    void *memory;
    enum status status = alloc_zeroed(&memory, 1, sizeof(struct reading), "an output", error);
    if (status != STATUS_OK) return status;
    struct reading *reading = memory;
    status = check_bytes(request, item, reading, error);
    id_walk_close(reading->scan.ids);
    row_scan_free(&reading->scan);
    input_close(reading->input);
    sha256_destroy(reading->hash);
    free(reading);
    return status;
}

// ---- what stands beside it

static enum status read_rejects(const struct verify_request *request, struct input *input,
                                struct verify_item *item, struct error *error) {
    struct reading *reading;
    void *memory;
    char sha256[SHA256_HEX_LEN + 1];
    uint64_t n_lines = 0;
    enum status status = alloc_zeroed(&memory, 1, sizeof *reading, "rejects", error);
    if (status != STATUS_OK) return status;
    reading = memory;
    status = sha256_create(&reading->hash, error);
    for (size_t n = 1; status == STATUS_OK && n > 0;) {
        if (request->stop != NULL && request->stop()) {
            status = error_set(error, STATUS_AGAIN, "stopped by a signal");
            break;
        }
        status = input_read(input, reading->bytes, PIECE_NBYTES, &n, error);
        if (status != STATUS_OK) break;
        sha256_update(reading->hash, reading->bytes, n);
        reading->nbytes += n;
        for (size_t i = 0; i < n; i++) n_lines += reading->bytes[i] == '\n';
    }
    if (status == STATUS_OK) status = sha256_finish(reading->hash, sha256, error);
    if (status == STATUS_OK && n_lines != item->record.rejects_rows) {
        find(item, VERDICT_DIFFERS,
             "%llu lines in its rejects file, where its record tells of %llu",
             (unsigned long long)n_lines, (unsigned long long)item->record.rejects_rows);
    } else if (status == STATUS_OK && (reading->nbytes != item->record.rejects_nbytes ||
                                       strcmp(sha256, item->record.rejects_sha256) != 0)) {
        find(item, VERDICT_DIFFERS, "its rejects are others than those of its record (SHA-256)");
    }
    sha256_destroy(reading->hash);
    free(reading);
    return status;
}

// The rejects file at `path`, which the record tells of.
static enum status check_rejects(const struct verify_request *request, struct verify_item *item,
                                 const char *path, struct error *error) {
    struct stat info;
    struct input *input;
    if (stat(path, &info) != 0) {
        if (errno != ENOENT) {
            find_unreadable(item, STATUS_IO, strerror(errno));
        } else {
            find(item, VERDICT_MISSING, "its rejects file (" REJECTS_SUFFIX ") is missing");
        }
        return STATUS_OK;
    }
    if ((uint64_t)info.st_size != item->record.rejects_file_nbytes) {
        const bool less = (uint64_t)info.st_size < item->record.rejects_file_nbytes;
        find(item, less ? VERDICT_PARTIAL : VERDICT_DIFFERS,
             "its rejects file has %llu bytes, where its record tells of %llu",
             (unsigned long long)info.st_size,
             (unsigned long long)item->record.rejects_file_nbytes);
        return STATUS_OK;
    }
    if (request->quick) return STATUS_OK;
    struct error fault = {.text = ""};
    enum status status = input_open(path, &input, &fault);
    if (status == STATUS_OK) {
        status = read_rejects(request, input, item, &fault);
        input_close(input);
    }
    if (status == STATUS_OK) return STATUS_OK;
    if (status == STATUS_AGAIN) return error_set(error, status, "%s", fault.text);
    struct error named;
    (void)error_set(&named, status, "its rejects file: %s", without_name(fault.text, path));
    return judge(item, status, &named);
}

// Without them an output is as good as any other; others than its own would be of no use.
static enum status check_scores(struct verify_item *item, struct error *error) {
    struct error fault = {.text = ""};
    char *path = scores_path(item->output);
    if (path == NULL) return error_set(error, STATUS_IO, "out of memory");
    const enum status status = score_file_check(path, item->record.sha256, &fault);
    if (status == STATUS_ROWS) {
        find(item, VERDICT_DIFFERS, "%.200s; its rows are good: remove %.120s", fault.text,
             path_base(path));
    } else if (status != STATUS_OK) {
        find_unreadable(item, STATUS_IO, fault.text);
    }
    free(path);
    return STATUS_OK;
}

enum status verify_output(const struct verify_request *request, struct verify_item *item,
                          struct error *error) {
    enum status status = STATUS_OK;
    look(item);
    if (item->verdict == VERDICT_GOOD && item->input != NULL) {
        status = check_input(request, item, error);
    }
    if (status == STATUS_OK && item->verdict == VERDICT_GOOD && !request->quick) {
        status = check_output(request, item, error);
    }
    if (status == STATUS_OK && item->verdict == VERDICT_GOOD && item->record.has_rejects) {
        char *path = rejects_path(item->output);
        if (path == NULL) return error_set(error, STATUS_IO, "out of memory");
        status = check_rejects(request, item, path, error);
        free(path);
    }
    if (status != STATUS_OK || item->verdict != VERDICT_GOOD) return status;
    return check_scores(item, error);
}

void verify_item_free(struct verify_item *item) {
    commit_record_free(&item->record);
}
