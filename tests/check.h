// SPDX-License-Identifier: Apache-2.0
//
// What a test program needs: CHECK prints the place, what was asked and both values, counts the
// failure and goes on. Each program ends with `return check_result();`.
#ifndef WADER_TESTS_CHECK_H
#define WADER_TESTS_CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK_SKIP = 77 };  // CTest's SKIP_RETURN_CODE

static int check_failures;
static long check_count;

#define CHECK_FAIL(...)                                          \
    do {                                                         \
        check_failures++;                                        \
        fprintf(stderr, "%s:%d: FAIL: ", __FILE__, __LINE__);    \
        fprintf(stderr, __VA_ARGS__);                            \
        fputc('\n', stderr);                                     \
        if (check_failures > 50) exit(1); /* enough to see it */ \
    } while (0)

#define CHECK(condition)                                \
    do {                                                \
        check_count++;                                  \
        if (!(condition)) CHECK_FAIL("%s", #condition); \
    } while (0)

#define CHECK_INT(got, want)                                                            \
    do {                                                                                \
        long long got_ = (long long)(got), want_ = (long long)(want);                   \
        check_count++;                                                                  \
        if (got_ != want_) CHECK_FAIL("%s is %lld, should be %lld", #got, got_, want_); \
    } while (0)

#define CHECK_STR(got, want)                                                 \
    do {                                                                     \
        const char *got_ = (got), *want_ = (want);                           \
        check_count++;                                                       \
        if (strcmp(got_, want_) != 0)                                        \
            CHECK_FAIL("%s is \"%s\", should be \"%s\"", #got, got_, want_); \
    } while (0)

// That `text` (an error message) tells the user about `part`.
#define CHECK_CONTAINS(text, part)                                                         \
    do {                                                                                   \
        const char *text_ = (text), *part_ = (part);                                       \
        check_count++;                                                                     \
        if (strstr(text_, part_) == NULL) CHECK_FAIL("\"%s\" lacks \"%s\"", text_, part_); \
    } while (0)

#define CHECK_NEAR(got, want, tolerance)                                          \
    do {                                                                          \
        double got_ = (got), want_ = (want);                                      \
        check_count++;                                                            \
        if (!(fabs(got_ - want_) <= (tolerance)))                                 \
            CHECK_FAIL("%s is %.9g, should be %.9g within %g", #got, got_, want_, \
                       (double)(tolerance));                                      \
    } while (0)

static inline int check_result(void) {
    fprintf(stderr, "%ld checks, %d failures\n", check_count, check_failures);
    return check_failures == 0 && check_count > 0 ? 0 : 1;
}

static inline int check_skip(const char *why) {
    printf("SKIP: %s\n", why);
    return CHECK_SKIP;
}

// splitmix64: fresh random inputs, replayable from the printed seed.
struct check_random {
    unsigned long long state;
};

static inline unsigned long long check_next(struct check_random *random) {
    unsigned long long z = (random->state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static inline unsigned check_below(struct check_random *random, unsigned n) {
    return (unsigned)(check_next(random) % n);
}

#endif
