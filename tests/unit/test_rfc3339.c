// SPDX-License-Identifier: Apache-2.0
//
// Moments as text, beside the C library's own calendar.
#include "host/base/rfc3339.h"

#include "tests/check.h"

static void check_moment(time_t when) {
    char want[64], got[RFC3339_NBYTES];
    struct tm utc;
    gmtime_r(&when, &utc);
    strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%SZ", &utc);
    CHECK_STR(rfc3339_seconds(when, got), want);
}

int main(void) {
    struct check_random random = {20261201};
    char text[RFC3339_NBYTES];
    for (time_t day = 0; day < 800 * 366; day++) check_moment(day * 86400);
    for (int i = 0; i < 20000; i++) check_moment((time_t)(check_next(&random) % 253402300800ULL));
    check_moment(951782399);  // the last second of a leap day, and those beside it
    check_moment(951868799);
    check_moment(951868800);
    check_moment(253402300799);
    CHECK_STR(rfc3339_seconds(-1, text), "1970-01-01T00:00:00Z");
    CHECK_STR(rfc3339_seconds(253402300800, text), "9999-12-31T23:59:59Z");
    CHECK_STR(rfc3339_milliseconds((struct timespec){1796000000, 7999999}, text),
              "2026-11-30T00:53:20.007Z");
    CHECK_STR(rfc3339_milliseconds((struct timespec){1796000000, 999999999}, text),
              "2026-11-30T00:53:20.999Z");
    return check_result();
}
