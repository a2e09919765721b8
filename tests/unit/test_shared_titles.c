// SPDX-License-Identifier: Apache-2.0
//
// Titles that a run has seen: what the writer finds at a place is the title's own, whatever was
// forgotten in between; where there is room for all, none is forgotten.
#include "host/stream/shared_titles.h"

#include <string.h>

#include "tests/check.h"
#include "tests/support/must.h"

enum { LABELS_MAX = 9 };

static struct score_key key_of(int32_t n) {
    struct score_key key;
    CHECK(score_key_of(&n, 1, &key));
    return key;
}

static void logits_of(int32_t n, float logits[LABELS_MAX]) {
    for (int k = 0; k < LABELS_MAX; k++) logits[k] = (float)(n * 31 + k) / 7.0f;
}

// The packer's walk, and the writer's behind it: what the writer reads at a place is the title's.
static void shared(size_t nbytes, int n_titles, bool wants_all) {
    enum { N = 5000 };
    struct shared_titles *table;
    struct error error = {""};
    struct check_random random = {5};
    static int32_t titles[N];
    static uint32_t places[N];
    static bool are_there[N];
    int n_shared = 0, n_new = 0;
    char *seen = must_zeroed((size_t)n_titles, 1);
    must(shared_titles_create(LABELS_MAX, nbytes, &table, &error), &error);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < N; i++) {
            titles[i] = (int32_t)check_below(&random, (unsigned)n_titles);
            const struct score_key key = key_of(titles[i]);
            places[i] = shared_titles_place(table, &key, &are_there[i]);
            CHECK(places[i] > 0);
            if (are_there[i]) CHECK(seen[titles[i]]);
            n_new += !seen[titles[i]];
            n_shared += are_there[i];
            seen[titles[i]] = 1;
        }
        for (int i = 0; i < N; i++) {
            float logits[LABELS_MAX], *at = shared_titles_logits(table, places[i]);
            logits_of(titles[i], logits);
            if (are_there[i]) CHECK(memcmp(at, logits, sizeof logits) == 0);
            if (!are_there[i]) memcpy(at, logits, sizeof logits);
        }
    }
    CHECK(n_shared > 0);
    if (wants_all) CHECK_INT(n_shared, 2 * N - n_new);
    if (!wants_all) CHECK(n_shared < 2 * N - n_new);
    shared_titles_forget(table);
    bool is_there;
    const struct score_key key = key_of(titles[0]);
    shared_titles_place(table, &key, &is_there);
    CHECK(!is_there);
    shared_titles_destroy(table);
    free(seen);
}

int main(void) {
    shared(1 << 20, 500, true);
    shared(1 << 14, 3000, false);
    shared(1, 40, false);
    return check_result();
}
