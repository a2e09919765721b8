// SPDX-License-Identifier: Apache-2.0
//
// Streams that stop and are gone on with: from every place that was noted, whatever the batches and
// threads of either run, the rows and the totals are those of one run.
#include <unistd.h>

#include "tests/check.h"
#include "tests/support/gzip_bytes.h"
#include "tests/support/must.h"
#include "tests/support/stream_rig.h"

enum { NOTES_MAX = 400 };

// What a look at a running pipeline does.
struct looker {
    struct checkpoint *next;
    struct checkpoint *notes[NOTES_MAX];  // the first ones, or with `drain_after` the latest alone
    int n_notes;
    int drain_after;  // notes, or ten times as many looks, and then drain; 0: never
    int n_seen, n_looks;
    char temporary[256];
};

static void look(void *context, struct pipeline *pipeline, struct output *output) {
    struct looker *looker = context;
    snprintf(looker->temporary, sizeof looker->temporary, "%s", output_temporary(output));
    if (looker->drain_after > 0 &&
        (looker->n_seen >= looker->drain_after || ++looker->n_looks > 10 * looker->drain_after)) {
        pipeline_drain(pipeline);
    }
    if (!pipeline_checkpoint(pipeline, &looker->next)) {
        usleep(100);  // for the pipeline to have a processor
        return;
    }
    looker->n_seen++;
    const int place = looker->drain_after > 0 ? 0 : looker->n_notes;
    if (place == NOTES_MAX) return;
    if (looker->notes[place] == NULL) {
        looker->notes[place] = must_zeroed(1, sizeof **looker->notes);
        looker->n_notes++;
    }
    *looker->notes[place] = *looker->next;
}

static void looker_open(struct looker *looker, int drain_after) {
    *looker = (struct looker){.next = must_zeroed(1, sizeof *looker->next)};
    looker->drain_after = drain_after;
}

static void looker_close(struct looker *looker) {
    for (int i = 0; i < looker->n_notes; i++) free(looker->notes[i]);
    free(looker->next);
}

// The catalog as a file, and what must come of it.
struct job {
    struct rig rig;
    struct buffer catalog, want;
    struct totals totals;
    char in_path[TEMP_PATH_MAX], out_path[TEMP_PATH_MAX];
    bool header;
};

static void job_open(struct job *job, int n, bool gz, bool mark, enum row_kind to) {
    *job = (struct job){.header = to == ROW_TSV};
    struct buffer raw = {0};
    rig_open(&job->rig, RECORD_JSONL, to);
    if (mark) buffer_add(&job->catalog, "\xef\xbb\xbf", 3);
    rig_catalog(&job->rig, &job->catalog, n, 10, 5);
    path_join(job->in_path, TEMP_PATH_MAX, job->rig.dir, gz ? "in.gz" : "in", NULL);
    path_join(job->out_path, TEMP_PATH_MAX, job->rig.dir, gz ? "out.gz" : "out", NULL);
    if (gz) {
        const size_t half = job->catalog.len / 2;
        gzip_add(&raw, job->catalog.bytes, half);
        gzip_add(&raw, job->catalog.bytes + half, job->catalog.len - half);
    } else {
        buffer_add(&raw, job->catalog.bytes, job->catalog.len);
    }
    temp_dir_write(job->rig.dir, path_base(job->in_path), raw.bytes, raw.len);
    const size_t skip = mark ? 3 : 0;
    if (job->header) row_add_header(&job->want, &job->rig.row_format);
    rig_expect(&job->rig, (struct span){job->catalog.bytes + skip, job->catalog.len - skip},
               &job->want, &job->totals);
    job->totals.consumed_nbytes = raw.len;
    buffer_free(&raw);
}

static void job_close(struct job *job) {
    buffer_free(&job->catalog);
    buffer_free(&job->want);
    rig_close(&job->rig);
}

static void check_done(const struct job *job, const struct totals *totals) {
    struct buffer file = {0}, plain = {0};
    file_add(&file, job->out_path);
    if (name_ends_in_gz(job->out_path)) {
        CHECK(gzip_read((struct span){file.bytes, file.len}, &plain));
    } else {
        buffer_add(&plain, file.bytes, file.len);
    }
    CHECK_INT(plain.len, job->want.len);
    CHECK(plain.len == job->want.len && memcmp(plain.bytes, job->want.bytes, plain.len) == 0);
    CHECK_INT(totals->records, job->totals.records);
    CHECK_INT(totals->read, job->totals.records);
    CHECK_INT(totals->tokens, job->totals.tokens);
    CHECK_INT(totals->ill_formed_utf8, job->totals.ill_formed_utf8);
    CHECK_INT(totals->consumed_nbytes, job->totals.consumed_nbytes);
    for (int s = 0; s < RECORD_STATUS_COUNT; s++) {
        CHECK_INT(totals->by_status[s], job->totals.by_status[s]);
    }
    unlink(job->out_path);
    buffer_free(&file);
    buffer_free(&plain);
}

static struct rig_run random_run(const struct job *job, struct check_random *random) {
    static const int32_t batch_tokens[] = {700, 2000, 4096, 100000};
    static const int32_t titles_caps[] = {90, 300, 1000, 100000};
    return (struct rig_run){.batch_tokens = batch_tokens[check_below(random, 4)],
                            .titles_cap = titles_caps[check_below(random, 4)],
                            .n_slots = 1 + (int32_t)check_below(random, 4),
                            .n_tokenizers = 1 + (int32_t)check_below(random, 3),
                            .n_threads = (int)check_below(random, 3),
                            .flush_ms = -1,
                            .fail_at = -1,
                            .header = job->header};
}

// A run that fails late, so that its unfinished output stays; then from a sample of its notes.
static void every_note(struct job *job, unsigned seed) {
    struct check_random random = {seed};
    struct looker looker, other;
    struct totals totals;
    struct error error = {""};
    looker_open(&looker, 0);
    struct rig_run run = random_run(job, &random);
    run.batch_tokens = 1000;
    run.n_slots = 2;
    run.n_threads = 1;
    run.delay_us = 300;  // time to look
    run.look = look;
    run.context = &looker;
    run.failure = STATUS_AGAIN;
    run.fail_at = (int64_t)(job->totals.tokens / 1000);
    CHECK_INT(rig_run(&job->rig, &run, job->in_path, job->out_path, &totals, &error), STATUS_AGAIN);
    CHECK(looker.n_notes > 2);
    for (int i = 0; i < looker.n_notes; i += 1 + looker.n_notes / 6) {
        run = random_run(job, &random);
        looker_open(&other, 0);
        run.look = look;
        run.context = &other;
        run.resume = looker.notes[i];
        run.temporary = looker.temporary;
        CHECK_INT(looker.notes[i]->n_records, looker.notes[i]->totals.records);
        CHECK_INT(rig_run(&job->rig, &run, job->in_path, job->out_path, &totals, &error),
                  STATUS_OK);
        check_done(job, &totals);
        looker_close(&other);
    }
    looker_close(&looker);
}

// Drained again and again until the end is reached; the last note is where the rows ended. Returns
// how many runs that took.
static int drained(struct job *job, unsigned seed) {
    struct check_random random = {seed};
    struct looker before = {0};
    struct totals totals;
    struct error error = {""};
    enum status status = STATUS_AGAIN;
    int n_runs = 0;
    for (; status == STATUS_AGAIN && n_runs < 500; n_runs++) {
        struct looker looker;
        // Later ones come farther: where looks are slow, too, there is an end.
        looker_open(&looker, 1 + (int)check_below(&random, 8) + 2 * n_runs);
        struct rig_run run = random_run(job, &random);
        run.delay_us = (int)check_below(&random, 2) * 200;
        run.look = look;
        run.context = &looker;
        run.checkpoint_every = n_runs % 2 == 0 ? 0.0 : 3600.0;  // then only the end is noted
        if (before.n_notes > 0) {
            run.resume = before.notes[0];
            run.temporary = before.temporary;
        }
        error.text[0] = '\0';
        status = rig_run(&job->rig, &run, job->in_path, job->out_path, &totals, &error);
        CHECK(status == STATUS_OK || status == STATUS_AGAIN);
        if (status == STATUS_AGAIN) CHECK_CONTAINS(error.text, "stopped early");
        if (status == STATUS_AGAIN && looker.n_notes == 0) {  // before its first chunk
            CHECK_INT(totals.records, before.n_notes > 0 ? before.notes[0]->n_records : 0);
            looker_close(&looker);
            continue;
        }
        if (status == STATUS_AGAIN) {
            CHECK_INT(looker.notes[0]->n_records, totals.records);
            CHECK(before.n_notes == 0 || before.notes[0]->n_records <= totals.records);
        }
        looker_close(&before);
        before = looker;
    }
    looker_close(&before);
    check_done(job, &totals);
    return n_runs;
}

// An early drain, before anything was done.
static void drained_at_once(struct job *job) {
    struct check_random random = {1};
    struct looker looker;
    struct totals totals;
    looker_open(&looker, 1);
    looker.n_seen = 1;
    struct rig_run run = random_run(job, &random);
    run.look = look;
    run.context = &looker;
    const enum status status = rig_run(&job->rig, &run, job->in_path, job->out_path, &totals, NULL);
    CHECK(status == STATUS_AGAIN || status == STATUS_OK);
    looker_close(&looker);
}

int main(void) {
    int n_runs = 0;
    for (int i = 0; i < 4; i++) {
        struct job job;
        job_open(&job, i == 0 ? 13000 : 2000, i % 2 == 0, i == 1, i == 3 ? ROW_TSV : ROW_JSONL);
        every_note(&job, (unsigned)i + 1);
        n_runs += drained(&job, (unsigned)i + 1);
        drained_at_once(&job);
        job_close(&job);
    }
    CHECK(n_runs > 6);
    return check_result();
}
