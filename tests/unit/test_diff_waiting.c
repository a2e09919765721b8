// SPDX-License-Identifier: Apache-2.0
//
// Rows that wait for their other half, beside a plain list of them; the fingerprints that stand for
// ids, beside the published ones; and the numbers of labels.
#include "host/job/diff_waiting.h"

#include "host/job/diff_labels.h"
#include "host/job/diff_row.h"
#include "tests/check.h"

// Of SipHash-2-4 with 128 bits, key 00 01 .. 0f, texts 00 01 02 .. of these lengths: the
// algorithm's own test vectors.
static void fingerprints(void) {
    static const struct {
        size_t len;
        uint64_t low, high;
    } cases[] = {
        {0, 0xe6a825ba047f81a3, 0x930255c71472f66d},
        {1, 0x44af996bd8c187da, 0x45fc229b11597634},
    };
    const struct fingerprint_key key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};
    char text[64];
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)i;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct fingerprint got = fingerprint_of(&key, (struct span){text, cases[i].len});
        CHECK(got.low == cases[i].low && got.high == cases[i].high);
    }
    // Every length and every byte counts.
    const struct fingerprint whole = fingerprint_of(&key, (struct span){text, sizeof text});
    for (size_t i = 0; i < sizeof text; i++) {
        const struct fingerprint shorter = fingerprint_of(&key, (struct span){text, i});
        text[i] ^= 1;
        const struct fingerprint other = fingerprint_of(&key, (struct span){text, sizeof text});
        text[i] ^= 1;
        CHECK(shorter.low != whole.low && other.low != whole.low && other.high != whole.high);
    }
    struct fingerprint_key one, two;
    struct error error;
    CHECK_INT(fingerprint_key_make(&one, &error), STATUS_OK);
    CHECK_INT(fingerprint_key_make(&two, &error), STATUS_OK);
    CHECK(one.words[0] != two.words[0] && one.words[1] != two.words[1]);
}

enum { IDS = 600, STEPS = 40000, LIST = 4000 };

struct listed {
    unsigned id;
    struct diff_seen seen;
};

static struct diff_seen random_row(struct check_random *random) {
    return (struct diff_seen){
        .label = (uint16_t)check_below(random, DIFF_LABELS_MAX + 1),
        .score = (int32_t)check_below(random, SCORE_MAX + 2) - 1,
        .status = check_below(random, RECORD_STATUS_COUNT),
    };
}

// `n_homes`: how many places of the table ids would like best; few make long runs of neighbours.
static struct fingerprint id_of(unsigned id, unsigned n_homes) {
    const uint64_t spread = (uint64_t)id * 0x9E3779B97F4A7C15;
    return (struct fingerprint){n_homes > 0 ? ~(uint64_t)0 - id % n_homes : spread,
                                n_homes > 0 ? (uint64_t)id << 40 : spread << 40};
}

static void beside_a_list(unsigned n_ids, unsigned n_homes) {
    static struct listed list[LIST];
    struct diff_waiting waiting = {0};
    struct check_random random = {n_ids + n_homes};
    struct error error;
    size_t n = 0;
    for (int step = 0; step < STEPS; step++) {
        const unsigned id = check_below(&random, n_ids);
        const struct fingerprint fingerprint = id_of(id, n_homes);
        // Long stretches in which the room fills, and others in which it empties.
        const bool fills = check_below(&random, 10) < (step / 3000 % 2 == 0 ? 7 : 2);
        if (fills && n < LIST) {
            list[n] = (struct listed){id, random_row(&random)};
            CHECK_INT(diff_waiting_put(&waiting, &fingerprint, &list[n++].seen, &error), STATUS_OK);
        } else {
            struct diff_seen seen = {0};
            size_t i = 0;
            while (i < n && list[i].id != id) i++;
            CHECK_INT(diff_waiting_take(&waiting, &fingerprint, &seen), i < n);
            if (i < n) {
                CHECK(seen.label == list[i].seen.label && seen.score == list[i].seen.score &&
                      seen.status == list[i].seen.status);
                memmove(&list[i], &list[i + 1], (--n - i) * sizeof *list);
            }
        }
        CHECK_INT(waiting.n_rows, n);
    }
    diff_waiting_free(&waiting);
}

static void labels(void) {
    static const char *const names[] = {"b", "", "a", "ab", "b", "\xc3\xa9", "a"};
    struct diff_labels labels = {.key = {{1, 2}}};
    struct error error;
    uint32_t number, order[2000];
    for (int round = 0; round < 2; round++) {
        static const uint32_t numbers[] = {1, 2, 3, 4, 1, 5, 3};
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            CHECK_INT(diff_labels_number(&labels, span_text(names[i]), &number, &error), STATUS_OK);
            CHECK_INT(number, numbers[i]);
            CHECK(span_equal(diff_labels_name(&labels, number), names[i]));
        }
    }
    static const uint32_t by_name[] = {2, 3, 4, 1, 5}, after_two[] = {1, 2, 3, 4, 5};
    CHECK_INT(diff_labels_order(&labels, order, &error), STATUS_OK);
    CHECK(memcmp(order, by_name, sizeof by_name) == 0);
    labels.n_ordered = 2;
    CHECK_INT(diff_labels_order(&labels, order, &error), STATUS_OK);
    CHECK(memcmp(order, after_two, sizeof after_two) == 0);
    for (int k = 0; k < 2000; k++) {
        char name[16];
        snprintf(name, sizeof name, "l%d", k * 7 % 1000);
        CHECK_INT(diff_labels_number(&labels, span_text(name), &number, &error), STATUS_OK);
        CHECK(span_equal(diff_labels_name(&labels, number), name));
    }
    CHECK_INT(labels.n, 1005);
    static char large[(16 << 20) + 1];
    const struct span too_large = {large, sizeof large};
    CHECK_INT(diff_labels_number(&labels, too_large, &number, &error), STATUS_INPUT);
    diff_labels_free(&labels);
}

int main(void) {
    fingerprints();
    beside_a_list(IDS, 0);
    beside_a_list(IDS, 3);
    beside_a_list(3, 1);
    beside_a_list(1, 0);
    labels();
    return check_result();
}
