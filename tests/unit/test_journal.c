// SPDX-License-Identifier: Apache-2.0
//
// The journal: what is written is read; what was not written whole, or by somebody else, is none.
#include "host/job/journal.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/support/gzip_bytes.h"
#include "tests/support/must.h"
#include "tests/support/temp_dir.h"

static char dir[TEMP_PATH_MAX], path[TEMP_PATH_MAX];
static struct error error;

static void fill_bytes(void *bytes, size_t n, struct check_random *random) {
    for (size_t i = 0; i < n; i++) ((unsigned char *)bytes)[i] = (unsigned char)check_next(random);
}

static void fill_hash(struct sha256_state *hash, uint64_t nbytes, struct check_random *random) {
    *hash = (struct sha256_state){.nbytes = nbytes};
    for (int i = 0; i < 8; i++) hash->words[i] = (uint32_t)check_next(random);
    fill_bytes(hash->pending, (size_t)(nbytes % 64), random);
}

static void fill(struct journal *journal, uint32_t n_outputs, size_t tail, unsigned seed) {
    struct check_random random = {seed};
    memset(journal, 0, sizeof *journal);
    for (int i = 0; i < JOURNAL_PARTS; i++) snprintf(journal->key[i], 65, "key %d of %u", i, seed);
    struct checkpoint *at = &journal->at;
    at->n_records = at->totals.records = at->totals.read = 12345678901;
    at->offset = 1ull << 40;
    for (int s = 0; s < RECORD_STATUS_COUNT; s++) at->totals.by_status[s] = check_next(&random);
    at->totals.ill_formed_utf8 = 3;
    at->totals.consumed_nbytes = 1ull << 33;
    at->totals.tokens = UINT64_MAX;
    at->totals.unknown_tokens = 1ull << 50;
    at->input.place = INPUT_IN_MEMBER;
    at->input.n_bits = (int)check_below(&random, 8);
    at->input.plain_nbytes = at->offset - 77777;
    at->input.file_nbytes = 1ull << 33;
    at->input.member_nbytes = 5;
    at->input.member_crc = 0xdeadbeef;
    at->input.window_nbytes = check_below(&random, INPUT_WINDOW_NBYTES + 1);
    fill_bytes(at->input.window, at->input.window_nbytes, &random);
    fill_hash(&at->input.hash, (1ull << 33) + check_below(&random, 100), &random);
    at->n_outputs = n_outputs;
    for (uint32_t i = 0; i < n_outputs; i++) {
        struct output_point *point = &at->outputs[i];
        snprintf(journal->temporary[i], JOURNAL_NAME_NBYTES, ".out %u.%x.tmp", i, seed);
        point->begin.nbytes = (uint64_t)OUTPUT_SEGMENT_NBYTES * check_below(&random, 1 << 20);
        point->begin.file_nbytes = check_next(&random) >> 1;
        point->begin.crc = (uint32_t)check_next(&random);
        point->begin.file_crc = (uint32_t)check_next(&random);
        fill_hash(&point->begin.hash, point->begin.nbytes, &random);
        point->tail_nbytes = (uint32_t)tail;
        fill_bytes(point->tail, tail, &random);
    }
}

static void round_trip(void) {
    struct journal *written = must_zeroed(1, sizeof *written), *read;
    for (unsigned seed = 1; seed < 20; seed++) {
        struct buffer bytes = {0}, again = {0};
        read = must_zeroed(1, sizeof *read);
        fill(written, 1 + seed % 2, seed % 3 == 0 ? 0 : OUTPUT_SEGMENT_NBYTES - 1, seed);
        must(journal_format(written, &bytes, &error), &error);
        CHECK(bytes.len < JOURNAL_NBYTES_MAX);
        CHECK(journal_parse((struct span){bytes.bytes, bytes.len}, read));
        CHECK(memcmp(written, read, sizeof *read) == 0);
        must(journal_format(read, &again, &error), &error);
        CHECK(again.len == bytes.len && memcmp(again.bytes, bytes.bytes, bytes.len) == 0);
        buffer_free(&bytes);
        buffer_free(&again);
        free(read);
    }
    free(written);
}

static void damage(void) {
    struct journal *journal = must_zeroed(1, sizeof *journal);
    struct buffer bytes = {0};
    fill(journal, 1, 500, 3);
    journal->at.input.window_nbytes = 200;
    must(journal_format(journal, &bytes, &error), &error);
    for (size_t n = 0; n < bytes.len; n++) {
        CHECK(!journal_parse((struct span){bytes.bytes, n}, journal));
        bytes.bytes[n] ^= (char)(1 << n % 8);
        CHECK(!journal_parse((struct span){bytes.bytes, bytes.len}, journal));
        bytes.bytes[n] ^= (char)(1 << n % 8);
    }
    CHECK(journal_parse((struct span){bytes.bytes, bytes.len}, journal));
    buffer_add(&bytes, "", 1);
    CHECK(!journal_parse((struct span){bytes.bytes, bytes.len}, journal));
    buffer_free(&bytes);
    free(journal);
}

// Whole, with its hash, and yet not what journal_format would write of a run.
static void out_of_range(void) {
    struct journal *journal = must_zeroed(1, sizeof *journal);
    for (int i = 0; i < 14; i++) {
        struct buffer bytes = {0};
        fill(journal, i == 0 ? 0 : 1, 500, 3);
        struct checkpoint *at = &journal->at;
        struct output_point *point = &at->outputs[0];
        if (i == 1) at->input.n_bits = 8;
        if (i == 2) at->input.place = INPUT_PLACES;
        if (i == 3) at->input.plain_nbytes = at->offset + 1;
        if (i == 4) journal->temporary[0][0] = '\0';
        if (i == 5) journal->temporary[0][2] = '/';
        if (i == 6) point->begin.nbytes += 64, point->begin.hash.nbytes += 64;
        if (i == 7) point->begin.hash.nbytes += 64;
        if (i == 8) point->tail_nbytes = OUTPUT_SEGMENT_NBYTES;
        if (i == 9) at->n_records = (uint64_t)INT64_MAX + 1;
        if (i == 10) at->offset = UINT64_MAX;
        if (i == 11) point->begin.file_nbytes = UINT64_MAX;
        if (i == 12) at->input.file_nbytes = UINT64_MAX;
        must(journal_format(journal, &bytes, &error), &error);
        CHECK_INT(journal_parse((struct span){bytes.bytes, bytes.len}, journal), i == 13);
        buffer_free(&bytes);
    }
    free(journal);
}

static void files(void) {
    struct journal *written = must_zeroed(1, sizeof *written);
    struct journal *read = must_zeroed(1, sizeof *read);
    const char *why;
    char file[TEMP_PATH_MAX];
    fill(written, 1, 10000, 1);
    path_join(path, sizeof path, dir, "out.gz", NULL);
    path_join(file, sizeof file, dir, ".out.gz.journal", NULL);
    CHECK(!journal_exists(path));
    CHECK_INT(journal_read(path, written, read, &why), JOURNAL_NONE);
    CHECK_INT(journal_write(path, written, &error), STATUS_OK);
    CHECK_INT(journal_write(path, written, &error), STATUS_OK);
    CHECK(journal_exists(path) && access(file, F_OK) == 0);
    CHECK_INT(journal_read(path, written, read, &why), JOURNAL_FITS);
    CHECK(memcmp(&written->at, &read->at, sizeof read->at) == 0);
    static const char *const words[JOURNAL_PARTS] = {"input", "model", "settings", "version"};
    for (int i = 0; i < JOURNAL_PARTS; i++) {
        written->key[i][0] ^= 1;
        CHECK_INT(journal_read(path, written, read, &why), JOURNAL_STALE);
        CHECK_CONTAINS(why, words[i]);
        written->key[i][0] ^= 1;
    }
    CHECK(truncate(file, 5000) == 0);
    CHECK_INT(journal_read(path, written, read, &why), JOURNAL_STALE);
    CHECK_CONTAINS(why, "damaged");
    CHECK(truncate(file, 2 * (off_t)JOURNAL_NBYTES_MAX) == 0);
    CHECK_INT(journal_read(path, written, read, &why), JOURNAL_STALE);
    temp_dir_write_text(dir, "..out.gz.journal.12-34-56.tmp", "");
    temp_dir_write_text(dir, "..out.gz.journal.mine.tmp", "");
    journal_sweep(path);
    CHECK(journal_exists(path));
    path_join(file, sizeof file, dir, "..out.gz.journal.12-34-56.tmp", NULL);
    CHECK(access(file, F_OK) != 0);
    journal_remove(path);
    CHECK(!journal_exists(path));
    path_join(file, sizeof file, dir, "..out.gz.journal.mine.tmp", NULL);
    CHECK(access(file, F_OK) == 0);
    CHECK_INT(journal_write("/nowhere/out.gz", written, &error), STATUS_IO);
    free(written);
    free(read);
}

int main(void) {
    temp_dir_make(dir);
    round_trip();
    damage();
    out_of_range();
    files();
    temp_dir_remove(dir);
    return check_result();
}
