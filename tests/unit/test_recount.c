// SPDX-License-Identifier: Apache-2.0
//
// Ids counted again, up to any record: as many came before as in one run.
#include "host/stream/recount.h"

#include "tests/check.h"
#include "tests/support/gzip_bytes.h"
#include "tests/support/must.h"
#include "tests/support/temp_dir.h"

enum { N_RECORDS = 9000, LINE_NBYTES_MAX = 4096 };

static const struct record_format format = {
    .kind = RECORD_JSONL, .id = {"id", 0}, .title = {"title", 0}};
static char dir[TEMP_PATH_MAX], path[TEMP_PATH_MAX];
static struct error error;

static bool go_on(void) {
    return false;
}

static bool stop(void) {
    return true;
}

// Writes the catalog; duplicates[n]: among the first n records. Some lines have no id: those that
// are no JSON, or too long for one.
static void make(uint64_t duplicates[N_RECORDS + 1]) {
    static bool seen[N_RECORDS];
    struct check_random random = {1};
    struct buffer plain = {0}, raw = {0};
    for (int i = 0; i < N_RECORDS; i++) {
        const unsigned id = check_below(&random, N_RECORDS), kind = check_below(&random, 20);
        const bool has_id = kind > 1;
        if (kind == 0) buffer_add_text(&plain, "bad\n");
        if (kind == 1) buffer_add_format(&plain, "{\"id\":%u,\"title\":\"%5000d\"}\n", id, 0);
        if (kind > 1) buffer_add_format(&plain, "{\"id\":%u,\"title\":\"t\"}\n", id);
        duplicates[i + 1] = duplicates[i] + (has_id && seen[id]);
        seen[id] = seen[id] || has_id;
    }
    gzip_add(&raw, plain.bytes, plain.len);
    buffer_add(&raw, "more", 4);  // the run's business, which may have let it pass
    temp_dir_write(dir, path_base(path), raw.bytes, raw.len);
    buffer_free(&plain);
    buffer_free(&raw);
}

static enum status recount(uint64_t n, bool (*stop_asked)(void), uint64_t *duplicates) {
    struct id_set *set;
    must(id_set_create(ID_SET_MOST, &set, &error), &error);
    const enum status status =
        recount_ids(path, &format, LINE_NBYTES_MAX, n, stop_asked, set, &error);
    *duplicates = id_set_duplicates(set);
    id_set_destroy(set);
    return status;
}

int main(void) {
    static uint64_t want[N_RECORDS + 1];
    uint64_t got;
    temp_dir_make(dir);
    path_join(path, sizeof path, dir, "in.jsonl.gz", NULL);
    make(want);
    CHECK(want[N_RECORDS] > 1000);
    for (int n = 0; n <= N_RECORDS; n += n < 10 ? 1 : 899) {
        CHECK_INT(recount((uint64_t)n, go_on, &got), STATUS_OK);
        CHECK_INT(got, want[n]);
    }
    CHECK_INT(recount(N_RECORDS, go_on, &got), STATUS_OK);
    CHECK_INT(got, want[N_RECORDS]);
    CHECK_INT(recount(N_RECORDS + 1, go_on, &got), STATUS_INPUT);
    CHECK_CONTAINS(error.text, "shorter");
    CHECK_INT(recount(10, stop, &got), STATUS_AGAIN);
    temp_dir_remove(dir);
    return check_result();
}
