// SPDX-License-Identifier: Apache-2.0
#include "host/base/rfc3339.h"

#include <stdint.h>

static char *put_digits(char *at, int64_t value, int n) {
    for (int i = n - 1; i >= 0; i--, value /= 10) at[i] = (char)('0' + value % 10);
    return at + n;
}

// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar. Years are taken
// to begin in March, so that the odd day comes last; 400 of them have 146,097 days.
static void date_of(int64_t day, int64_t *year, int64_t *month, int64_t *day_of_month) {
    const int64_t from_march = day + 719468;  // 0000-03-01 is day 0
    const int64_t era = from_march / 146097, in_era = from_march % 146097;
    const int64_t in_era_years = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    const int64_t in_year = in_era - (365 * in_era_years + in_era_years / 4 - in_era_years / 100);
    const int64_t from_march_month = (5 * in_year + 2) / 153;
    *day_of_month = in_year - (153 * from_march_month + 2) / 5 + 1;
    *month = from_march_month < 10 ? from_march_month + 3 : from_march_month - 9;
    *year = era * 400 + in_era_years + (*month <= 2 ? 1 : 0);
}

// Up to the seconds; returns what comes behind them.
static char *put_seconds(char *at, int64_t when) {
    const int64_t last = 253402300799;  // of the year 9999
    int64_t year, month, day;
    if (when < 0) when = 0;
    if (when > last) when = last;
    date_of(when / 86400, &year, &month, &day);
    const int64_t second = when % 86400;
    const int64_t parts[] = {month, day, second / 3600, second / 60 % 60, second % 60};
    static const char before[] = "--T::";
    at = put_digits(at, year, 4);
    for (int i = 0; i < 5; i++) {
        *at++ = before[i];
        at = put_digits(at, parts[i], 2);
    }
    return at;
}

char *rfc3339_seconds(time_t when, char text[RFC3339_NBYTES]) {
    char *at = put_seconds(text, (int64_t)when);
    *at++ = 'Z';
    *at = '\0';
    return text;
}

char *rfc3339_milliseconds(struct timespec when, char text[RFC3339_NBYTES]) {
    char *at = put_seconds(text, (int64_t)when.tv_sec);
    *at++ = '.';
    at = put_digits(at, when.tv_nsec / 1000000, 3);
    *at++ = 'Z';
    *at = '\0';
    return text;
}
