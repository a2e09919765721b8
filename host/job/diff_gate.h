// SPDX-License-Identifier: Apache-2.0
//
// Gates: "psi>0.2", "flips>2%". One trips where it holds, and also where its figure cannot be
// computed: what nobody could look at is not published.
#ifndef WADER_HOST_JOB_DIFF_GATE_H
#define WADER_HOST_JOB_DIFF_GATE_H

#include "host/job/diff_measures.h"

enum { DIFF_GATE_NBYTES_MAX = 80 };

struct diff_gate {
    char text[DIFF_GATE_NBYTES_MAX];  // as it was given
    int metric;                       // private
    bool is_above, is_percent;        // > or <; a share of 100
    double limit;                     // as written
};

struct diff_verdict {
    struct diff_figure figure;  // in the gate's unit
    bool tripped;
    const char *why;  // static: why the figure is not defined
};

// STATUS_USAGE for what is no gate, or a metric that nobody can compute, with those that there are.
enum status diff_gate_parse(struct span text, struct diff_gate *gate, struct error *error);

struct diff_verdict diff_gate_judge(const struct diff_gate *gate, const struct diff_counts *counts,
                                    const struct diff_measures *measures);

#endif
