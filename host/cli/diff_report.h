// SPDX-License-Identifier: Apache-2.0
//
// What `wader diff` found, for the three ways in which it is shown. Private to diff*.c.
#ifndef WADER_HOST_CLI_DIFF_REPORT_H
#define WADER_HOST_CLI_DIFF_REPORT_H

#include "host/base/buffer.h"
#include "host/job/diff.h"
#include "host/job/diff_gate.h"
#include "host/job/diff_measures.h"

struct diff_report {
    const struct diff *diff;
    struct diff_measures measures;
    const struct diff_gate *gates;        // [n_gates]
    const struct diff_verdict *verdicts;  // [n_gates]
    int n_gates;
};

void diff_print_text(const struct diff_report *report, struct buffer *out);
void diff_print_json(const struct diff_report *report, struct buffer *out);
void diff_print_html(const struct diff_report *report, struct buffer *out);

// ---- for all three

// What commit records tell of both sides' model, tokenizer or settings.
enum diff_sameness {
    DIFF_SAME,
    DIFF_DIFFERENT,
    DIFF_SEVERAL,  // one side was made by more than one
    DIFF_UNKNOWN,  // a side has no record
};
enum diff_sameness diff_same_model(const struct diff_report *report);
enum diff_sameness diff_same_tokenizer(const struct diff_report *report);
enum diff_sameness diff_same_settings(const struct diff_report *report);
const char *diff_sameness_word(enum diff_sameness sameness);  // "same", "different", ...

// Calls `seen` for each setting that differs, with both values as JSON has them; NULL for none.
void diff_settings(const struct diff_report *report,
                   void (*seen)(void *context, struct span key, const struct span *old,
                                const struct span *new),
                   void *context);

// Label i as it is shown, the last one, if has_none, "(no label)".
size_t diff_n_shown(const struct diff_report *report);
uint32_t diff_number_shown(const struct diff_report *report, size_t i);
struct span diff_label_name(const struct diff_report *report, uint32_t number);
bool diff_has_matrix(const struct diff_report *report);

struct diff_flip {
    uint32_t old, new;
    uint64_t n;
};

// The `cap` most frequent flips, the most frequent first, of equals the first in the matrix.
// Returns how many there are, 0 without a matrix.
size_t diff_most_flips(const struct diff_report *report, struct diff_flip *out, size_t cap);

// "psi 0.31" of a gate: its figure and why it tripped.
void diff_describe_gate(const struct diff_gate *gate, const struct diff_verdict *verdict,
                        struct buffer *out);

// "little", "some" or "much" change.
const char *diff_psi_word(double psi);

// "1,234"; "1.23 %" of `whole`, "-" of nothing.
void diff_add_count(struct buffer *out, uint64_t n);
void diff_add_percent(struct buffer *out, uint64_t part, uint64_t whole);

#endif
