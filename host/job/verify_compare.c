// SPDX-License-Identifier: Apache-2.0
//
// Outputs of one catalog are of one model, tokenizer and kind of run. Which one is not known here:
// what most of them have is right, and the others are named.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/job/verify_set.h"

// What may differ with an input's kind, in a catalog of TSV and JSONL: compared among inputs of a
// kind only.
static const char *const by_kind[] = {"input_format", "id_field", "title_field"};

struct sample {
    struct verify_item *item;
    struct buffer kind;       // whom it is compared with
    struct buffer signature;  // what has to be the same
};

static bool is_by_kind(struct json_value key) {
    for (size_t i = 0; i < ARRAY_LEN(by_kind); i++) {
        if (json_string_equal(key, by_kind[i])) return true;
    }
    return false;
}

static void add_span(struct buffer *out, struct span span) {
    buffer_add(out, span.ptr, span.len);
    buffer_add(out, "\n", 1);
}

static void describe(struct sample *sample, bool of_kind) {
    const struct commit_record *record = &sample->item->record;
    buffer_clear(&sample->kind);
    buffer_clear(&sample->signature);
    struct json_value format;
    if (of_kind && json_member(record->settings, by_kind[0], &format)) {
        add_span(&sample->kind, format.raw);
    }
    if (!of_kind) {
        buffer_add_format(&sample->signature, "%s %s\n", record->model_sha256,
                          record->tokenizer_sha256);
    }
    for (struct json_walk walk = json_walk(record->settings); json_next(&walk);) {
        if (is_by_kind(walk.key) != of_kind) continue;
        add_span(&sample->signature, walk.key.raw);
        add_span(&sample->signature, walk.value.raw);
    }
}

static int compare_buffers(const struct buffer *a, const struct buffer *b) {
    const size_t least = a->len < b->len ? a->len : b->len;
    const int order = least > 0 ? memcmp(a->bytes, b->bytes, least) : 0;
    if (order != 0) return order;
    return a->len < b->len ? -1 : a->len > b->len;
}

// Items are in one array, so that of equals the first one is told by its place.
static int by_signature(const void *a, const void *b) {
    const struct sample *x = a, *y = b;
    int order = compare_buffers(&x->kind, &y->kind);
    if (order == 0) order = compare_buffers(&x->signature, &y->signature);
    return order != 0 ? order : x->item < y->item ? -1 : x->item > y->item;
}

static void differ(struct verify_item *item, const char *what, struct span own,
                   struct span others) {
    const int n = own.len < 60 ? (int)own.len : 60, m = others.len < 60 ? (int)others.len : 60;
    snprintf(item->what, sizeof item->what, "made with another %s than most: %.*s, not %.*s", what,
             n, own.ptr, m, others.ptr);
    item->verdict = VERDICT_DIFFERS;
}

// Names the first thing in which `item` is not like `usual`.
static void name_difference(struct verify_item *item, const struct verify_item *usual) {
    const struct commit_record *own = &item->record, *others = &usual->record;
    char what[80];
    if (strcmp(own->model_sha256, others->model_sha256) != 0) {
        differ(item, "model", span_text(own->model_sha256), span_text(others->model_sha256));
        return;
    }
    if (strcmp(own->tokenizer_sha256, others->tokenizer_sha256) != 0) {
        differ(item, "tokenizer", span_text(own->tokenizer_sha256),
               span_text(others->tokenizer_sha256));
        return;
    }
    for (struct json_walk walk = json_walk(others->settings); json_next(&walk);) {
        char name[60];
        struct json_value value = {.type = JSON_NULL, .raw = span_text("none")};
        if (walk.key.raw.len > sizeof name) continue;
        name[json_string(walk.key, name)] = '\0';
        const bool has = json_member(own->settings, name, &value);
        if (has && value.raw.len == walk.value.raw.len &&
            memcmp(value.raw.ptr, walk.value.raw.ptr, value.raw.len) == 0) {
            continue;
        }
        snprintf(what, sizeof what, "%s", name);
        differ(item, what, value.raw, walk.value.raw);
        return;
    }
    differ(item, "set of settings", own->settings.raw, others->settings.raw);
}

// The most frequent signature of samples[0..n), which are sorted: where its first sample stands.
// Of two that are as frequent, the one of the earlier output.
static size_t find_usual(const struct sample *samples, size_t n) {
    size_t usual = 0, most = 0;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n; end++) {
            if (compare_buffers(&samples[i].signature, &samples[end].signature) != 0) break;
        }
        const bool earlier = end - i == most && samples[i].item < samples[usual].item;
        if (end - i > most || earlier) {
            usual = i;
            most = end - i;
        }
    }
    return usual;
}

static void compare_sorted(const struct sample *samples, size_t n) {
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n; end++) {
            if (compare_buffers(&samples[i].kind, &samples[end].kind) != 0) break;
        }
        const struct sample *usual = &samples[i + find_usual(samples + i, end - i)];
        for (size_t k = i; k < end; k++) {
            if (compare_buffers(&samples[k].signature, &usual->signature) != 0) {
                name_difference(samples[k].item, usual->item);
            }
        }
    }
}

static enum status compare_once(struct sample *samples, size_t n, bool of_kind,
                                struct error *error) {
    size_t n_good = 0;
    for (size_t i = 0; i < n; i++) {
        if (samples[i].item->verdict != VERDICT_GOOD) continue;
        if (i != n_good) {  // those that are out make room
            const struct sample out = samples[n_good];
            samples[n_good] = samples[i];
            samples[i] = out;
        }
        describe(&samples[n_good], of_kind);
        enum status status = buffer_check(&samples[n_good].signature, error);
        if (status == STATUS_OK) status = buffer_check(&samples[n_good].kind, error);
        if (status != STATUS_OK) return status;
        n_good++;
    }
    if (n_good > 0) qsort(samples, n_good, sizeof *samples, by_signature);
    compare_sorted(samples, n_good);
    return STATUS_OK;
}

enum status verify_set_compare(struct verify_item *items, size_t n, struct error *error) {
    void *memory;
    enum status status = alloc_zeroed(&memory, n, sizeof(struct sample), "a comparison", error);
    if (status != STATUS_OK) return status;
    struct sample *samples = memory;
    for (size_t i = 0; i < n; i++) samples[i].item = &items[i];
    status = compare_once(samples, n, false, error);
    if (status == STATUS_OK) status = compare_once(samples, n, true, error);
    for (size_t i = 0; i < n; i++) {
        buffer_free(&samples[i].kind);
        buffer_free(&samples[i].signature);
    }
    free(samples);
    return status;
}
