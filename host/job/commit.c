// SPDX-License-Identifier: Apache-2.0
#include "host/job/commit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/base/buffer.h"
#include "host/base/json.h"
#include "host/base/rfc3339.h"
#include "host/job/success.h"

enum { RECORD_SCHEMA = 1, RECORD_FILE_NBYTES_MAX = 1 << 20 };

// ---- looking at a record

static bool same_text(struct json_value object, const char *key, const char *text) {
    struct json_value value;
    return json_member(object, key, &value) && value.type == JSON_STRING &&
           json_string_equal(value, text);
}

static bool same_number(struct json_value object, const char *key, int64_t number) {
    struct json_value value;
    int64_t found;
    return json_member(object, key, &value) && json_int64(value, &found) && found == number;
}

// STATUS_AGAIN when `stop` said so; an input that cannot be read is not the same.
static enum status same_input(struct json_value record, const char *input, bool (*stop)(void),
                              bool *same, struct error *error) {
    struct json_value recorded;
    struct stat info;
    char sha256[SHA256_HEX_LEN + 1];
    *same = json_member(record, "input", &recorded) && stat(input, &info) == 0 &&
            same_number(recorded, "nbytes", (int64_t)info.st_size);
    if (!*same || same_number(recorded, "mtime_ns", stat_mtime_ns(&info))) return STATUS_OK;
    enum status status = sha256_file(input, stop, sha256, error);
    *same = status == STATUS_OK && same_text(recorded, "sha256", sha256);
    return status == STATUS_AGAIN ? status : STATUS_OK;
}

static bool same_provenance(struct json_value record, const struct provenance *provenance) {
    struct json_value model, settings;
    return json_member(record, "model", &model) &&
           same_text(model, "sha256", provenance->model_sha256) &&
           same_text(model, "tokenizer_sha256", provenance->tokenizer_sha256) &&
           json_member(record, "settings", &settings) &&
           span_equal(settings.raw, provenance->settings);
}

static bool is_whole(struct json_value record, const struct stat *output) {
    struct json_value recorded;
    return same_number(record, "schema", RECORD_SCHEMA) &&
           json_member(record, "output", &recorded) &&
           same_number(recorded, "file_nbytes", (int64_t)output->st_size);
}

// Appends the beginning of an open file, as much of it as a record may have.
static enum status read_beginning(int fd, const char *path, struct buffer *text,
                                  struct error *error) {
    char *at = buffer_reserve(text, RECORD_FILE_NBYTES_MAX);
    if (at == NULL) return buffer_check(text, error);
    for (ssize_t n = 1; n != 0 && text->len < RECORD_FILE_NBYTES_MAX;) {
        n = read(fd, at + text->len, RECORD_FILE_NBYTES_MAX - text->len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_set(error, STATUS_IO, "%s: reading: %s", path, strerror(errno));
        text->len += (size_t)n;
    }
    return STATUS_OK;
}

// Reads the record into `text`; none, or what is no record, is JSON_NULL. One that is there and
// cannot be read is an error: it may say that the output is wader's own.
static enum status read_record(const char *path, struct buffer *text, struct json_value *record,
                               struct error *error) {
    struct json_fault fault;
    *record = (struct json_value){.type = JSON_NULL};
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return STATUS_OK;
    if (fd < 0) return error_set(error, STATUS_IO, "%s: %s", path, strerror(errno));
    enum status status = read_beginning(fd, path, text, error);
    close(fd);
    if (status == STATUS_OK && text->len > 0 &&
        !json_parse((struct span){text->bytes, text->len}, record, &fault)) {
        *record = (struct json_value){.type = JSON_NULL};
    }
    return status;
}

static bool read_counts(struct json_value record, struct commit_found *found) {
    struct json_value rows, in, bad;
    int64_t n_in, n_bad;
    if (!json_member(record, "rows", &rows) || !json_member(rows, "in", &in) ||
        !json_int64(in, &n_in) || !json_member(rows, "bad", &bad) || !json_int64(bad, &n_bad) ||
        n_in < 0 || n_bad < 0) {
        return false;
    }
    found->rows = (uint64_t)n_in;
    found->bad = (uint64_t)n_bad;
    return true;
}

enum status commit_look(const char *output, const char *input, const struct provenance *provenance,
                        const struct commit_lock *lock, bool (*stop)(void),
                        struct commit_found *found, struct error *error) {
    *found = (struct commit_found){.state = COMMIT_ABSENT};
    struct stat info;
    if (stat(output, &info) != 0) {
        if (errno == ENOENT) return STATUS_OK;
        return error_set(error, STATUS_IO, "%s: %s", output, strerror(errno));
    }
    char *path = path_beside(output, "", ".meta.json");
    if (path == NULL) return error_set(error, STATUS_IO, "out of memory");
    struct buffer text = {0};
    struct json_value record;
    enum status status = read_record(path, &text, &record, error);
    bool same = false;
    if (status != STATUS_OK) {
        // Nothing can be said of the output.
    } else if (record.type != JSON_OBJECT) {
        found->state = lock->was_left ? COMMIT_ABSENT : COMMIT_STRANGE;
    } else {
        if (is_whole(record, &info) && same_provenance(record, provenance)) {
            status = same_input(record, input, stop, &same, error);
        }
        same = same && read_counts(record, found);
        marks_read(record, output, &found->marks);
        found->state = same ? COMMIT_DONE : COMMIT_OTHER;
    }
    buffer_free(&text);
    free(path);
    return status;
}

// ---- writing one

static void add_time(struct buffer *buffer, time_t when) {
    char text[RFC3339_NBYTES];
    buffer_add_format(buffer, "\"%s\"", rfc3339_seconds(when, text));
}

static void add_rows(struct buffer *buffer, const struct totals *totals) {
    const unsigned long long bad = totals_bad(totals);
    const unsigned long long abstained = totals->by_status[RECORD_ABSTAIN];
    buffer_add_format(buffer,
                      "  \"rows\": {\"in\": %llu, \"out\": %llu, \"labelled\": %llu, "
                      "\"truncated\": %llu, \"abstained\": %llu, \"ill_formed_utf8\": %llu, "
                      "\"bad\": %llu",
                      (unsigned long long)totals->read, (unsigned long long)totals->records,
                      (unsigned long long)totals->records - abstained - bad,
                      (unsigned long long)totals->by_status[RECORD_TRUNCATED], abstained,
                      (unsigned long long)totals->ill_formed_utf8, bad);
    for (int s = 0; s < RECORD_STATUS_COUNT; s++) {
        if (!record_is_bad((enum record_status)s) || totals->by_status[s] == 0) continue;
        buffer_add_format(buffer, ", \"%s\": %llu", record_status_name((enum record_status)s),
                          (unsigned long long)totals->by_status[s]);
    }
    buffer_add_format(buffer, "},\n  \"tokens\": %llu,\n", (unsigned long long)totals->tokens);
}

static void add_name(struct buffer *buffer, const char *path) {
    buffer_add_json_string(buffer, span_text(path_base(path)));
}

static void add_record(struct buffer *buffer, const struct commit_facts *facts,
                       const struct provenance *provenance) {
    const time_t end = time(NULL);
    buffer_add_format(buffer, "{\n  \"schema\": %d,\n  \"wader\": \"%s\",\n", RECORD_SCHEMA,
                      WADER_VERSION);
    buffer_add_text(buffer, "  \"input\": {\"name\": ");
    add_name(buffer, facts->input_path);
    buffer_add_format(buffer, ", \"nbytes\": %llu, \"mtime_ns\": %lld, \"sha256\": \"%s\"},\n",
                      (unsigned long long)input_consumed_nbytes(facts->input),
                      (long long)input_mtime_ns(facts->input), input_sha256(facts->input));
    buffer_add_text(buffer, "  \"output\": {\"name\": ");
    add_name(buffer, facts->output_path);
    buffer_add_format(buffer, ", \"file_nbytes\": %llu, \"nbytes\": %llu, \"sha256\": \"%s\"},\n",
                      (unsigned long long)output_file_nbytes(facts->output),
                      (unsigned long long)output_nbytes(facts->output),
                      output_sha256(facts->output));
    buffer_add_format(buffer,
                      "  \"model\": {\"weights\": \"%s\", \"sha256\": \"%s\", "
                      "\"tokenizer_sha256\": \"%s\"},\n  \"settings\": %s,\n",
                      provenance->weights_name, provenance->model_sha256,
                      provenance->tokenizer_sha256, provenance->settings);
    if (facts->hardware != NULL && facts->hardware[0] != '\0') {
        buffer_add_text(buffer, "  \"hardware\": ");
        buffer_add_json_string(buffer, span_text(facts->hardware));
        buffer_add_text(buffer, ",\n");
    }
    add_rows(buffer, facts->totals);
    kept_scores_tell(buffer, facts->output_path, facts->totals, facts->has_previous, facts->scores);
    marks_add(buffer, facts->output_path, &facts->marks);
    if (facts->totals->audit.rows > 0) {
        buffer_add_format(buffer, "  \"audit\": {\"rows\": %llu, \"apart\": %.3g},\n",
                          (unsigned long long)facts->totals->audit.rows,
                          facts->totals->audit.apart);
    }
    if (facts->n_before > 0) {
        buffer_add_format(buffer, "  \"resumed\": {\"rows\": %llu},\n",
                          (unsigned long long)facts->n_before);
    }
    buffer_add_text(buffer, "  \"started\": ");
    add_time(buffer, end - (time_t)facts->seconds);
    buffer_add_text(buffer, ",\n  \"finished\": ");
    add_time(buffer, end);
    buffer_add_format(buffer, ",\n  \"seconds\": %.3f\n}\n", facts->seconds);
}

// The record under its temporary name, safe on the disk.
static enum status prepare_record(const char *path, const struct commit_facts *facts,
                                  const struct provenance *provenance, struct output **record,
                                  struct error *error) {
    struct buffer text = {0};
    add_record(&text, facts, provenance);
    enum status status = buffer_check(&text, error);
    if (status == STATUS_OK) status = output_open(path, record, error);
    if (status == STATUS_OK) status = output_write(*record, text.bytes, text.len, error);
    if (status == STATUS_OK) status = output_complete(*record, error);
    buffer_free(&text);
    return status;
}

// From the mark on, what stands at the output's name is ours to finish.
static enum status replace(const struct commit_facts *facts, const char *record_path,
                           struct output *record, struct commit_lock *lock, struct error *error) {
    enum status status = commit_lock_mark(lock, error);
    if (status == STATUS_OK) status = success_withdraw(facts->output_path, NULL, error);
    if (status != STATUS_OK) return status;
    if (unlink(record_path) != 0 && errno != ENOENT) {
        return error_set(error, STATUS_IO, "%s: removing it: %s", record_path, strerror(errno));
    }
    status = output_commit(facts->output, error);
    if (status == STATUS_OK) {
        status = rejects_place(facts->output_path, facts->marks.rejects, error);
        if (status == STATUS_OK) {
            status = kept_scores_place(facts->output_path, facts->scores, error);
        }
        if (status == STATUS_OK) status = output_commit(record, error);
        // An output without its record is not done, and must not look so.
        if (status != STATUS_OK) {
            unlink(facts->output_path);
            rejects_place(facts->output_path, NULL, NULL);
            kept_scores_place(facts->output_path, NULL, NULL);
        }
    }
    lock->keep = status != STATUS_OK && access(facts->output_path, F_OK) == 0;
    return status;
}

// Every record that was read has its row, and every bad one was rejected where any was.
static enum status check_figures(const struct commit_facts *facts, struct error *error) {
    const struct totals *totals = facts->totals;
    const struct marks *marks = &facts->marks;
    const uint64_t bad = totals_bad(totals);
    if (totals->read == totals->records && (marks->rejects == NULL || marks->n_rejects == bad)) {
        return STATUS_OK;
    }
    return error_set(error, STATUS_IO,
                     "%s: %llu records were read and %llu rows written, %llu bad and %llu "
                     "rejected: this is a fault in wader, and nothing was committed",
                     facts->output_path, (unsigned long long)totals->read,
                     (unsigned long long)totals->records, (unsigned long long)bad,
                     (unsigned long long)marks->n_rejects);
}

// A record tells of another attempt at this output; anything else is a stranger's file.
static enum status check_no_stranger(const struct commit_facts *facts, const char *record_path,
                                     struct error *error) {
    const char *const paths[] = {facts->output_path, record_path};
    struct stat info;
    bool there[2] = {false};
    for (int i = 0; i < 2; i++) {
        there[i] = facts->was_absent && stat(paths[i], &info) == 0;
        if (facts->was_absent && !there[i] && errno != ENOENT) {
            return error_set(error, STATUS_IO, "%s: %s", paths[i], strerror(errno));
        }
    }
    if (!there[0] || there[1]) return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "%s: it was not there when this run began, and wader has no record of it; no "
                     "output was committed; move it away, or replace it with --force",
                     facts->output_path);
}

enum status commit_publish(const struct commit_facts *facts, const struct provenance *provenance,
                           struct commit_lock *lock, struct error *error) {
    char *path = path_beside(facts->output_path, "", ".meta.json");
    if (path == NULL) return error_set(error, STATUS_IO, "out of memory");
    struct output *record = NULL;
    enum status status = check_figures(facts, error);
    if (status == STATUS_OK) status = output_complete(facts->output, error);
    if (status == STATUS_OK && facts->marks.rejects != NULL) {
        status = output_complete(facts->marks.rejects, error);
    }
    if (status == STATUS_OK && facts->scores != NULL) {
        status = kept_scores_complete(facts->scores, &facts->made_by, output_sha256(facts->output),
                                      error);
    }
    if (status == STATUS_OK) status = prepare_record(path, facts, provenance, &record, error);
    if (status == STATUS_OK) status = check_no_stranger(facts, path, error);
    if (status == STATUS_OK) status = replace(facts, path, record, lock, error);
    output_close(record);
    free(path);
    return status;
}
