// SPDX-License-Identifier: Apache-2.0
#include "host/stream/row.h"

#include <math.h>

static float sigmoid(float x) {
    return 1.0f / (1.0f + expf(-x));
}

// Differences and logits that are far enough overflow to an infinity, whose exponential is right.
bool label_of_logits(const struct row_format *format, const float *logits, struct label *label) {
    int32_t top = 0;
    bool finite = true;
    for (int32_t k = 0; k < format->n_labels; k++) {
        finite = finite && isfinite(logits[k]);
        if (logits[k] > logits[top]) top = k;
    }
    if (!finite) return false;
    if (format->probability == ROW_SIGMOID) {
        *label = (struct label){.index = top, .score = sigmoid(logits[top] / format->temperature)};
        return true;
    }
    float sum = 0.0f;
    for (int32_t k = 0; k < format->n_labels; k++) {
        sum += expf((logits[k] - logits[top]) / format->temperature);
    }
    *label = (struct label){.index = top, .score = 1.0f / sum};
    return true;
}

float probability_of(const struct row_format *format, const float *logits, const struct label *top,
                     int32_t k) {
    if (format->probability == ROW_SIGMOID) return sigmoid(logits[k] / format->temperature);
    return expf((logits[k] - logits[top->index]) / format->temperature) * top->score;
}

bool label_abstains(const struct row_format *format, const struct label *label) {
    return format->thresholds != NULL && label->score < format->thresholds[label->index];
}

// Blanks for the CRs in a JSON value that was added at `begin`: they are white space between
// tokens, since a string holds none, and some readers would take them for the end of the row.
static void space_out(struct buffer *buffer, size_t begin, struct span value) {
    if (value.ptr[0] != '{' && value.ptr[0] != '[') return;
    for (size_t i = begin; i < buffer->len; i++) {
        if (buffer->bytes[i] == '\r') buffer->bytes[i] = ' ';
    }
}

// A value of the input, in the form the output wants it.
static void add_value(struct buffer *buffer, enum row_kind kind, enum record_kind from,
                      struct span value) {
    const bool is_json = from == RECORD_JSONL;
    if (kind == ROW_JSONL) {
        if (is_json) {
            const size_t begin = buffer->len;
            buffer_add_utf8(buffer, value);
            space_out(buffer, begin, value);
        } else {
            buffer_add_json_string(buffer, value);
        }
    } else if (is_json && value.ptr[0] == '"') {
        // Decoded first, into no more bytes than it has now, then escaped anew.
        struct buffer text = {0};
        char *at = buffer_reserve(&text, value.len);
        if (at != NULL) {
            text.len = json_string((struct json_value){JSON_STRING, value}, at);
            buffer_add_tsv_cell(buffer, (struct span){text.bytes, text.len});
        } else {
            buffer->failed = true;
        }
        buffer_free(&text);
    } else {
        const size_t begin = buffer->len;
        buffer_add_tsv_cell(buffer, value);
        if (is_json) space_out(buffer, begin, value);
    }
}

void row_add_id(struct buffer *buffer, const struct row_format *format, const struct record *record,
                uint64_t number) {
    if (format->input->kind == RECORD_TEXT) {
        buffer_add_format(buffer, "%llu", (unsigned long long)number);
    } else if (record->id.ptr != NULL) {
        add_value(buffer, format->kind, format->input->kind, record->id);
    } else if (format->kind == ROW_JSONL) {
        buffer_add_text(buffer, "null");
    }
}

// The value that `--scores all` or `logits` gives label k.
static void add_score(struct buffer *buffer, const struct row_format *format,
                      const struct label *label, const float *logits, int32_t k) {
    if (format->scores == SCORES_ALL) {
        buffer_add_fraction(buffer, probability_of(format, logits, label, k));
    } else {
        buffer_add_format(buffer, "%.9g", (double)logits[k]);
    }
}

static void add_json_scores(struct buffer *buffer, const struct row_format *format,
                            const struct label *label, const float *logits) {
    const bool all = format->scores == SCORES_ALL;
    buffer_add_text(buffer, all ? ",\"scores\":{" : ",\"logits\":[");
    for (int32_t k = 0; k < format->n_labels; k++) {
        if (k > 0) buffer_add(buffer, ",", 1);
        if (all) {
            buffer_add_json_string(buffer, span_text(format->labels[k]));
            buffer_add(buffer, ":", 1);
        }
        add_score(buffer, format, label, logits, k);
    }
    buffer_add(buffer, all ? "}" : "]", 1);
}

static void add_json_row(struct buffer *buffer, const struct row_format *format,
                         const struct record *record, uint64_t number, const struct label *label,
                         const float *logits) {
    buffer_add_text(buffer, "{\"id\":");
    row_add_id(buffer, format, record, number);
    buffer_add_text(buffer, ",\"label\":");
    if (label != NULL && record->status != RECORD_ABSTAIN) {
        buffer_add_json_string(buffer, span_text(format->labels[label->index]));
    } else {
        buffer_add_text(buffer, "null");
    }
    if (label != NULL) {
        buffer_add_text(buffer, ",\"score\":");
        buffer_add_fraction(buffer, label->score);
        if (format->scores != SCORES_TOP) add_json_scores(buffer, format, label, logits);
    }
    if (record->status != RECORD_OK) {
        buffer_add_format(buffer, ",\"status\":\"%s\"", record_status_name(record->status));
    }
    for (int i = 0; i < format->input->n_passthrough; i++) {
        struct span value;
        const struct field field = format->input->passthrough[i];
        buffer_add(buffer, ",", 1);
        buffer_add_json_string(buffer, span_text(field.name));
        buffer_add(buffer, ":", 1);
        if (record_field(format->input, record, field, &value)) {
            add_value(buffer, format->kind, format->input->kind, value);
        } else {
            buffer_add_text(buffer, "null");
        }
    }
    buffer_add_text(buffer, "}\n");
}

static void add_tsv_row(struct buffer *buffer, const struct row_format *format,
                        const struct record *record, uint64_t number, const struct label *label,
                        const float *logits) {
    row_add_id(buffer, format, record, number);
    buffer_add(buffer, "\t", 1);
    if (label != NULL && record->status != RECORD_ABSTAIN) {
        buffer_add_tsv_cell(buffer, span_text(format->labels[label->index]));
    }
    buffer_add(buffer, "\t", 1);
    if (label != NULL) buffer_add_fraction(buffer, label->score);
    for (int32_t k = 0; format->scores != SCORES_TOP && k < format->n_labels; k++) {
        buffer_add(buffer, "\t", 1);
        if (label != NULL) add_score(buffer, format, label, logits, k);
    }
    buffer_add(buffer, "\t", 1);
    buffer_add_text(buffer, record_status_name(record->status));
    for (int i = 0; i < format->input->n_passthrough; i++) {
        struct span value;
        buffer_add(buffer, "\t", 1);
        if (record_field(format->input, record, format->input->passthrough[i], &value)) {
            add_value(buffer, format->kind, format->input->kind, value);
        }
    }
    buffer_add(buffer, "\n", 1);
}

void row_add_header(struct buffer *buffer, const struct row_format *format) {
    buffer_add_text(buffer, "id\tlabel\tscore");
    for (int32_t k = 0; format->scores != SCORES_TOP && k < format->n_labels; k++) {
        buffer_add(buffer, "\t", 1);
        buffer_add_tsv_cell(buffer, span_text(format->labels[k]));
    }
    buffer_add_text(buffer, "\tstatus");
    for (int i = 0; i < format->input->n_passthrough; i++) {
        buffer_add(buffer, "\t", 1);
        buffer_add_tsv_cell(buffer, span_text(format->input->passthrough[i].name));
    }
    buffer_add(buffer, "\n", 1);
}

void row_add(struct buffer *buffer, const struct row_format *format, struct record *record,
             uint64_t number, const float *logits) {
    struct label label;
    if (!record_is_bad(record->status)) {
        if (!label_of_logits(format, logits, &label)) {
            record->status = RECORD_NONFINITE;
        } else if (label_abstains(format, &label)) {
            record->status = RECORD_ABSTAIN;
        }
    }
    const struct label *given = record_is_bad(record->status) ? NULL : &label;
    if (format->kind == ROW_JSONL) {
        add_json_row(buffer, format, record, number, given, logits);
    } else {
        add_tsv_row(buffer, format, record, number, given, logits);
    }
}
