// SPDX-License-Identifier: Apache-2.0
//
// The rows with the lowest hashes are kept in a heap, the highest of them on top: a row that comes
// replaces it, or is none of the sample.
#include "host/stream/audit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kept {
    uint64_t hash, number, offset;
    int32_t n_ids;
    size_t at;  // of its ids and logits in the blocks, in rows
};

struct audit {
    struct audit_setup setup;
    size_t n_labels;
    struct kept *rows;  // [n_rows], a heap by hash; in audit_finish by number
    size_t n_rows;
    int32_t *ids;    // [n_rows, max_length]
    float *logits;   // [n_rows, K], as the run gave them
    float *again;    // [n_rows, K], as the reference does
    char *scratch;   // [RECORD_NBYTES_MAX], a title without JSON's escapes
    int32_t *plain;  // [max_length + slack], ids by the plain path
    struct tokenizer_batch *batch;
};

// splitmix64: consecutive numbers have hashes that look like random ones.
static uint64_t hash_of(uint64_t number) {
    uint64_t z = number * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

enum status audit_create(const struct audit_setup *setup, struct audit **out, struct error *error) {
    static const char what[] = "the rows to audit";
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, what, error);
    if (status != STATUS_OK) return status;
    struct audit *audit = memory;
    audit->setup = *setup;
    audit->n_labels = (size_t)setup->reference->n_labels;
    const size_t n = (size_t)setup->n_rows, length = (size_t)setup->max_length;
    const struct {
        void *out;  // where the pointer goes
        size_t n, size;
    } parts[] = {
        {&audit->ids, n, length * sizeof *audit->ids},  // the largest first
        {&audit->rows, n, sizeof *audit->rows},
        {&audit->logits, n, audit->n_labels * sizeof *audit->logits},
        {&audit->again, n, audit->n_labels * sizeof *audit->again},
        {&audit->scratch, RECORD_NBYTES_MAX, 1},
        {&audit->plain, length + TOKENIZER_IDS_SLACK, sizeof *audit->plain},
    };
    for (size_t i = 0; status == STATUS_OK && i < ARRAY_LEN(parts); i++) {
        status = alloc_array(&memory, parts[i].n, parts[i].size, what, error);
        memcpy(parts[i].out, &memory, sizeof memory);
    }
    if (status == STATUS_OK) {
        status = tokenizer_batch_create(setup->tokenizer, setup->max_length, RECORD_NBYTES_MAX,
                                        &audit->batch, error);
    }
    if (status != STATUS_OK) {
        audit_destroy(audit);
        return status;
    }
    tokenizer_batch_encode_plainly(audit->batch);
    *out = audit;
    return STATUS_OK;
}

void audit_destroy(struct audit *audit) {
    if (audit == NULL) return;
    tokenizer_batch_destroy(audit->batch);
    free(audit->rows);
    free(audit->ids);
    free(audit->logits);
    free(audit->again);
    free(audit->scratch);
    free(audit->plain);
    free(audit);
}

// ---- the sample

// From place `i` the heap is one again.
static void sift_down(struct audit *audit, size_t i) {
    for (;;) {
        size_t top = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < audit->n_rows; child++) {
            if (audit->rows[child].hash > audit->rows[top].hash) top = child;
        }
        if (top == i) return;
        const struct kept row = audit->rows[i];
        audit->rows[i] = audit->rows[top];
        audit->rows[top] = row;
        i = top;
    }
}

// A place for a row of that hash, or NULL: it is none of the sample. Heapify waits until the sample
// is full for the first time: until then nothing is thrown out.
static struct kept *take_place(struct audit *audit, uint64_t hash) {
    const size_t most = (size_t)audit->setup.n_rows;
    if (audit->n_rows < most) {
        struct kept *row = &audit->rows[audit->n_rows];
        row->at = audit->n_rows++;
        return row;
    }
    return hash < audit->rows[0].hash ? &audit->rows[0] : NULL;
}

static void settle(struct audit *audit, const struct kept *row) {
    if (audit->n_rows < (size_t)audit->setup.n_rows) return;
    if (row == &audit->rows[0] && audit->n_rows > 1) {
        sift_down(audit, 0);
        return;
    }
    for (size_t i = audit->n_rows / 2; i-- > 0;) sift_down(audit, i);
}

// ---- token ids

static enum status check_ids(struct audit *audit, const struct record *record, uint64_t number,
                             const int32_t *token_ids, struct error *error) {
    const struct audit_setup *setup = &audit->setup;
    struct record copy = {.line = record->line, .offset = record->offset};
    struct span title;
    struct encoding encoding;
    record_parse(setup->format, &copy, audit->scratch, &title);
    tokenizer_batch_start(audit->batch, audit->plain, &encoding);
    tokenizer_batch_add(audit->batch, title);
    tokenizer_batch_finish(audit->batch);
    const int32_t n = record->n_tokens;
    int32_t i = 0;
    while (i < n && i < encoding.n_ids && token_ids[i] == audit->plain[i]) i++;
    if (i == n && i == encoding.n_ids) return STATUS_OK;
    char run[16] = "none", plain[16] = "none";
    if (i < n) snprintf(run, sizeof run, "%d", (int)token_ids[i]);
    if (i < encoding.n_ids) snprintf(plain, sizeof plain, "%d", (int)audit->plain[i]);
    return error_set(error, STATUS_MODEL,
                     "%s: record %llu at byte %llu: the audit found other token ids: token %d is "
                     "%s by the run, %s by the plain path; this host computes wrong, or wader does",
                     setup->input, (unsigned long long)number, (unsigned long long)record->offset,
                     (int)i, run, plain);
}

enum status audit_see(struct audit *audit, const struct record *record, uint64_t number,
                      const int32_t *token_ids, const float *logits, struct error *error) {
    const uint64_t hash = hash_of(number);
    struct kept *row = take_place(audit, hash);
    if (row == NULL) return STATUS_OK;
    enum status status = check_ids(audit, record, number, token_ids, error);
    if (status != STATUS_OK) return status;
    row->hash = hash;
    row->number = number;
    row->offset = record->offset;
    row->n_ids = record->n_tokens;
    memcpy(audit->ids + row->at * (size_t)audit->setup.max_length, token_ids,
           (size_t)row->n_ids * sizeof *token_ids);
    memcpy(audit->logits + row->at * audit->n_labels, logits, audit->n_labels * sizeof *logits);
    settle(audit, row);
    return STATUS_OK;
}

// ---- logits

// Fills slot `i` with rows from `first` on. Returns the row behind its last.
static size_t fill_slot(struct audit *audit, int32_t i, size_t first) {
    struct encoder *encoder = audit->setup.reference;
    struct encoder_slot *slot = encoder_slot(encoder, i);
    slot->n_titles = 0;
    slot->cu_seqlens[0] = 0;
    size_t at = first;
    for (; at < audit->n_rows && slot->n_titles < encoder->titles_cap; at++) {
        const struct kept *row = &audit->rows[at];
        if (slot->cu_seqlens[slot->n_titles] + row->n_ids > encoder->batch_tokens) break;
        encoder_slot_add(slot, audit->ids + row->at * (size_t)audit->setup.max_length, row->n_ids);
    }
    return at;
}

// As many batches at a time as there are slots. All that were submitted are waited for.
static enum status compute_again(struct audit *audit, bool (*stop)(void), struct error *error) {
    struct encoder *encoder = audit->setup.reference;
    enum status status = STATUS_OK;
    for (size_t done = 0, next = 0; status == STATUS_OK && done < audit->n_rows;) {
        int32_t n_slots = 0;
        if (stop != NULL && stop()) return error_set(error, STATUS_AGAIN, "stopped in the audit");
        while (n_slots < encoder->n_slots && next < audit->n_rows) {
            next = fill_slot(audit, n_slots, next);
            encoder_submit(encoder, n_slots++);
        }
        for (int32_t i = 0; i < n_slots; i++) {
            const struct encoder_slot *slot = encoder_slot(encoder, i);
            enum status waited = encoder_wait(encoder, i, status == STATUS_OK ? error : NULL);
            if (status == STATUS_OK) status = waited;
            for (int32_t title = 0; title < slot->n_titles; title++) {
                memcpy(audit->again + audit->rows[done++].at * audit->n_labels,
                       slot->logits + (size_t)title * audit->n_labels,
                       audit->n_labels * sizeof(float));
            }
        }
    }
    return status;
}

static int by_number(const void *a, const void *b) {
    const uint64_t first = ((const struct kept *)a)->number;
    const uint64_t second = ((const struct kept *)b)->number;
    return (first > second) - (first < second);
}

static size_t highest(const float *logits, size_t n) {
    size_t top = 0;
    for (size_t k = 1; k < n; k++) {
        if (logits[k] > logits[top]) top = k;
    }
    return top;
}

// `allowed`: the tolerance in logits.
static enum status compare(const struct audit *audit, const struct kept *row, double allowed,
                           double *apart, struct error *error) {
    const float *run = audit->logits + row->at * audit->n_labels;
    const float *again = audit->again + row->at * audit->n_labels;
    const size_t top = highest(run, audit->n_labels), wanted = highest(again, audit->n_labels);
    size_t worst = 0;
    for (size_t k = 0; k < audit->n_labels; k++) {
        const double difference = fabs((double)run[k] - (double)again[k]);
        // Not a number is as far apart as can be.
        if (!(difference <= fabs((double)run[worst] - (double)again[worst]))) worst = k;
        *apart = difference <= *apart ? *apart : difference;
    }
    const double difference = fabs((double)run[worst] - (double)again[worst]);
    const double margin = (double)again[wanted] - (double)again[top];
    if (difference <= allowed && (top == wanted || margin < allowed)) return STATUS_OK;
    char *const *labels = audit->setup.labels;
    return error_set(error, STATUS_MODEL,
                     "%s: record %llu at byte %llu: the audit found another result: \"%.80s\" by "
                     "the run, \"%.80s\" by the reference; the logit of \"%.80s\" is %.6g and "
                     "%.6g, of which %.3g apart are allowed; the device, this host or wader "
                     "computes wrong: label it again elsewhere",
                     audit->setup.input, (unsigned long long)row->number,
                     (unsigned long long)row->offset, labels[top], labels[wanted], labels[worst],
                     (double)run[worst], (double)again[worst], allowed);
}

enum status audit_finish(struct audit *audit, bool (*stop)(void), struct audit_result *result,
                         struct error *error) {
    *result = (struct audit_result){.rows = audit->n_rows};
    qsort(audit->rows, audit->n_rows, sizeof *audit->rows, by_number);
    enum status status = compute_again(audit, stop, error);
    double largest = 1;
    for (size_t i = 0; i < audit->n_rows * audit->n_labels; i++) {
        largest = fmax(largest, fabs((double)audit->again[i]));
    }
    const double allowed = audit->setup.tolerance * largest;
    for (size_t i = 0; status == STATUS_OK && i < audit->n_rows; i++) {
        status = compare(audit, &audit->rows[i], allowed, &result->apart, error);
    }
    return status;
}
