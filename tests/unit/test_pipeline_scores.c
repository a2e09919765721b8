// SPDX-License-Identifier: Apache-2.0
//
// Streams that take logits from elsewhere than the encoder: from an earlier run, and from identical
// titles of their own. The rows are those of a plain loop over the records, byte for byte, and of
// each title the encoder sees no more than it must, whatever the batches, slots and threads.
#include <unistd.h>

#include "tests/check.h"
#include "tests/support/gzip_bytes.h"
#include "tests/support/must.h"
#include "tests/support/stream_rig.h"

struct night {
    struct rig rig;
    char in_path[TEMP_PATH_MAX], out_path[TEMP_PATH_MAX], scores_path[TEMP_PATH_MAX];
    struct check_random random;
};

// Distinct lines of a catalog, so many that none comes twice by chance; with an id each.
static void add_titles(struct buffer *out, int from, int to, bool other_ids) {
    for (int i = from; i < to; i++) {
        buffer_add_format(out, "{\"id\":%d,\"title\":\"", other_ids ? i + 1000000 : i);
        for (int n = i; n > 0; n /= 26) buffer_add_format(out, "%c ", 'a' + n % 26);
        buffer_add_text(out, "z\"}\n");
    }
}

static struct rig_run random_run(struct night *night) {
    struct check_random *random = &night->random;
    return (struct rig_run){.batch_tokens = (int32_t[]){32, 333, 4096}[check_below(random, 3)],
                            .titles_cap = (int32_t[]){1, 7, 1000}[check_below(random, 3)],
                            .n_slots = 1 + (int32_t)check_below(random, 3),
                            .n_tokenizers = 1 + (int32_t)check_below(random, 3),
                            .n_threads = (int)check_below(random, 3),
                            .flush_ms = check_below(random, 2) == 0 ? -1 : 0,
                            .fail_at = -1};
}

// Labels `catalog` and compares the rows; how many titles the encoder was given is in `n_encoded`.
static struct totals label(struct night *night, struct rig_run run, const struct buffer *catalog,
                           int64_t *n_encoded) {
    struct buffer want = {0}, got = {0};
    struct totals totals = {0}, expected;
    struct error error = {""};
    temp_dir_write(night->rig.dir, "in", catalog->bytes, catalog->len);
    rig_expect(&night->rig, (struct span){catalog->bytes, catalog->len}, &want, &expected);
    run.scores_path = night->scores_path;
    run.n_encoded = n_encoded;
    CHECK_INT(rig_run(&night->rig, &run, night->in_path, night->out_path, &totals, &error),
              STATUS_OK);
    CHECK_STR(error.text, "");
    file_add(&got, night->out_path);
    CHECK(got.len == want.len && (got.len == 0 || memcmp(got.bytes, want.bytes, got.len) == 0));
    CHECK_INT(totals.tokens, expected.tokens);
    CHECK_INT(totals_encoded(&totals), *n_encoded);
    for (int s = 0; s < RECORD_STATUS_COUNT; s++) {
        CHECK_INT(totals.by_status[s], expected.by_status[s]);
    }
    buffer_free(&want);
    buffer_free(&got);
    return totals;
}

// The scores that the last run kept.
static struct score_set *kept(struct night *night) {
    const struct score_identity wanted = rig_identity();
    struct buffer rows = {0};
    struct score_set *set;
    struct error error = {""};
    char sha256[SHA256_HEX_LEN + 1];
    file_add(&rows, night->out_path);
    must(sha256_of(rows.bytes, rows.len, sha256, &error), &error);
    must(score_set_create(&wanted, &set, &error), &error);
    must(score_set_add(set, night->scores_path, sha256, &error), &error);
    buffer_free(&rows);
    return set;
}

static struct shared_titles *table(void) {
    struct shared_titles *shared;
    struct error error = {""};
    must(shared_titles_create(FAKE_LABELS, 8 << 20, &shared, &error), &error);
    return shared;
}

static void nights(struct night *night) {
    struct buffer first = {0}, second = {0};
    struct rig_run run = random_run(night);
    int64_t n_encoded;
    add_titles(&first, 0, 4000, false);
    struct totals totals = label(night, run, &first, &n_encoded);
    CHECK_INT(n_encoded, 4000);
    CHECK_INT(totals.reuse.reused + totals.reuse.shared + totals.reuse.known, 0);

    // Shrunk, grown, in another order, some under another id, some titles twice.
    add_titles(&second, 4000, 4100, false);  // new
    add_titles(&second, 2000, 3000, false);
    add_titles(&second, 0, 1500, false);
    add_titles(&second, 1500, 1520, true);  // known titles, new ids
    buffer_add_text(&second, "{\"id\":7,\"title\":\"never before\"}\n{\"id\":8}\n");
    buffer_add_text(&second, "{\"id\":\"x\",\"title\":\"never before\"}\n");
    run = random_run(night);
    run.shared = table();
    run.previous = kept(night);
    totals = label(night, run, &second, &n_encoded);
    CHECK_INT(n_encoded, 101);
    CHECK_INT(totals.reuse.reused, 2520);
    CHECK_INT(totals.reuse.shared, 1);
    CHECK_INT(totals.reuse.changed, 1);
    CHECK_INT(totals.reuse.known, 2501);
    CHECK_INT(score_set_damaged(run.previous), 0);
    score_set_destroy(run.previous);

    // What was reused was kept again.
    run.previous = kept(night);
    totals = label(night, run, &second, &n_encoded);
    CHECK_INT(n_encoded, 0);
    CHECK_INT(totals.reuse.reused, 2622);
    score_set_destroy(run.previous);
    shared_titles_destroy(run.shared);
    buffer_free(&first);
    buffer_free(&second);
}

// Random catalogs, with bad records and titles without finite logits, which are not kept.
static void random_nights(struct night *night, unsigned seed) {
    struct buffer catalog = {0};
    struct shared_titles *shared = table();
    int64_t n_first, n_encoded;
    rig_catalog(&night->rig, &catalog, 3000, 10, seed);
    struct rig_run run = random_run(night);
    run.shared = shared;
    const struct totals first = label(night, run, &catalog, &n_first);
    CHECK_INT(n_first, (int64_t)first.records - (int64_t)totals_bad(&first) -
                           (int64_t)first.reuse.shared +
                           (int64_t)first.by_status[RECORD_NONFINITE]);
    // The same once more in the same run: only new titles would be encoded.
    label(night, run, &catalog, &n_encoded);
    CHECK_INT(n_encoded, 0);
    shared_titles_destroy(shared);
    run = random_run(night);
    run.previous = kept(night);
    label(night, run, &catalog, &n_encoded);
    CHECK_INT(n_encoded, first.by_status[RECORD_NONFINITE]);
    score_set_destroy(run.previous);
    buffer_free(&catalog);
}

// A run that fails leaves no title in the table whose logits the writer never saw.
static void after_failure(struct night *night) {
    struct buffer catalog = {0};
    struct totals totals;
    struct error error;
    int64_t n_encoded;
    add_titles(&catalog, 0, 9000, false);
    temp_dir_write(night->rig.dir, "in", catalog.bytes, catalog.len);
    for (int64_t fail_at = 0; fail_at < 4; fail_at++) {
        struct rig_run run = random_run(night);
        run.shared = table();
        run.batch_tokens = 333;
        run.fail_at = fail_at;
        CHECK_INT(rig_run(&night->rig, &run, night->in_path, night->out_path, &totals, &error),
                  STATUS_MODEL);
        run.fail_at = -1;
        label(night, run, &catalog, &n_encoded);
        CHECK_INT(n_encoded, 9000);
        shared_titles_destroy(run.shared);
    }
    buffer_free(&catalog);
}

int main(void) {
    struct night night = {.random = {17}};
    rig_open(&night.rig, RECORD_JSONL, ROW_JSONL);
    path_join(night.in_path, TEMP_PATH_MAX, night.rig.dir, "in", NULL);
    path_join(night.out_path, TEMP_PATH_MAX, night.rig.dir, "out", NULL);
    path_join(night.scores_path, TEMP_PATH_MAX, night.rig.dir, "out.scores", NULL);
    for (int i = 0; i < 4; i++) nights(&night);
    for (unsigned seed = 1; seed < 4; seed++) random_nights(&night, seed);
    after_failure(&night);
    rig_close(&night.rig);
    return check_result();
}
