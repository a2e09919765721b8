// SPDX-License-Identifier: Apache-2.0
#include "host/cli/report.h"

#include <stdio.h>

const char *with_commas(uint64_t n, char text[32]) {
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    char *at = text;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) *at++ = ',';
        *at++ = digits[i];
    }
    *at = '\0';
    return text;
}

void progress_start(struct progress *progress, enum progress_mode mode) {
    if (mode == PROGRESS_AUTO) mode = log_is_on_terminal() ? PROGRESS_TTY : PROGRESS_PLAIN;
    const double now = now_seconds();
    *progress = (struct progress){.mode = mode, .started = now, .shown = now};
}

// "43 %, 0:12:09 to go", from the share of the file's bytes behind the last row, and the share that
// was done before.
static void describe_rest(char *text, size_t cap, double share, double before, double elapsed) {
    text[0] = '\0';
    if (!(share > before)) return;
    const double seconds = elapsed * (1.0 - share) / (share - before);
    const unsigned long rest = (unsigned long)(seconds + 0.5);
    snprintf(text, cap, ", %.0f %%, %lu:%02lu:%02lu to go", 100.0 * share, rest / 3600,
             rest / 60 % 60, rest % 60);
}

// Where the figures of a progress line go: in place on a terminal, else a line of their own.
// `unit`: what `n` counts.
static void show(const struct progress *progress, const char *name, const char *unit, uint64_t n,
                 double elapsed, double share, const char *text) {
    struct buffer members = {0};
    log_add_text(&members, "input", span_text(name));
    log_add_count(&members, unit, n);
    log_add_number(&members, "seconds", elapsed);
    buffer_add_format(&members, ",\"share\":%.4f", share);
    if (progress->n_files > 1) {
        log_add_count(&members, "file_number", progress->n_behind + 1);
        log_add_count(&members, "files", progress->n_files);
    }
    if (progress->mode == PROGRESS_TTY && log_format() == LOG_TEXT) {
        log_in_place("%s", text);
    } else if (progress->mode == PROGRESS_JSON) {
        log_line_json(LOG_INFO, "progress", &members, "%s", text);
    } else {
        log_line(LOG_INFO, "progress", &members, "%s", text);
    }
    buffer_free(&members);
}

// Whether something is to be shown again.
static bool is_time(struct progress *progress, double *elapsed) {
    const double now = now_seconds();
    const bool in_place = progress->mode == PROGRESS_TTY && log_format() == LOG_TEXT;
    const double every = in_place ? 0.5 : 30.0;
    if (progress->mode == PROGRESS_NONE || now - progress->shown < every) return false;
    progress->shown = now;
    *elapsed = now - progress->started;
    return true;
}

void progress_pass(struct progress *progress, uint64_t nbytes, uint64_t titles, bool worked) {
    progress->n_behind++;
    progress->behind_titles += titles;
    if (worked) {
        progress->behind_nbytes += nbytes;
    } else {
        progress->total_nbytes -= nbytes < progress->total_nbytes ? nbytes : progress->total_nbytes;
    }
}

void progress_resume(struct progress *progress, const struct totals *before) {
    progress->before_titles += before->records;
    progress->before_nbytes += before->consumed_nbytes;
}

// "a.jsonl.gz", or "3 of 20 files, a.jsonl.gz".
static void describe_place(const struct progress *progress, const char *name, char *text,
                           size_t cap) {
    if (progress->n_files > 1) {
        snprintf(text, cap, "%zu of %zu files, %s", progress->n_behind + 1, progress->n_files,
                 name);
    } else {
        snprintf(text, cap, "%s", name);
    }
}

void progress_show(struct progress *progress, const char *name, const struct totals *totals) {
    double elapsed;
    if (!is_time(progress, &elapsed)) return;
    const uint64_t nbytes = progress->behind_nbytes + totals->consumed_nbytes;
    const uint64_t titles = progress->behind_titles + totals->records;
    double share = 0.0;
    if (progress->total_nbytes > 0) share = (double)nbytes / (double)progress->total_nbytes;
    if (share > 1.0) share = 1.0;
    const double before = progress->total_nbytes > 0
                              ? (double)progress->before_nbytes / (double)progress->total_nbytes
                              : 0.0;
    char place[1100], count[32], rate[32], rest[64], text[1300];
    describe_place(progress, name, place, sizeof place);
    describe_rest(rest, sizeof rest, share, before, elapsed);
    with_commas(titles, count);
    with_commas((uint64_t)((double)(titles - progress->before_titles) / elapsed + 0.5), rate);
    snprintf(text, sizeof text, "%s: %s titles, %s titles/s%s", place, count, rate, rest);
    show(progress, name, "titles", titles, elapsed, share, text);
}

void progress_show_bytes(struct progress *progress, const char *name, uint64_t done_nbytes,
                         uint64_t total_nbytes) {
    double elapsed;
    if (!is_time(progress, &elapsed)) return;
    const double share = (double)done_nbytes / (double)total_nbytes;
    char done[32], rest[64], text[1300];
    describe_rest(rest, sizeof rest, share, 0.0, elapsed);
    with_commas(done_nbytes >> 20, done);
    snprintf(text, sizeof text, "%.1100s: %s MiB%s", name, done, rest);
    show(progress, name, "nbytes", done_nbytes, elapsed, share, text);
}

void report_shard(const struct progress *progress, const char *output, const struct totals *totals,
                  double seconds) {
    char count[32], rate[32], bad[32];
    struct buffer members = {0};
    log_add_text(&members, "output", span_text(output));
    log_add_count(&members, "file_number", progress->n_behind);
    log_add_count(&members, "files", progress->n_files);
    log_add_count(&members, "titles", totals->records);
    log_add_number(&members, "seconds", seconds);
    log_add_number(&members, "titles_per_s", (double)totals->records / seconds);
    log_add_count(&members, "bad", totals_bad(totals));
    log_line(LOG_INFO, "file", &members,
             "%zu of %zu files: %s: %s titles in %.1f s (%s titles/s), %s bad rows",
             progress->n_behind, progress->n_files, output, with_commas(totals->records, count),
             seconds, with_commas((uint64_t)((double)totals->records / seconds + 0.5), rate),
             with_commas(totals_bad(totals), bad));
    buffer_free(&members);
}

static void add_summary(struct buffer *members, const struct totals *totals, double seconds,
                        const char *workers, const char *where) {
    const uint64_t bad = totals_bad(totals), abstained = totals->by_status[RECORD_ABSTAIN];
    log_add_count(members, "titles", totals->records - bad - abstained);
    log_add_number(members, "seconds", seconds);
    log_add_number(members, "titles_per_s", (double)(totals->records - bad) / seconds);
    log_add_count(members, "tokens", totals->tokens);
    log_add_count(members, "truncated", totals->by_status[RECORD_TRUNCATED]);
    log_add_count(members, "abstained", abstained);
    log_add_count(members, "bad", bad);
    log_add_count(members, "ill_formed_utf8", totals->ill_formed_utf8);
    log_add_number(members, "read_seconds", totals->seconds.read);
    log_add_number(members, "tokenize_seconds", totals->seconds.tokenize);
    log_add_number(members, "encode_seconds", totals->seconds.encode);
    log_add_number(members, "write_seconds", totals->seconds.write);
    log_add_text(members, "workers", span_text(workers));
    if (where != NULL) {
        log_add_text(members, "output", span_text(where));
    } else {
        buffer_add_text(members, ",\"output\":null");
    }
}

void report_summary(const struct totals *totals, double seconds, const char *workers,
                    const char *where) {
    const uint64_t bad = totals_bad(totals), abstained = totals->by_status[RECORD_ABSTAIN];
    const uint64_t computed = totals->records - bad;
    const struct stage_seconds *stage = &totals->seconds;
    char count[32], rate[32], tokens[32], truncated[32], bad_rows[32], silent[48] = "";
    if (abstained > 0) {
        snprintf(silent, sizeof silent, "%s abstained, ", with_commas(abstained, count));
    }
    struct buffer members = {0};
    add_summary(&members, totals, seconds, workers, where);
    log_line(
        LOG_INFO, "summary", &members,
        "%s titles labelled in %.1f s (%s titles/s), %s tokens, %s truncated, %s%s bad rows%s%s",
        with_commas(computed - abstained, count), seconds,
        with_commas((uint64_t)((double)computed / seconds + 0.5), rate),
        with_commas(totals->tokens, tokens),
        with_commas(totals->by_status[RECORD_TRUNCATED], truncated), silent,
        with_commas(bad, bad_rows), where != NULL ? ", in " : "", where != NULL ? where : "");
    buffer_free(&members);
    report_note(
        "work, over all threads: read %.2f s, tokenize %.2f s, encode %.2f s on %s, "
        "write %.2f s",
        stage->read, stage->tokenize, stage->encode, workers, stage->write);
    if (totals->audit.rows > 0) {
        report_note("%s rows audited: the same token ids, logits at most %.2g apart",
                    with_commas(totals->audit.rows, count), totals->audit.apart);
    }
    if (totals->ill_formed_utf8 > 0) {
        report_note("%s titles held ill-formed UTF-8 or half a surrogate pair, read as U+FFFD",
                    with_commas(totals->ill_formed_utf8, count));
    }
}
