// SPDX-License-Identifier: Apache-2.0
#include "tests/support/stream_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/check.h"
#include "tests/support/must.h"

static char *const labels[FAKE_LABELS] = {"art", "business", "health", "science", "world"};
static const struct field passthrough[] = {{"extra", 3}};

void rig_open(struct rig *rig, enum record_kind from, enum row_kind to) {
    struct buffer vocab = {0};
    struct error error = {""};
    temp_dir_make(rig->dir);
    buffer_add_text(&vocab, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n!\nA\n");
    for (char c = 'a'; c <= 'z'; c++) buffer_add_format(&vocab, "%c\n##%c\n", c, c);
    temp_dir_write(rig->dir, "vocab.txt", vocab.bytes, vocab.len);
    buffer_free(&vocab);
    must(tokenizer_open(rig->dir, &rig->tokenizer, &error), &error);
    rig->nan_id = 5;
    rig->record_format = (struct record_format){.kind = from,
                                                .id = {from == RECORD_TSV ? "1" : "id", 1},
                                                .title = {from == RECORD_TSV ? "2" : "title", 2},
                                                .passthrough = passthrough,
                                                .n_passthrough = from == RECORD_TEXT ? 0 : 1};
    rig->row_format = (struct row_format){.kind = to,
                                          .scores = SCORES_LOGITS,
                                          .input = &rig->record_format,
                                          .labels = labels,
                                          .temperature = 1,
                                          .n_labels = FAKE_LABELS};
}

void rig_close(struct rig *rig) {
    tokenizer_close(rig->tokenizer);
    temp_dir_remove(rig->dir);
}

// Words of lower-case letters, now and then one that is unknown, "!" or not UTF-8.
static void add_title(struct buffer *out, struct check_random *random) {
    for (unsigned n = check_below(random, 12); n > 0; n--) {
        const unsigned kind = check_below(random, 400);
        if (kind == 0) buffer_add_text(out, "!");
        if (kind == 1) buffer_add_text(out, "\xc3\xa9\xff");
        for (unsigned len = 1 + check_below(random, 5); len > 0; len--) {
            const char letter = (char)('a' + check_below(random, 26));
            buffer_add(out, &letter, 1);
        }
        if (n > 1) buffer_add_text(out, " ");
    }
}

static void add_bad(struct buffer *out, struct check_random *random) {
    static const char *const texts[] = {
        "",
        " ",
        "{\"id\":1,\"title\":\"cut off",
        "{\"id\":2}",
        "{\"title\":\"no id\"}",
        "[]",
        "{\"id\":3,\"title\":[\"a\"],\"extra\":1}",
        "{\"id\":4,\"title\":\"raw \x01\"}",
    };
    const unsigned kind = check_below(random, 2000);
    if (kind > 0) {
        buffer_add_text(out, texts[kind % ARRAY_LEN(texts)]);
        return;
    }
    // A line that is too long: it has more bytes than any buffer of the stream.
    const size_t n = RECORD_NBYTES_MAX + 1 + check_below(random, RECORD_NBYTES_MAX);
    char *at = buffer_reserve(out, n);
    memset(at, 'x', n);
    out->len += n;
}

void rig_catalog(const struct rig *rig, struct buffer *out, int n, unsigned n_bad,
                 unsigned long long seed) {
    struct check_random random = {seed};
    for (int i = 0; i < n; i++) {
        if (check_below(&random, 100) < n_bad) {
            add_bad(out, &random);
        } else if (rig->record_format.kind == RECORD_JSONL) {
            buffer_add_format(out, "{\"id\":%d,\"title\":\"", i);
            add_title(out, &random);
            buffer_add_text(out, i % 3 == 0 ? "\",\"extra\":[1]}" : "\"}");
        } else {
            if (rig->record_format.kind == RECORD_TSV) buffer_add_format(out, "%x\t", i);
            add_title(out, &random);
        }
        buffer_add_text(out, i % 50 == 0 ? "\r\n" : "\n");
    }
}

void rig_expect(const struct rig *rig, struct span catalog, struct buffer *rows,
                struct totals *totals) {
    char *scratch = malloc(RECORD_NBYTES_MAX);
    int32_t *ids = malloc((RIG_MAX_LENGTH + 1) * sizeof *ids);
    float logits[FAKE_LABELS];
    if (scratch == NULL || ids == NULL) exit(1);
    *totals = (struct totals){0};
    for (size_t at = 0; at < catalog.len;) {
        const char *line = catalog.ptr + at, *end = memchr(line, '\n', catalog.len - at);
        size_t len = end != NULL ? (size_t)(end - line) : catalog.len - at;
        at += len + (end != NULL ? 1 : 0);
        struct record record = {.line = {line, len}};
        struct span title;
        struct encoding encoding = {0};
        if (len > RECORD_NBYTES_MAX) {
            record.line.len = RECORD_NBYTES_MAX;
            record.status = RECORD_TOO_LONG;
        } else if (end != NULL && len > 0 && line[len - 1] == '\r') {
            record.line.len--;
        }
        record_parse(&rig->record_format, &record, scratch, &title);
        if (record.status == RECORD_OK) {
            encoding = tokenizer_encode(rig->tokenizer, title, RIG_MAX_LENGTH, ids);
            if (encoding.truncated) record.status = RECORD_TRUNCATED;
            fake_encoder_logits(ids, encoding.n_ids, rig->nan_id, logits);
        }
        row_add(rows, &rig->row_format, &record, ++totals->records, logits);
        totals->by_status[record.status]++;
        if (record_is_bad(record.status)) continue;
        totals->tokens += (uint64_t)encoding.n_ids;
        totals->ill_formed_utf8 += record.ill_formed_utf8;
    }
    free(scratch);
    free(ids);
}

struct score_identity rig_identity(void) {
    return (struct score_identity){.precision = "fp32",
                                   .device = "cpu",
                                   .max_length = RIG_MAX_LENGTH,
                                   .n_labels = FAKE_LABELS};
}

// Begins kept scores in runs of 1000 rows, and commits them behind the rows.
static struct score_log *begin_scores(const char *path) {
    struct output *output;
    struct score_log *log;
    struct error error = {""};
    must(output_open(path, &output, &error), &error);
    must(score_log_create(output, FAKE_LABELS, 1000, &log, &error), &error);
    return log;
}

static void end_scores(struct score_log *log, enum status status, const struct output *rows) {
    const struct score_identity made_by = rig_identity();
    struct error error = {""};
    if (log == NULL) return;
    if (status == STATUS_OK) {
        must(score_log_finish(log, &made_by, output_sha256(rows), &error), &error);
        must(output_commit(score_log_output(log), &error), &error);
    }
    output_close(score_log_output(log));
    score_log_destroy(log);
}

enum status rig_run(const struct rig *rig, const struct rig_run *run, const char *input_path,
                    const char *output_path, struct totals *totals, struct error *error) {
    const struct fake_encoder_spec spec = {
        .batch_tokens = run->batch_tokens,
        .titles_cap = run->titles_cap,
        .n_slots = run->n_slots,
        .max_length = RIG_MAX_LENGTH,
        .n_threads = run->n_threads,
        .delay_us = run->delay_us,
        .fail_at = run->fail_at,
        .lie_at = run->lie_at,
        .failure = run->failure != STATUS_OK ? run->failure : STATUS_MODEL,
        .nan_id = rig->nan_id};
    struct pipeline_config config = {.encoder = fake_encoder_create(&spec),
                                     .tokenizer = rig->tokenizer,
                                     .record_format = rig->record_format,
                                     .row_format = rig->row_format,
                                     .header = run->header,
                                     .max_length = RIG_MAX_LENGTH,
                                     .n_tokenizers = run->n_tokenizers,
                                     .flush_ms = run->flush_ms,
                                     .fail_on_bad = run->fail_on_bad,
                                     .watcher = run->watcher,
                                     .audit = run->audit,
                                     .first_line = run->first_line,
                                     .checkpoints = run->look != NULL,
                                     .checkpoint_every = run->checkpoint_every,
                                     .previous = run->previous,
                                     .shared = run->shared,
                                     .resume = run->resume};
    struct input *input;
    struct output *output = NULL;
    struct pipeline *pipeline;
    must(input_open(input_path, &input, error), error);
    if (run->look != NULL) must(input_keep_points(input, error), error);
    if (run->resume != NULL) {
        must(input_resume(input, &run->resume->input, error), error);
        must(output_resume(output_path, run->temporary, &run->resume->outputs[0], NULL, &output,
                           error),
             error);
    } else if (output_path != NULL) {
        must(output_open(output_path, &output, error), error);
    }
    if (run->scores_path != NULL) config.scores = begin_scores(run->scores_path);
    must(pipeline_start(&config, input, output, &pipeline, error), error);
    while (!pipeline_poll(pipeline, run->look != NULL ? 0 : 50, totals)) {
        if (run->look != NULL) run->look(run->context, pipeline, output);
    }
    if (run->look != NULL) run->look(run->context, pipeline, output);
    enum status status = pipeline_finish(pipeline, totals, error);
    if (status == STATUS_OK && output != NULL) status = output_commit(output, error);
    end_scores(config.scores, status, output);
    if (run->n_encoded != NULL) *run->n_encoded = fake_encoder_titles(config.encoder);
    if (status == STATUS_AGAIN && run->look != NULL) output_keep(output);
    output_close(output);
    input_close(input);
    const char *fault = fake_encoder_fault(config.encoder);
    if (*fault != '\0') {
        fprintf(stderr, "stream rig: %s\n", fault);
        exit(1);
    }
    encoder_destroy(config.encoder);
    return status;
}
