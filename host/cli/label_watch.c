// SPDX-License-Identifier: Apache-2.0
#include "host/cli/label_watch.h"

#include <stdio.h>

#include "host/base/json.h"
#include "host/cli/report.h"
#include "host/stream/rejects.h"

enum { BAD_SHOWN = 5 };

static void describe_too_long(const struct watch *watch, const struct record *record, char *text,
                              size_t cap) {
    if (record->line_nbytes <= watch->record_nbytes_max) {
        snprintf(text, cap,
                 "the rejects file has only the first %zu of its %llu bytes: label its input again "
                 "with a larger --max-record-bytes",
                 record->line.len, (unsigned long long)record->line_nbytes);
    } else {
        snprintf(text, cap, "the line has %llu bytes, more than --max-record-bytes %zu",
                 (unsigned long long)record->line_nbytes, watch->record_nbytes_max);
    }
}

static void describe_record(const struct watch *watch, const struct record *record, char *text,
                            size_t cap) {
    static const char ill_formed[] =
        "the title holds ill-formed UTF-8, or half a surrogate pair; it is read as U+FFFD";
    static const char *const words[RECORD_STATUS_COUNT] = {
        [RECORD_OK] = ill_formed,
        [RECORD_TRUNCATED] = ill_formed,
        [RECORD_ABSTAIN] = ill_formed,
        [RECORD_BLANK] = "a blank line, where a record should be",
        [RECORD_NO_ID] = "no id; --id-field tells where it is",
        [RECORD_NO_TITLE] = "no title; --title-field tells where it is",
        [RECORD_TITLE_TYPE] = "the title is not a string",
        [RECORD_NONFINITE] = "the model gave a logit that is not a finite number",
    };
    if (record->status == RECORD_BAD_JSON) {
        snprintf(text, cap, "not a JSON record: %s, %u bytes into the line", record->fault,
                 (unsigned)record->fault_offset);
    } else if (record->status == RECORD_TOO_LONG) {
        describe_too_long(watch, record, text, cap);
    } else {
        snprintf(text, cap, "%s", words[record->status]);
    }
}

// Shows the first few bad records and the first ill-formed title; the summary counts the rest.
static void show(struct watch *watch, const struct record *record, const char *text, bool bad) {
    const uint64_t before = bad ? watch->n_bad++ : watch->n_ill_formed++;
    if (watch->quiet || (!watch->verbose && before >= (bad ? BAD_SHOWN : 1))) return;
    const bool replayed = record->file.ptr != NULL;
    const struct span name = replayed ? record->file : span_text(input_name(watch->input));
    struct buffer members = {0};
    log_add_text(&members, "file", name);
    log_add_count(&members, "record", record->number);
    log_add_count(&members, "byte", record->offset);
    if (bad) log_add_text(&members, "status", span_text(record_status_name(record->status)));
    log_line(LOG_WARNING, bad ? "bad_record" : "ill_formed_utf8", &members,
             "%.*s: record %llu at byte %llu: %s", (int)name.len, name.ptr,
             (unsigned long long)record->number, (unsigned long long)record->offset, text);
    buffer_free(&members);
    if (bad && !watch->verbose && before + 1 == BAD_SHOWN) {
        report_warning("further bad records are counted, not shown; -v shows all");
    }
}

static enum status reject(struct watch *watch, const struct record *record, const char *text,
                          struct error *error) {
    struct buffer *line = &watch->line;
    buffer_clear(line);
    reject_add(line, record, watch->format->kind, path_base(input_name(watch->input)), text);
    enum status status = buffer_check(line, error);
    if (status == STATUS_OK) status = output_write(watch->rejects, line->bytes, line->len, error);
    if (status == STATUS_OK) watch->n_rejects++;
    return status;
}

static enum status seen(void *context, const struct record *record, uint64_t number,
                        const float *logits, struct error *error) {
    (void)logits;
    (void)number;
    struct watch *watch = context;
    const bool bad = record_is_bad(record->status);
    enum status status = STATUS_OK;
    if (bad || record->ill_formed_utf8) {
        char text[256];
        describe_record(watch, record, text, sizeof text);
        show(watch, record, text, bad);
        if (bad && watch->rejects != NULL) status = reject(watch, record, text, error);
    }
    if (status == STATUS_OK && watch->ids != NULL && record->id.ptr != NULL) {
        status = id_set_add(watch->ids, record->id, error);
    }
    return status;
}

struct record_watcher record_watcher_of(struct watch *watch) {
    return (struct record_watcher){.every = watch->ids != NULL, .seen = seen, .context = watch};
}

static enum status check_text(void *context, struct span line, struct record_format *format,
                              bool *is_header, struct error *error) {
    (void)format;
    (void)error;
    const struct watch *watch = context;
    struct json_value value;
    struct json_fault fault;
    *is_header = false;
    if (json_parse(line, &value, &fault) && value.type == JSON_OBJECT) {
        report_warning(
            "%s: the first line is a JSON object, and is labelled as a title; for records say "
            "--input-format jsonl, or text to say so",
            input_name(watch->input));
    }
    return STATUS_OK;
}

struct first_line_reader text_checker_of(struct watch *watch) {
    return (struct first_line_reader){.read = check_text, .context = watch};
}
