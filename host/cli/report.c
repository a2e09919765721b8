// SPDX-License-Identifier: Apache-2.0
#include "host/cli/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

// One write for a whole line: lines of several processes do not mix.
static void say(const char *prefix, const char *format, va_list args) {
    char line[2048];
    // On a terminal the line may begin where a progress line stands.
    const char *clear = isatty(STDERR_FILENO) ? "\r\033[K" : "";
    int n = snprintf(line, sizeof line, "%swader: %s", clear, prefix);
    int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, format, args);
    size_t len = (size_t)n + (m > 0 ? (size_t)m : 0);
    if (len > sizeof line - 2) len = sizeof line - 2;
    line[len] = '\n';
    fwrite(line, 1, len + 1, stderr);
}

void report_note(const char *format, ...) {
    va_list args;
    va_start(args, format);
    say("", format, args);
    va_end(args);
}

void report_warning(const char *format, ...) {
    va_list args;
    va_start(args, format);
    say("warning: ", format, args);
    va_end(args);
}

void report_error(const struct error *error) {
    report_note("error: %s", error->text);
}

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
    if (mode == PROGRESS_AUTO) mode = isatty(STDERR_FILENO) ? PROGRESS_TTY : PROGRESS_PLAIN;
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

// `unit`: what `n` counts.
static void show_json(const struct progress *progress, const char *name, const char *unit,
                      uint64_t n, double elapsed, double share) {
    struct buffer line = {0};
    buffer_add_text(&line, "{\"progress\":");
    buffer_add_json_string(&line, span_text(name));
    buffer_add_format(&line, ",\"%s\":%llu,\"seconds\":%.1f,\"share\":%.4f", unit,
                      (unsigned long long)n, elapsed, share);
    if (progress->n_files > 1) {
        buffer_add_format(&line, ",\"file\":%zu,\"files\":%zu", progress->n_behind + 1,
                          progress->n_files);
    }
    buffer_add_text(&line, "}\n");
    if (!line.failed) fwrite(line.bytes, 1, line.len, stderr);
    buffer_free(&line);
}

// Whether something is to be shown again.
static bool is_time(struct progress *progress, double *elapsed) {
    const double now = now_seconds();
    const double every = progress->mode == PROGRESS_TTY ? 0.5 : 30.0;
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
    if (progress->mode == PROGRESS_JSON) {
        show_json(progress, name, "titles", titles, elapsed, share);
        return;
    }
    const double before = progress->total_nbytes > 0
                              ? (double)progress->before_nbytes / (double)progress->total_nbytes
                              : 0.0;
    char place[1100], count[32], rate[32], rest[64];
    describe_place(progress, name, place, sizeof place);
    describe_rest(rest, sizeof rest, share, before, elapsed);
    with_commas(titles, count);
    with_commas((uint64_t)((double)(titles - progress->before_titles) / elapsed + 0.5), rate);
    if (progress->mode == PROGRESS_TTY) {
        fprintf(stderr, "\r\033[Kwader: %s: %s titles, %s titles/s%s", place, count, rate, rest);
    } else {
        report_note("%s: %s titles, %s titles/s%s", place, count, rate, rest);
    }
}

void progress_show_bytes(struct progress *progress, const char *name, uint64_t done_nbytes,
                         uint64_t total_nbytes) {
    double elapsed;
    if (!is_time(progress, &elapsed)) return;
    const double share = (double)done_nbytes / (double)total_nbytes;
    if (progress->mode == PROGRESS_JSON) {
        show_json(progress, name, "nbytes", done_nbytes, elapsed, share);
        return;
    }
    char done[32], rest[64];
    describe_rest(rest, sizeof rest, share, 0.0, elapsed);
    with_commas(done_nbytes >> 20, done);
    if (progress->mode == PROGRESS_TTY) {
        fprintf(stderr, "\r\033[Kwader: %s: %s MiB%s", name, done, rest);
    } else {
        report_note("%s: %s MiB%s", name, done, rest);
    }
}

void report_shard(const struct progress *progress, const char *output, const struct totals *totals,
                  double seconds) {
    char count[32], rate[32], bad[32];
    report_note("%zu of %zu files: %s: %s titles in %.1f s (%s titles/s), %s bad rows",
                progress->n_behind, progress->n_files, output, with_commas(totals->records, count),
                seconds, with_commas((uint64_t)((double)totals->records / seconds + 0.5), rate),
                with_commas(totals_bad(totals), bad));
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
    report_note(
        "%s titles labelled in %.1f s (%s titles/s), %s tokens, %s truncated, %s%s bad rows%s%s",
        with_commas(computed - abstained, count), seconds,
        with_commas((uint64_t)((double)computed / seconds + 0.5), rate),
        with_commas(totals->tokens, tokens),
        with_commas(totals->by_status[RECORD_TRUNCATED], truncated), silent,
        with_commas(bad, bad_rows), where != NULL ? ", in " : "", where != NULL ? where : "");
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
