// SPDX-License-Identifier: Apache-2.0
//
// Counting ids that came before: exact up to the bound, "at least" beyond it, and never too many.
#include "host/stream/id_set.h"

#include "tests/check.h"

static struct id_set *make(size_t most) {
    struct id_set *set;
    CHECK_INT(id_set_create(most, &set, NULL), STATUS_OK);
    if (set == NULL) exit(1);
    return set;
}

static void add(struct id_set *set, const char *bytes, size_t n) {
    CHECK_INT(id_set_add(set, (struct span){bytes, n}, NULL), STATUS_OK);
}

static void add_number(struct id_set *set, unsigned long long number) {
    char id[32];
    add(set, id, (size_t)snprintf(id, sizeof id, "\"v%llu\"", number));
}

// Ids that differ in a byte, a length, a kind.
static void different(void) {
    static const struct span ids[] = {{"", 0},          {"\0", 1},       {"\0\0", 2},
                                      {"1", 1},         {"\"1\"", 3},    {"1.0", 3},
                                      {"1\0", 2},       {"12345678", 8}, {"12345678\0", 9},
                                      {"123456789", 9}, {"87654321", 8}};
    struct id_set *set = make(1000);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) add(set, ids[i].ptr, ids[i].len);
    CHECK_INT(id_set_duplicates(set), 0);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) add(set, ids[i].ptr, ids[i].len);
    add(set, "1", 1);
    CHECK_INT(id_set_duplicates(set), ARRAY_LEN(ids) + 1);
    CHECK(id_set_is_exact(set));
    id_set_destroy(set);
}

static void grows(void) {
    struct id_set *set = make(ID_SET_MOST);
    struct check_random random = {3};
    static unsigned char times[1 << 18];
    uint64_t want = 0;
    for (int i = 0; i < 400000; i++) {
        const unsigned id = check_below(&random, ARRAY_LEN(times));
        want += times[id] > 0;
        times[id] = 1;
        add_number(set, id);
    }
    CHECK_INT(id_set_duplicates(set), want);
    CHECK(id_set_is_exact(set));
    id_set_destroy(set);
}

// Beyond the bound only those that were kept are known again.
static void full(void) {
    static const size_t mosts[] = {1, 100, 3584, 3585, 5000};
    for (size_t i = 0; i < ARRAY_LEN(mosts); i++) {
        const size_t most = mosts[i];
        struct id_set *set = make(most);
        for (size_t k = 0; k < most; k++) add_number(set, k);
        CHECK(id_set_is_exact(set));
        add_number(set, 0);
        CHECK(id_set_is_exact(set));
        CHECK_INT(id_set_duplicates(set), 1);
        for (size_t k = 0; k < most + 1000; k++) add_number(set, k);
        CHECK_INT(id_set_duplicates(set), 1 + most);
        CHECK(!id_set_is_exact(set));
        for (size_t k = most; k < most + 1000; k++) add_number(set, k);
        CHECK_INT(id_set_duplicates(set), 1 + most);  // at least
        id_set_destroy(set);
    }
    id_set_destroy(NULL);
}

int main(void) {
    different();
    grows();
    full();
    return check_result();
}
