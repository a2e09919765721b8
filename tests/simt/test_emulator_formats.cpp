// SPDX-License-Identifier: Apache-2.0
//
// The emulator's fp16 and bf16 against their definition and, where the program was built with the
// toolkit's headers, against the toolkit's own functions: every encoding, and of the 2^32 floats
// those beside each encoding with others at random. test_emulator_formats [SEED | all]
// "all": each of the 2^32 floats, some minutes.
#include <time.h>

#include <algorithm>
#include <vector>

#include "emulator/simt.h"
#include "tests/check.h"
#include "tests/simt/round_ref.h"
#include "tests/simt/toolkit_formats.h"

static check_random random_state;

// Fails for the first few differences, counts all.
static long n_different;

static void compare(const char *what, uint32_t input, uint32_t got, uint32_t want) {
    check_count++;
    if (got == want) return;
    if (n_different++ < 10)
        CHECK_FAIL("%s of %08x is %04x, should be %04x", what, input, got, want);
}

// ---- encodings

struct format_under_test {
    const char *name;
    round_format format;
    uint16_t (*encode)(float x);
    float (*decode)(uint16_t bits);
    uint16_t (*toolkit_encode)(float x);
    float (*toolkit_decode)(uint16_t bits);
};

static uint16_t half_of(float x) {
    return __half_as_ushort(__float2half_rn(x));
}
static float of_half(uint16_t bits) {
    return __half2float(__ushort_as_half(bits));
}
static uint16_t bfloat16_of(float x) {
    return __bfloat16_as_ushort(__float2bfloat16_rn(x));
}
static float of_bfloat16(uint16_t bits) {
    return __bfloat162float(__ushort_as_bfloat16(bits));
}

static const format_under_test formats[] = {
    {"half", ROUND_HALF, half_of, of_half, toolkit_half, toolkit_of_half},
    {"bfloat16", ROUND_BFLOAT16, bfloat16_of, of_bfloat16, toolkit_bfloat16, toolkit_of_bfloat16},
};

static void test_encodings(const format_under_test &one) {
    const unsigned infinity = one.format.precision == 11 ? 0x7c00 : 0x7f80;
    for (unsigned bits = 0; bits < 0x10000; bits++) {
        const float value = one.decode((uint16_t)bits);
        if ((bits & 0x7fff) > infinity) {
            CHECK(isnan(value));
            continue;
        }
        const float want = (float)decode_ref(bits, one.format);
        compare(one.name, bits, simt::bits_of_float(value), simt::bits_of_float(want));
        compare("its own encoding", bits, one.encode(value), bits);
        if (toolkit_is_there())
            compare("toolkit", bits, simt::bits_of_float(value),
                    simt::bits_of_float(one.toolkit_decode((uint16_t)bits)));
    }
}

// ---- floats

// The encoding of the definition's value: by the order of encodings, which is that of values.
static uint16_t encode_ref(float x, const std::vector<double> &values, const round_format &format) {
    const double value = fabs(round_ref(x, format));
    const auto found = std::lower_bound(values.begin(), values.end(), value);
    return (uint16_t)((unsigned)(found - values.begin()) | (signbit(x) ? 0x8000u : 0));
}

static std::vector<double> list_values(const round_format &format) {
    const unsigned infinity = format.precision == 11 ? 0x7c00 : 0x7f80;
    std::vector<double> values;
    for (unsigned bits = 0; bits <= infinity; bits++) values.push_back(decode_ref(bits, format));
    return values;
}

static void check_float(const format_under_test &one, const std::vector<double> &values,
                        uint32_t bits) {
    const float x = simt::float_of_bits(bits);
    const uint16_t got = one.encode(x);
    compare(one.name, bits, got, isnan(x) ? 0x7fff : encode_ref(x, values, one.format));
    if (toolkit_is_there()) compare("toolkit", bits, got, one.toolkit_encode(x));
}

// Around each float whose lower 16 bits are 0, which are the encodings of bf16, and around the
// middles between encodings of either format.
static void test_floats(const format_under_test &one) {
    const std::vector<double> values = list_values(one.format);
    static const uint32_t lower[] = {0,      1,      0x0fff, 0x1000, 0x1001, 0x2fff, 0x3000, 0x3001,
                                     0x7fff, 0x8000, 0x8001, 0xefff, 0xf000, 0xf001, 0xffff};
    for (uint32_t upper = 0; upper < 0x10000; upper++) {
        for (const uint32_t bits : lower) check_float(one, values, upper << 16 | bits);
        check_float(one, values, upper << 16 | (uint32_t)(check_next(&random_state) & 0xffff));
    }
}

static void test_all_floats(const format_under_test &one) {
    const std::vector<double> values = list_values(one.format);
    uint32_t bits = 0;
    do {
        check_float(one, values, bits++);
    } while (bits != 0);
}

// ---- arithmetic: rounded once

static void check_arithmetic(const format_under_test &one, uint16_t p, uint16_t q, uint16_t sum,
                             uint16_t product) {
    const double x = one.decode(p), y = one.decode(q);
    if (!isfinite(x) || !isfinite(y)) return;
    // Sums and products of two such values are exact in double where they are in range.
    compare("sum", (uint32_t)p << 16 | q, sum, one.encode((float)round_ref(x + y, one.format)));
    compare("product", (uint32_t)p << 16 | q, product,
            one.encode((float)round_ref(x * y, one.format)));
}

static void test_arithmetic(void) {
    for (int i = 0; i < 300000; i++) {
        const uint16_t p = (uint16_t)check_next(&random_state);
        // Often of like size, where sums are inexact.
        const uint16_t q =
            (uint16_t)(i % 2 ? check_next(&random_state) : p ^ check_below(&random_state, 0x2000));
        const __half a = __ushort_as_half(p), b = __ushort_as_half(q);
        check_arithmetic(formats[0], p, q, __half_as_ushort(a + b), __half_as_ushort(a * b));
        const __nv_bfloat16 c = __ushort_as_bfloat16(p), d = __ushort_as_bfloat16(q);
        check_arithmetic(formats[1], p, q, __bfloat16_as_ushort(c + d),
                         __bfloat16_as_ushort(c * d));
    }
}

// ---- pairs

static void test_pairs(void) {
    const float x = 1.00390625f, y = -3e5f;
    const float2 halves = __half22float2(__floats2half2_rn(x, y));
    CHECK(halves.x == of_half(half_of(x)) && halves.y == of_half(half_of(y)));
    const __nv_bfloat162 pair = __floats2bfloat162_rn(x, y);
    const float2 values = __bfloat1622float2(pair);
    CHECK(values.x == of_bfloat16(bfloat16_of(x)) && values.y == of_bfloat16(bfloat16_of(y)));
    CHECK(__low2float(pair) == values.x && __high2float(pair) == values.y);
    uint32_t word;
    memcpy(&word, &pair, sizeof word);
    CHECK_INT(word, (uint32_t)bfloat16_of(y) << 16 | bfloat16_of(x));
}

int main(int argc, char **argv) {
    const bool is_whole = argc > 1 && strcmp(argv[1], "all") == 0;
    const unsigned long long seed =
        argc > 1 ? strtoull(argv[1], nullptr, 10) : (unsigned long long)time(nullptr);
    random_state.state = seed;
    printf("seed %llu; %s the toolkit's functions\n", seed,
           toolkit_is_there() ? "compared with" : "built without");
    for (const format_under_test &one : formats) {
        test_encodings(one);
        if (is_whole) {
            test_all_floats(one);
        } else {
            test_floats(one);
        }
    }
    test_arithmetic();
    test_pairs();
    return check_result();
}
