// SPDX-License-Identifier: Apache-2.0
//
// Estimates: exact where nothing is left out, and intervals that hold the truth about as often as
// they say, over random catalogs.
#include "host/job/estimate.h"

#include <math.h>

#include "tests/check.h"

static uint64_t state = 20261130;

// In [0, 1).
static double unit_random(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) / 9007199254740992.0;
}

static double normal(void) {
    return sqrt(-2 * log(1 - unit_random())) * cos(6.283185307179586 * unit_random());
}

static void exact(void) {
    const struct estimate_unit units[] = {{100, 7}, {50, 4}, {1, 0}};
    const struct estimate all = estimate_total(units, 3, 11, (struct estimate_rest){0, 0});
    CHECK(all.value == 11 && all.low == 11 && all.high == 11);
    // What is proportional to the bytes is known from any part of them.
    const struct estimate_unit even[] = {{100, 10}, {50, 5}, {10, 1}};
    const struct estimate more = estimate_total(even, 3, 16, (struct estimate_rest){1000, 1e6});
    CHECK(fabs(more.value - 116) < 1e-9 && more.high - more.low < 1e-6);
    const struct estimate_unit none[] = {{0, 0}};
    CHECK(estimate_total(none, 1, 0, (struct estimate_rest){0, 0}).high == 0);
}

static void bounds(void) {
    // By hand: r = 0.5, s^2 = (1 + 1) / 1, m = 1, t = 12.706: 2 * (1 / 2 + 1) = 3.
    const struct estimate_unit two[] = {{10, 6}, {10, 4}};
    const struct estimate some = estimate_total(two, 2, 10, (struct estimate_rest){10, 100});
    CHECK(some.value == 15 && some.low == 10);  // no less than was seen
    CHECK(fabs(some.high - (15 + 12.706 * sqrt(3.0))) < 1e-9);
    const struct estimate one = estimate_total(two, 1, 6, (struct estimate_rest){10, 100});
    CHECK(one.low == 6 && one.value == 12 && one.high > 18);
    // What was seen beside the units counts, but tells no ratio.
    CHECK(estimate_total(two, 2, 100, (struct estimate_rest){10, 100}).value == 105);
    const struct estimate_unit never[] = {{10, 0}, {20, 0}};
    CHECK(estimate_total(never, 2, 0, (struct estimate_rest){300, 9e4}).high == 0);
    const struct estimate rare = estimate_rare(never, 2, 0, (struct estimate_rest){300, 9e4});
    CHECK(rare.value == 0 && rare.low == 0 && rare.high == 30);
    CHECK(estimate_rare(never, 2, 0, (struct estimate_rest){0, 0}).high == 0);
    const struct estimate time = estimate_ratio(some, (struct estimate){5, 4, 6});
    CHECK(time.value == 3 && time.low == some.low / 6 && time.high == some.high / 4);
}

// Of 95 % intervals about 95 % hold the truth: over 4,000 fewer than 93 or more than 97 % would be
// 6 standard errors off. Inputs that were left out are as large as several of the units that were
// seen, and each has its own ratio throughout.
static void coverage(void) {
    enum { TRIALS = 4000, SEEN = 16, UNSEEN = 50 };
    int n_held = 0;
    for (int trial = 0; trial < TRIALS; trial++) {
        struct estimate_unit seen[SEEN];
        struct estimate_rest rest = {0, 0};
        double truth = 0, known = 0;
        for (int i = 0; i < SEEN; i++) {
            seen[i].nbytes = 1000 * (0.9 + 0.2 * unit_random());
            seen[i].amount = seen[i].nbytes * 0.02 * (1 + 0.2 * normal());
            known += seen[i].amount;
        }
        truth = known;
        for (int i = 0; i < UNSEEN; i++) {
            const double nbytes = 1000 * (1 + 9 * unit_random());
            truth += nbytes * 0.02 * (1 + 0.2 * normal());
            rest.nbytes += nbytes;
            rest.squares += nbytes * nbytes;
        }
        const struct estimate total = estimate_total(seen, SEEN, known, rest);
        n_held += truth >= total.low && truth <= total.high;
    }
    printf("%d of %d intervals hold the truth\n", n_held, TRIALS);
    CHECK(n_held > TRIALS * 93 / 100 && n_held < TRIALS * 97 / 100);
}

int main(void) {
    exact();
    bounds();
    coverage();
    return check_result();
}
