// SPDX-License-Identifier: Apache-2.0
//
// Batches cut into items of attention: every row by exactly one item, in the right bucket and
// order, in the room that attention_items_cap names: test_attention_items [SEED].
#include "cuda/attention_items.h"

#include <time.h>

#include "tests/check.h"
#include "tests/support/must.h"

static struct check_random random_state;

static int32_t between(int32_t least, int32_t most) {
    return least + (int32_t)check_below(&random_state, (unsigned)(most - least + 1));
}

// The buckets as attention_items.h describes them, in plain words instead of its list.
static int wanted_bucket(int32_t n_keys) {
    if (n_keys <= 16) return 0;
    if (n_keys <= 32) return 1;
    if (n_keys <= 48) return 2;
    if (n_keys <= 64) return 3;
    return n_keys <= 128 ? 4 : 5;
}

static int32_t wanted_items(int32_t n_keys) {
    if (n_keys <= 64) return n_keys > 0 ? 1 : 0;
    return n_keys % 16 == 0 ? n_keys / 16 : n_keys / 16 + 1;
}

// ---- one batch

struct batch {
    int32_t n_titles;
    int32_t *cu_seqlens;           // [n_titles + 1]
    struct attention_item *items;  // [cap + 1], the last one a guard
    size_t cap;
    int32_t starts[ATTENTION_BUCKETS + 1];
};

static struct batch batch_of(const int32_t *lengths, int32_t n_titles) {
    struct batch batch = {.n_titles = n_titles};
    batch.cu_seqlens = must_zeroed((size_t)n_titles + 1, sizeof(int32_t));
    for (int32_t i = 0; i < n_titles; i++) {
        batch.cu_seqlens[i + 1] = batch.cu_seqlens[i] + lengths[i];
    }
    batch.cap = attention_items_cap(batch.cu_seqlens[n_titles], n_titles);
    batch.items = must_zeroed(batch.cap + 1, sizeof *batch.items);
    memset(batch.starts, 0x5A, sizeof batch.starts);
    batch.items[batch.cap].title = -7;
    attention_items_build(batch.cu_seqlens, n_titles, batch.items, batch.starts);
    CHECK_INT(batch.items[batch.cap].title, -7);
    return batch;
}

static void batch_free(struct batch *batch) {
    free(batch->cu_seqlens);
    free(batch->items);
}

// That the item belongs where it stands; counts the rows it covers.
static void check_item(const struct batch *batch, const struct attention_item *item, int bucket,
                       int32_t *n_covering) {
    CHECK(item->title >= 0 && item->title < batch->n_titles);
    if (item->title < 0 || item->title >= batch->n_titles) return;
    const int32_t first = batch->cu_seqlens[item->title];
    const int32_t n_keys = batch->cu_seqlens[item->title + 1] - first;
    const int32_t n_queries = n_keys <= 64 ? n_keys : 16;
    CHECK_INT(item->first_row, first);
    CHECK_INT(item->n_keys, n_keys);
    CHECK_INT(bucket, wanted_bucket(n_keys));
    CHECK_INT(item->first_query % 16, 0);
    CHECK(item->first_query >= 0 && item->first_query < n_keys);
    for (int32_t q = item->first_query; q < n_keys && q < item->first_query + n_queries; q++) {
        n_covering[first + q]++;
    }
}

static void check_items(const struct batch *batch) {
    const int32_t n_tokens = batch->cu_seqlens[batch->n_titles];
    int32_t *n_covering = must_zeroed((size_t)n_tokens + 1, sizeof *n_covering);
    int32_t n_items = 0;
    for (int32_t i = 0; i < batch->n_titles; i++) {
        n_items += wanted_items(batch->cu_seqlens[i + 1] - batch->cu_seqlens[i]);
    }
    CHECK_INT(batch->starts[0], 0);
    CHECK_INT(batch->starts[ATTENTION_BUCKETS], n_items);
    CHECK((size_t)n_items <= batch->cap);
    for (int b = 0; b < ATTENTION_BUCKETS; b++) {
        CHECK(batch->starts[b] <= batch->starts[b + 1]);
        for (int32_t i = batch->starts[b]; i < batch->starts[b + 1]; i++) {
            const struct attention_item *item = &batch->items[i];
            check_item(batch, item, b, n_covering);
            if (i == batch->starts[b]) continue;
            const struct attention_item *before = item - 1;
            CHECK(before->title < item->title ||
                  (before->title == item->title && before->first_query < item->first_query));
        }
    }
    for (int32_t row = 0; row < n_tokens; row++) CHECK_INT(n_covering[row], 1);
    free(n_covering);
}

// With 0, 1 or more dummy rows behind the last title, and nothing written past them.
static void check_positions(const struct batch *batch) {
    const int32_t n_tokens = batch->cu_seqlens[batch->n_titles];
    for (int32_t n_dummies = 0; n_dummies <= 130; n_dummies += n_dummies < 2 ? 1 : 64) {
        const int32_t n_rows = n_tokens + n_dummies;
        int32_t *positions = must_zeroed((size_t)n_rows + 1, sizeof *positions);
        memset(positions, 0x5A, ((size_t)n_rows + 1) * sizeof *positions);
        attention_positions(batch->cu_seqlens, batch->n_titles, n_rows, positions);
        int32_t row = 0;
        for (int32_t i = 0; i < batch->n_titles; i++) {
            const int32_t n_keys = batch->cu_seqlens[i + 1] - batch->cu_seqlens[i];
            for (int32_t p = 0; p < n_keys; p++) CHECK_INT(positions[row++], p);
        }
        while (row < n_rows) CHECK_INT(positions[row++], -1);
        CHECK_INT(positions[n_rows], 0x5A5A5A5A);
        free(positions);
    }
}

static void check_batch(const int32_t *lengths, int32_t n_titles) {
    struct batch batch = batch_of(lengths, n_titles);
    check_items(&batch);
    check_positions(&batch);
    batch_free(&batch);
}

// ---- batches

static void test_by_hand(void) {
    static const int32_t lengths[] = {20, 0, 3, 70, 16, 130, 33, 64, 17};
    static const struct attention_item want[] = {
        {20, 3, 0, 2},     {93, 16, 0, 4},    {0, 20, 0, 0},      {336, 17, 0, 8},
        {239, 33, 0, 6},   {272, 64, 0, 7},   {23, 70, 0, 3},     {23, 70, 16, 3},
        {23, 70, 32, 3},   {23, 70, 48, 3},   {23, 70, 64, 3},    {109, 130, 0, 5},
        {109, 130, 16, 5}, {109, 130, 32, 5}, {109, 130, 48, 5},  {109, 130, 64, 5},
        {109, 130, 80, 5}, {109, 130, 96, 5}, {109, 130, 112, 5}, {109, 130, 128, 5},
    };
    static const int32_t want_starts[] = {0, 2, 4, 5, 6, 11, 20};
    struct batch batch = batch_of(lengths, (int32_t)ARRAY_LEN(lengths));
    CHECK_INT(batch.starts[ATTENTION_BUCKETS], ARRAY_LEN(want));
    CHECK(memcmp(batch.starts, want_starts, sizeof want_starts) == 0);
    CHECK(batch.cap >= ARRAY_LEN(want) && memcmp(batch.items, want, sizeof want) == 0);
    batch_free(&batch);
}

static const int32_t edges[] = {1,   2,   15,  16,  17,  31,  32,  33,   47,   48,  49,
                                63,  64,  65,  79,  80,  81,  95,  96,   97,   127, 128,
                                129, 143, 144, 145, 511, 512, 513, 2999, 3000, 3001};

static void test_edges(void) {
    check_batch(NULL, 0);
    for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
        const int32_t n = edges[i];
        check_batch((const int32_t[]){n}, 1);
        check_batch((const int32_t[]){0, 0, n, 0, n, 0}, 6);
        check_batch((const int32_t[]){5, n, 1}, 3);
    }
    check_batch((const int32_t[]){0, 0, 0, 0}, 4);
    check_batch(edges, (int32_t)ARRAY_LEN(edges));
    int32_t every[700];
    for (int32_t i = 0; i < 700; i++) every[i] = 699 - i;
    check_batch(every, 700);
}

// Titles as they come, with a bias to edges and to empty ones.
static void test_random(void) {
    enum { N_MOST = 300 };
    int32_t lengths[N_MOST];
    for (int round = 0; round < 200; round++) {
        const int32_t n_titles = between(0, N_MOST), longest = between(1, 200);
        for (int32_t i = 0; i < n_titles; i++) {
            const int32_t kind = between(0, 9);
            lengths[i] = kind == 0 ? 0 : between(1, longest);
            if (kind == 1) lengths[i] = edges[between(0, (int32_t)ARRAY_LEN(edges) - 1)];
        }
        check_batch(lengths, n_titles);
    }
}

// ---- how many there can be

// The most items of up to `n_titles` titles of `n_tokens` tokens in all, found by trying every
// length of the last title; against the formula, which must never be less. It is more by 3 at most,
// and only where 16 to 63 tokens are left when each title has one: no title can use these for
// items.
static void test_cap(void) {
    enum { TOKENS_MOST = 230 };
    static int32_t most[TOKENS_MOST + 1], with_one_more[TOKENS_MOST + 1];
    for (int32_t n_titles = 1; n_titles <= TOKENS_MOST + 5; n_titles++) {
        for (int32_t n_tokens = 0; n_tokens <= TOKENS_MOST; n_tokens++) {
            int32_t best = most[n_tokens];
            for (int32_t last = 0; last <= n_tokens; last++) {
                const int32_t n = most[n_tokens - last] + wanted_items(last);
                if (n > best) best = n;
            }
            with_one_more[n_tokens] = best;
            const int32_t cap = (int32_t)attention_items_cap(n_tokens, n_titles);
            const int32_t n_left = n_tokens - n_titles;
            CHECK(cap >= best && cap <= best + 3);
            if (n_left >= 64 || n_left < 16) CHECK_INT(cap, best);
        }
        memcpy(most, with_one_more, sizeof most);
    }
    for (int32_t n_tokens = 0; n_tokens <= TOKENS_MOST; n_tokens++) {
        CHECK_INT(attention_items_cap(n_tokens, 0), 0);
    }
    CHECK_INT(attention_items_cap(INT32_MAX, INT32_MAX), INT32_MAX);
    CHECK_INT(attention_items_cap(INT32_MAX, 1), (INT32_MAX - 1) / 16 + 1);
}

// The batches that reach the cap: titles of one token, and one of all the rest.
static void test_worst_batches(void) {
    enum { N_MOST = 200 };
    int32_t lengths[N_MOST];
    for (int round = 0; round < 300; round++) {
        const int32_t n_titles = between(1, N_MOST), which = between(0, n_titles - 1);
        for (int32_t i = 0; i < n_titles; i++) lengths[i] = 1;
        lengths[which] += between(64, 4000);
        struct batch batch = batch_of(lengths, n_titles);
        CHECK_INT(batch.starts[ATTENTION_BUCKETS], batch.cap);
        check_items(&batch);
        batch_free(&batch);
    }
}

int main(int argc, char **argv) {
    random_state.state = argc > 1 ? strtoull(argv[1], NULL, 0) : (unsigned long long)time(NULL);
    printf("seed %llu\n", random_state.state);
    test_by_hand();
    test_edges();
    test_random();
    test_cap();
    test_worst_batches();
    return check_result();
}
