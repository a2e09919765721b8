// SPDX-License-Identifier: Apache-2.0
//
// e4m3 and rows of it with a scale, against their definitions: test_quantize [SEED].
#include "weights/quantize.h"

#include <math.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "tests/check.h"
#include "weights/dtype.h"

enum { N_FINITE = 127 };  // of a sign: codes 0 to 126

static struct check_random random_state;

// Code `code` without its sign: fraction / 8 of 2^-6, or (1 + fraction / 8) 2^(exponent - 7).
static double defined_value(unsigned code) {
    const int exponent = (int)(code >> 3);
    const double eighths = code & 7;
    return exponent == 0 ? ldexp(eighths, -9) : ldexp(8 + eighths, exponent - 10);
}

static void every_code(void) {
    for (unsigned code = 0; code < 256; code++) {
        const uint8_t byte = (uint8_t)code;
        const double sign = code < 128 ? 1 : -1;
        float value;
        tensor_read((struct tensor){&byte, 1, DTYPE_E4M3}, 0, 1, &value);
        if ((code & 127) == N_FINITE) {
            CHECK(isnan(value));
        } else {
            CHECK((double)value == sign * defined_value(code & 127));
            CHECK(!signbit(value) == (code < 128));
        }
    }
    CHECK(defined_value(126) == 448);
    CHECK_INT(dtype_size(DTYPE_E4M3), 1);
    CHECK(strcmp(dtype_name(DTYPE_E4M3), "E4M3") == 0);
}

// The nearest of all values; of two that are as near, the one with an even code.
static unsigned defined_code(float value) {
    if (isnan(value)) return 0x7F;
    const double magnitude = fmin(fabs((double)value), 448);
    unsigned best = 0;
    for (unsigned code = 1; code < N_FINITE; code++) {
        const double here = fabs(defined_value(code) - magnitude);
        const double there = fabs(defined_value(best) - magnitude);
        if (here < there || (here == there && code % 2 == 0)) best = code;
    }
    return best | (signbit(value) ? 0x80 : 0);
}

static void check_rounding(float value) {
    uint8_t got;
    float_to_e4m3(&value, 1, &got);
    check_count++;
    if (got != defined_code(value)) {
        CHECK_FAIL("%a becomes %02x, should be %02x", (double)value, got, defined_code(value));
    }
}

static void rounding(void) {
    for (unsigned code = 0; code < N_FINITE; code++) {
        const double here = defined_value(code);
        const double next = code + 1 < N_FINITE ? defined_value(code + 1) : 480;
        const float halfway = (float)((here + next) / 2), self = (float)here;
        const float around[] = {self,    nextafterf(self, 0),    nextafterf(self, 1e9F),
                                halfway, nextafterf(halfway, 0), nextafterf(halfway, 1e9F)};
        for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
            check_rounding(around[i]);
            check_rounding(-around[i]);
        }
    }
    for (int i = 0; i < 200000; i++) {
        uint32_t bits = (uint32_t)check_next(&random_state);
        if (i % 2 == 1) bits = (bits & 0x807FFFFF) | (115 + check_below(&random_state, 24)) << 23;
        float value;
        memcpy(&value, &bits, sizeof value);
        check_rounding(value);
    }
    const float ends[] = {INFINITY, -INFINITY, NAN, 3e38F, -3e38F, 1e-45F, -1e-45F};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) check_rounding(ends[i]);
}

// ---- rows

static void check_row(const float *row, size_t n) {
    uint8_t values[300];
    memset(values, 0x5A, sizeof values);
    const float scale = quantize_e4m3(row, n, values);
    double most = 0x1p-100;
    for (size_t i = 0; i < n; i++) most = isnan(row[i]) ? most : fmax(most, fabs((double)row[i]));
    CHECK(scale == (float)most / 448);
    for (size_t i = 0; i < n; i++) {
        CHECK_INT(values[i], defined_code(row[i] * (448 / (float)most)));
        if (most > 0x1p-100 && fabs((double)row[i]) == most) CHECK_INT(values[i] & 0x7F, 0x7E);
    }
    CHECK_INT(values[n], 0x5A);
}

static void rows(void) {
    float row[256];
    for (int i = 0; i < 300; i++) {
        const size_t n = 1 + check_below(&random_state, 256);
        const int size = (int)check_below(&random_state, 220) - 110;
        for (size_t j = 0; j < n; j++) {
            row[j] = ldexpf((float)check_below(&random_state, 1 << 20) / (1 << 19) - 1, size);
        }
        if (i % 5 == 0) row[check_below(&random_state, (unsigned)n)] = NAN;
        check_row(row, n);
    }
    memset(row, 0, sizeof row);
    check_row(row, 256);
    row[7] = -INFINITY;  // nothing finite comes of it
    uint8_t values[256];
    CHECK(isinf(quantize_e4m3(row, 256, values)));
    CHECK_INT(values[7], 0x7F);
}

int main(int argc, char **argv) {
    random_state.state = argc > 1 ? strtoull(argv[1], NULL, 10) : (unsigned long long)time(NULL);
    printf("seed %llu\n", random_state.state);
    every_code();
    rounding();
    rows();
    return check_result();
}
