// SPDX-License-Identifier: Apache-2.0
//
// `wader diff --json`: one object on one line. Keys are stable; what is not defined is null.
//   wader         version
//   old, new      of each: path, files, records (outputs with a commit record, all checked), rows,
//                 scored (rows with a score), status (rows by status, "ok" for none),
//                 bad (the sum of those without a usable title), model_sha256, tokenizer_sha256
//                 (null without a record, or where records differ), score (mean, quantiles)
//   percents      which quantiles: 1, 5, ...; a quantile is null where nothing has a score
//   same          model, tokenizer, settings: "same", "different", "several", "unknown"
//   settings      of each setting that differs: key, old, new
//   ids           common, new, gone
//   flips         n, share (of common ids); no label, as of titles that abstain, is a label here
//   psi           over labels; score_psi over the deciles of OLD's scores
//   deciles       of each bin: to (its upper edge, null for the last), old, new
//   labels        of each: name (null for no label), old, new
//   matrix        [[...], ...], rows OLD's label, columns NEW's, in the order of labels; null for
//                 more than 1,000 labels
//   score_bins    of each: from, to, old, new
//   change        of ids with a score on both sides: n, mean (new less old), quantiles, newly_low,
//                 newly_high (across 0.5), bins (from, to, n)
//   surest_flips  of each: id, old, new, old_score, new_score; the highest sums of both scores
//   falls         alike: the same label with a score that fell, by how much
//   gates         of each: gate, value (in its unit), tripped
//   tripped       whether any did
#include "host/cli/diff_report.h"

static void add_count(struct buffer *out, const char *key, uint64_t n) {
    buffer_add_format(out, ",\"%s\":%llu", key, (unsigned long long)n);
}

static void add_number(struct buffer *out, const char *key, bool is_defined, double value) {
    if (is_defined) {
        buffer_add_format(out, ",\"%s\":%.17g", key, value);
    } else {
        buffer_add_format(out, ",\"%s\":null", key);
    }
}

static void add_span(struct buffer *out, const char *key, const struct span *raw) {
    buffer_add_format(out, ",\"%s\":", key);
    if (raw != NULL) {
        buffer_add_utf8(out, *raw);
    } else {
        buffer_add_text(out, "null");
    }
}

static void add_name(const struct diff_report *report, struct buffer *out, uint32_t label) {
    if (label == LABEL_NONE) {
        buffer_add_text(out, "null");
    } else {
        buffer_add_json_string(out, diff_label_name(report, label));
    }
}

static void add_sha256(struct buffer *out, const char *key, bool is_one, const char *hex) {
    if (is_one) {
        buffer_add_format(out, ",\"%s\":\"%s\"", key, hex);
    } else {
        buffer_add_format(out, ",\"%s\":null", key);
    }
}

static void add_spread(struct buffer *out, const struct diff_spread *spread) {
    add_number(out, "mean", spread->n > 0, spread->mean);
    buffer_add_text(out, ",\"quantiles\":[");
    for (int q = 0; q < DIFF_QUANTILES; q++) {
        if (q > 0) buffer_add_text(out, ",");
        if (spread->n > 0) {
            buffer_add_format(out, "%.6f", spread->quantiles[q]);
        } else {
            buffer_add_text(out, "null");
        }
    }
    buffer_add_text(out, "]");
}

static void add_side(const struct diff_report *report, int i, struct buffer *out) {
    const struct diff_side *side = &report->diff->sides[i];
    const struct diff_counts *counts = &report->diff->counts;
    buffer_add_text(out, i == DIFF_OLD ? ",\"old\":{\"path\":" : ",\"new\":{\"path\":");
    buffer_add_json_string(out, span_text(side->path));
    add_count(out, "files", side->n_files);
    add_count(out, "records", side->n_recorded);
    add_count(out, "rows", counts->rows[i]);
    add_count(out, "scored", counts->scored[i]);
    buffer_add_text(out, ",\"status\":{");
    for (int s = 0; s < RECORD_STATUS_COUNT; s++) {
        const char *name = record_status_name((enum record_status)s);
        buffer_add_format(out, "%s\"%s\":%llu", s > 0 ? "," : "", s == RECORD_OK ? "ok" : name,
                          (unsigned long long)counts->by_status[i][s]);
    }
    buffer_add_text(out, "}");
    add_count(out, "bad", diff_bad(counts, i));
    const bool has = side->n_recorded > 0;
    add_sha256(out, "model_sha256", has && !side->many_models, side->record.model_sha256);
    add_sha256(out, "tokenizer_sha256", has && !side->many_tokenizers,
               side->record.tokenizer_sha256);
    buffer_add_text(out, ",\"score\":{\"n\":");
    buffer_add_format(out, "%llu", (unsigned long long)report->measures.scores[i].n);
    add_spread(out, &report->measures.scores[i]);
    buffer_add_text(out, "}}");
}

struct list {
    struct buffer *out;
    int n;
};

static void add_setting(void *context, struct span key, const struct span *old,
                        const struct span *new) {
    struct list *list = context;
    buffer_add_text(list->out, list->n++ > 0 ? ",{\"key\":" : "{\"key\":");
    buffer_add_utf8(list->out, key);
    add_span(list->out, "old", old);
    add_span(list->out, "new", new);
    buffer_add_text(list->out, "}");
}

static void add_same(const struct diff_report *report, struct buffer *out) {
    struct list list = {.out = out};
    buffer_add_format(out,
                      ",\"same\":{\"model\":\"%s\",\"tokenizer\":\"%s\",\"settings\":\"%s\"},"
                      "\"settings\":[",
                      diff_sameness_word(diff_same_model(report)),
                      diff_sameness_word(diff_same_tokenizer(report)),
                      diff_sameness_word(diff_same_settings(report)));
    diff_settings(report, add_setting, &list);
    buffer_add_text(out, "]");
}

static void add_labels(const struct diff_report *report, struct buffer *out) {
    const struct diff_counts *counts = &report->diff->counts;
    const size_t n = diff_n_shown(report);
    buffer_add_text(out, ",\"labels\":[");
    for (size_t i = 0; i < n; i++) {
        const uint32_t label = diff_number_shown(report, i);
        buffer_add_text(out, i > 0 ? ",{\"name\":" : "{\"name\":");
        add_name(report, out, label);
        add_count(out, "old", diff_counts_of_label(counts, DIFF_OLD, label));
        add_count(out, "new", diff_counts_of_label(counts, DIFF_NEW, label));
        buffer_add_text(out, "}");
    }
    buffer_add_text(out, diff_has_matrix(report) ? "],\"matrix\":[" : "],\"matrix\":null");
    for (size_t i = 0; diff_has_matrix(report) && i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            buffer_add_format(
                out, "%s%llu",
                j > 0   ? ","
                : i > 0 ? ",["
                        : "[",
                (unsigned long long)diff_counts_of_flip(counts, diff_number_shown(report, i),
                                                        diff_number_shown(report, j)));
        }
        buffer_add_text(out, "]");
    }
    if (diff_has_matrix(report)) buffer_add_text(out, "]");
}

static void add_scores(const struct diff_measures *measures, struct buffer *out) {
    buffer_add_text(out, ",\"deciles\":[");
    for (int bin = 0; measures->score_psi.is_defined && bin <= measures->n_edges; bin++) {
        buffer_add_text(out, bin > 0 ? ",{\"to\":" : "{\"to\":");
        if (bin < measures->n_edges) {
            buffer_add_format(out, "%.6f", (double)measures->edges[bin] / SCORE_MAX);
        } else {
            buffer_add_text(out, "null");
        }
        add_count(out, "old", measures->in_deciles[DIFF_OLD][bin]);
        add_count(out, "new", measures->in_deciles[DIFF_NEW][bin]);
        buffer_add_text(out, "}");
    }
    buffer_add_text(out, "],\"score_bins\":[");
    for (int bar = 0; bar < DIFF_BARS; bar++) {
        buffer_add_format(out, "%s{\"from\":%.2f,\"to\":%.2f", bar > 0 ? "," : "",
                          (double)bar / DIFF_BARS, (double)(bar + 1) / DIFF_BARS);
        add_count(out, "old", measures->bars[DIFF_OLD][bar]);
        add_count(out, "new", measures->bars[DIFF_NEW][bar]);
        buffer_add_text(out, "}");
    }
    buffer_add_text(out, "]");
}

static void add_change(const struct diff_report *report, struct buffer *out) {
    const struct diff_measures *measures = &report->measures;
    buffer_add_format(out, ",\"change\":{\"n\":%llu", (unsigned long long)measures->change.n);
    add_spread(out, &measures->change);
    add_count(out, "newly_low", report->diff->counts.newly_low);
    add_count(out, "newly_high", report->diff->counts.newly_high);
    buffer_add_text(out, ",\"bins\":[");
    for (int bin = 0; bin < DIFF_CHANGE_BINS; bin++) {
        const bool is_last = bin == DIFF_CHANGE_BINS - 1;
        buffer_add_format(out, "%s{\"from\":%g,\"to\":%g,\"n\":%llu}", bin > 0 ? "," : "",
                          bin > 0 ? (double)diff_change_edges[bin - 1] / SCORE_MAX : -1.0,
                          is_last ? 1.0 : (double)diff_change_edges[bin] / SCORE_MAX,
                          (unsigned long long)measures->in_changes[bin]);
    }
    buffer_add_text(out, "]}");
}

static void add_top(const struct diff_report *report, const char *key, const struct diff_top *top,
                    struct buffer *out) {
    buffer_add_format(out, ",\"%s\":[", key);
    for (size_t i = 0; i < top->n; i++) {
        const struct diff_pair *pair = &top->pairs[i];
        buffer_add_text(out, i > 0 ? ",{\"id\":" : "{\"id\":");
        buffer_add_json_string(out, (struct span){pair->id.bytes, pair->id.len});
        buffer_add_text(out, ",\"old\":");
        add_name(report, out, pair->old.label);
        buffer_add_text(out, ",\"new\":");
        add_name(report, out, pair->new.label);
        buffer_add_format(out, ",\"old_score\":%.6f,\"new_score\":%.6f}",
                          (double)pair->old.score / SCORE_MAX, (double)pair->new.score / SCORE_MAX);
    }
    buffer_add_text(out, "]");
}

static void add_gates(const struct diff_report *report, struct buffer *out) {
    bool any = false;
    buffer_add_text(out, ",\"gates\":[");
    for (int i = 0; i < report->n_gates; i++) {
        const struct diff_verdict *verdict = &report->verdicts[i];
        buffer_add_text(out, i > 0 ? ",{\"gate\":" : "{\"gate\":");
        buffer_add_json_string(out, span_text(report->gates[i].text));
        add_number(out, "value", verdict->figure.is_defined, verdict->figure.value);
        buffer_add_format(out, ",\"tripped\":%s}", verdict->tripped ? "true" : "false");
        any = any || verdict->tripped;
    }
    buffer_add_format(out, "],\"tripped\":%s", any ? "true" : "false");
}

void diff_print_json(const struct diff_report *report, struct buffer *out) {
    const struct diff_counts *counts = &report->diff->counts;
    const struct diff_figure flips = diff_share(counts->flips, counts->common);
    buffer_add_text(out, "{\"wader\":\"" WADER_VERSION "\"");
    add_side(report, DIFF_OLD, out);
    add_side(report, DIFF_NEW, out);
    buffer_add_text(out, ",\"percents\":[");
    for (int q = 0; q < DIFF_QUANTILES; q++) {
        buffer_add_format(out, q > 0 ? ",%d" : "%d", diff_percents[q]);
    }
    buffer_add_text(out, "]");
    add_same(report, out);
    buffer_add_format(out, ",\"ids\":{\"common\":%llu", (unsigned long long)counts->common);
    add_count(out, "new", counts->added);
    add_count(out, "gone", counts->gone);
    buffer_add_format(out, "},\"flips\":{\"n\":%llu", (unsigned long long)counts->flips);
    add_number(out, "share", flips.is_defined, flips.value);
    buffer_add_text(out, "}");
    add_number(out, "psi", report->measures.psi.is_defined, report->measures.psi.value);
    add_number(out, "score_psi", report->measures.score_psi.is_defined,
               report->measures.score_psi.value);
    add_labels(report, out);
    add_scores(&report->measures, out);
    add_change(report, out);
    add_top(report, "surest_flips", &counts->surest_flips, out);
    add_top(report, "falls", &counts->falls, out);
    add_gates(report, out);
    buffer_add_text(out, "}\n");
}
