// SPDX-License-Identifier: Apache-2.0
#include "host/job/diff_gate.h"

#include <string.h>

enum metric { PSI, SCORE_PSI, FLIPS, ADDED, GONE, TRUNCATED, ABSTAINED, BAD, SCORE_SHIFT, ROWS };

// What a share is of, which also tells whether there may be a %.
static const struct {
    const char *name;
    bool has_share;
    const char *missing;  // what is not there where it cannot be computed
} metrics[] = {
    [PSI] = {"psi", false, "one side has no rows"},
    [SCORE_PSI] = {"score_psi", false, "one side has no scores"},
    [FLIPS] = {"flips", true, "no id is on both sides"},
    [ADDED] = {"new", true, "NEW has no rows"},
    [GONE] = {"gone", true, "OLD has no rows"},
    [TRUNCATED] = {"truncated", true, "NEW has no rows"},
    [ABSTAINED] = {"abstained", true, "NEW has no rows"},
    [BAD] = {"bad", true, "NEW has no rows"},
    [SCORE_SHIFT] = {"score_shift", false, "no id has a score on both sides"},
    [ROWS] = {"rows", true, "OLD has no rows"},
};

#define NAMES "psi, score_psi, flips, new, gone, truncated, abstained, bad, score_shift and rows"

static enum status malformed(const struct diff_gate *gate, struct error *error) {
    return error_set(error, STATUS_USAGE,
                     "--fail-on \"%s\": give a metric, > or <, and a number, as in psi>0.2 or "
                     "flips>2%%; metrics are " NAMES,
                     gate->text);
}

static bool find_metric(struct span name, int *metric) {
    for (size_t i = 0; i < ARRAY_LEN(metrics); i++) {
        if (!span_equal(name, metrics[i].name)) continue;
        *metric = (int)i;
        return true;
    }
    return false;
}

static struct span trim(struct span text) {
    while (text.len > 0 && text.ptr[text.len - 1] == ' ') text.len--;
    for (; text.len > 0 && text.ptr[0] == ' '; text.len--) text.ptr++;
    return text;
}

static bool parse_limit(struct span text, double *limit) {
    struct json_value value;
    struct json_fault fault;
    return json_parse(text, &value, &fault) && json_double(value, limit);
}

enum status diff_gate_parse(struct span text, struct diff_gate *gate, struct error *error) {
    *gate = (struct diff_gate){.text = ""};
    text = trim(text);
    const size_t len = text.len < sizeof gate->text ? text.len : sizeof gate->text - 1;
    if (len > 0) memcpy(gate->text, text.ptr, len);
    const size_t name_len = strcspn(gate->text, "<>");
    if (len < text.len || name_len == len) return malformed(gate, error);
    const struct span name = trim((struct span){gate->text, name_len});
    if (span_equal(name, "unk")) {
        return error_set(error, STATUS_USAGE,
                         "--fail-on %s: rows do not hold how many tokens were unknown, so there is "
                         "no such metric; there are " NAMES,
                         gate->text);
    }
    if (!find_metric(name, &gate->metric)) return malformed(gate, error);
    struct span limit = trim((struct span){gate->text + name_len + 1, len - name_len - 1});
    gate->is_above = gate->text[name_len] == '>';
    gate->is_percent = span_ends_in(limit, "%");
    if (gate->is_percent) limit.len--;
    if (!parse_limit(limit, &gate->limit)) return malformed(gate, error);
    if (gate->is_percent && !metrics[gate->metric].has_share) {
        return error_set(error, STATUS_USAGE, "--fail-on %s: %s is no share; leave out the %%",
                         gate->text, metrics[gate->metric].name);
    }
    return STATUS_OK;
}

// `part` itself, or as a percentage of `whole`. A count of what could not be looked for, `whole`
// being 0, is no count.
static struct diff_figure figure_of(bool is_percent, uint64_t part, uint64_t whole) {
    const struct diff_figure share = diff_share(part, whole);
    if (!share.is_defined) return share;
    return (struct diff_figure){true,
                                is_percent ? 100.0 * (double)part / (double)whole : (double)part};
}

static struct diff_figure measure(const struct diff_gate *gate, const struct diff_counts *counts,
                                  const struct diff_measures *measures) {
    const bool is_percent = gate->is_percent;
    const uint64_t old_rows = counts->rows[DIFF_OLD], rows = counts->rows[DIFF_NEW];
    const uint64_t *by_status = counts->by_status[DIFF_NEW];
    switch ((enum metric)gate->metric) {
        case PSI:
            return measures->psi;
        case SCORE_PSI:
            return measures->score_psi;
        case FLIPS:
            return figure_of(is_percent, counts->flips, counts->common);
        case ADDED:
            return figure_of(is_percent, counts->added, rows);
        case GONE:
            return figure_of(is_percent, counts->gone, old_rows);
        case TRUNCATED:
            return figure_of(is_percent, by_status[RECORD_TRUNCATED], rows);
        case ABSTAINED:
            return figure_of(is_percent, by_status[RECORD_ABSTAIN], rows);
        case BAD:
            return figure_of(is_percent, diff_bad(counts, DIFF_NEW), rows);
        case SCORE_SHIFT:
            return (struct diff_figure){measures->change.n > 0, measures->change.mean};
        case ROWS:
            break;
    }
    if (is_percent) return figure_of(true, rows, old_rows);
    return (struct diff_figure){true, (double)rows};
}

struct diff_verdict diff_gate_judge(const struct diff_gate *gate, const struct diff_counts *counts,
                                    const struct diff_measures *measures) {
    struct diff_verdict verdict = {.figure = measure(gate, counts, measures)};
    const double value = verdict.figure.value;
    if (!verdict.figure.is_defined) {
        verdict.tripped = true;
        verdict.why = metrics[gate->metric].missing;
    } else {
        verdict.tripped = gate->is_above ? value > gate->limit : value < gate->limit;
    }
    return verdict;
}
