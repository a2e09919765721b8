// SPDX-License-Identifier: Apache-2.0
//
// What `wader eval` found, for the three ways in which it is shown. Private to eval*.c,
// but for the cutting of text at the end, which diff*.c share.
#ifndef WADER_HOST_CLI_EVAL_REPORT_H
#define WADER_HOST_CLI_EVAL_REPORT_H

#include "host/base/buffer.h"
#include "host/job/evaluation.h"

struct eval_report {
    const char *model;   // the directory, as it was given
    char *const *names;  // [n_labels], UTF-8
    struct measures measures;
    uint64_t n_truncated;
    const char *device, *precision;
};

void eval_print_text(const struct eval_report *report, struct buffer *out);
void eval_print_json(const struct eval_report *report, struct buffer *out);
void eval_print_svg(const struct eval_report *report, struct buffer *out);

// ---- for all three

// What calibration.json should hold: {"temperature": 1.234}. Empty where no best temperature was
// found.
struct eval_calibration {
    char text[64];
};
struct eval_calibration eval_calibration_of(const struct measures *measures);

// A pair of labels that are taken for each other.
struct confused {
    int32_t gold, predicted;
    uint32_t n;
};

// The `cap` most frequent ones, the most frequent first; of equals the first in the matrix. Returns
// how many there are, 0 without a matrix.
int32_t eval_most_confused(const struct measures *measures, struct confused *out, int32_t cap);

// Columns of a terminal that `text` takes, once it is made fit for one.
size_t eval_columns(struct span text);

// As much of `text` as `columns` hold, followed by an ellipsis where that is not all. What a
// terminal or XML would act on or not take becomes '?'. Returns the columns it took.
size_t eval_add_cut(struct buffer *out, struct span text, size_t columns);

#endif
