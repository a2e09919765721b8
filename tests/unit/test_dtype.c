// SPDX-License-Identifier: Apache-2.0
//
// Every value of both 16-bit formats, against their definitions computed in another way; floats
// rounded to them, around every boundary and at random: test_dtype [SEED].
#include "weights/dtype.h"

#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/check.h"

// sign, `exponent_bits` and `fraction_bits` as IEEE 754 defines them, with ldexp; exact in double.
static double defined_value(unsigned bits, int exponent_bits, int fraction_bits) {
    int bias = (1 << (exponent_bits - 1)) - 1, top = (1 << exponent_bits) - 1;
    int exponent = (int)(bits >> fraction_bits) & top;
    double fraction = bits & ((1U << fraction_bits) - 1);
    double sign = bits >> (exponent_bits + fraction_bits) ? -1.0 : 1.0;
    if (exponent == top) return fraction != 0 ? (double)NAN : sign * (double)INFINITY;
    if (exponent == 0) return sign * ldexp(fraction, 1 - bias - fraction_bits);
    return sign * ldexp(1.0 + ldexp(fraction, -fraction_bits), exponent - bias);
}

static void every_value(enum dtype dtype, int exponent_bits, int fraction_bits) {
    static uint16_t in[65536];
    static float out[65536];
    for (unsigned i = 0; i < 65536; i++) in[i] = (uint16_t)i;
    tensor_read((struct tensor){in, 65536, dtype}, 0, 65536, out);
    for (unsigned i = 0; i < 65536; i++) {
        double want = defined_value(i, exponent_bits, fraction_bits), got = out[i];
        if (isnan(want)) {
            uint32_t bits;
            memcpy(&bits, &out[i], sizeof bits);
            CHECK(isnan(got));
            CHECK_INT(bits >> 31, i >> 15);
            CHECK_INT(bits << 9 >> 9, (i & ((1U << fraction_bits) - 1)) << (23 - fraction_bits));
        } else {
            CHECK(got == want && !signbit(got) == !signbit(want));
        }
    }
}

// ---- from float

// A 16-bit format, and the two functions under test.
struct format {
    int exponent_bits, fraction_bits;
    void (*from_float)(const float *in, size_t n, uint16_t *out);
    void (*to_float)(const void *in, size_t n, float *out);
};

static const struct format formats[] = {
    {5, 10, float_to_f16, f16_to_float},
    {8, 7, float_to_bf16, bf16_to_float},
};

// `value` rounded as IEEE 754 says: to a multiple of the last place of its binade (or of the
// smallest normal one), ties to even; past the largest finite value by half a place or more, to
// infinity. All steps but nearbyint are exact in double.
static double defined_rounding(const struct format *format, double value) {
    int bias = (1 << (format->exponent_bits - 1)) - 1;
    if (value == 0 || isinf(value)) return value;
    int exponent = ilogb(value) < 1 - bias ? 1 - bias : ilogb(value);
    int place = exponent - format->fraction_bits;
    double rounded = ldexp(nearbyint(ldexp(value, -place)), place);
    return fabs(rounded) >= ldexp(1, bias + 1) ? copysign((double)INFINITY, value) : rounded;
}

static void check_rounding(const struct format *format, float value) {
    uint16_t bits;
    format->from_float(&value, 1, &bits);
    double got = defined_value(bits, format->exponent_bits, format->fraction_bits);
    if (isnan(value)) {
        uint32_t from;
        memcpy(&from, &value, sizeof from);
        unsigned fraction = from >> (23 - format->fraction_bits);
        unsigned quiet = 1U << (format->fraction_bits - 1), mask = 2 * quiet - 1;
        CHECK(isnan(got));
        CHECK_INT(bits >> 15, from >> 31);
        CHECK_INT(bits & mask, (fraction & mask) | quiet);
        return;
    }
    double want = defined_rounding(format, value);
    check_count++;
    if (got != want || !signbit(got) != !signbit(value)) {
        CHECK_FAIL("%a becomes %04x, %a; should be %a", (double)value, bits, got, want);
    }
}

static float next_float(float value, int steps) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits += (uint32_t)steps;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// Every value becomes itself. Halfway to the next (past the largest: to where the next one would
// be) and the floats on both sides are rounded right.
static void rounding_boundaries(const struct format *format) {
    const unsigned n_finite = ((1U << format->exponent_bits) - 1) << format->fraction_bits;
    for (unsigned i = 0; i < 65536; i++) {
        uint16_t in = (uint16_t)i, out;
        float value;
        format->to_float(&in, 1, &value);
        format->from_float(&value, 1, &out);
        CHECK_INT(out, isnan(value) ? i | (1U << (format->fraction_bits - 1)) : i);
        for (int steps = -2; steps <= 2; steps++) {
            if ((i & 0x7FFF) > 0 && (i & 0x7FFF) <= n_finite) {
                check_rounding(format, next_float(value, steps));
            }
        }
        if ((i & 0x7FFF) >= n_finite) continue;
        double here = value,
               past = defined_value(i + 1, format->exponent_bits, format->fraction_bits);
        if (isinf(past)) past = copysign(ldexp(1, 1 << (format->exponent_bits - 1)), here);
        float halfway = (float)(here / 2 + past / 2);
        CHECK(2 * (double)halfway == here + past);
        for (int steps = -2; steps <= 2; steps++) {
            check_rounding(format, next_float(halfway, steps));
        }
    }
}

enum { N_RANDOM = 1000000 };

// Random bits of a float: all exponents are as likely, NaNs of all kinds among them. As many again
// with the exponents that the narrow range of binary16 needs.
static void rounding_at_random(const struct format *format, struct check_random *random) {
    for (int i = 0; i < 2 * N_RANDOM; i++) {
        uint32_t bits = (uint32_t)check_next(random);
        if (i % 2 == 1) bits = (bits & 0x807FFFFF) | (100 + check_below(random, 45)) << 23;
        float value;
        memcpy(&value, &bits, sizeof value);
        check_rounding(format, value);
    }
}

// An array is rounded element by element, whatever its length.
static void rounding_arrays(const struct format *format, struct check_random *random) {
    enum { N_MOST = 70 };
    float in[N_MOST] = {0};
    uint16_t out[N_MOST + 1], one;
    for (size_t n = 0; n <= N_MOST; n++) {
        for (size_t i = 0; i < n; i++) {
            uint32_t bits = (uint32_t)check_next(random);
            memcpy(&in[i], &bits, sizeof bits);
        }
        memset(out, 0x5A, sizeof out);
        format->from_float(in, n, out);
        for (size_t i = 0; i < n; i++) {
            format->from_float(&in[i], 1, &one);
            CHECK_INT(out[i], one);
        }
        CHECK_INT(out[n], 0x5A5A);
    }
}

// Some by hand, so that the reference above is held to something too.
static void rounding_by_hand(void) {
    static const struct {
        float value;
        uint16_t f16, bf16;
    } cases[] = {
        {0.0F, 0x0000, 0x0000},        {-0.0F, 0x8000, 0x8000},
        {1.0F, 0x3C00, 0x3F80},        {-2.0F, 0xC000, 0xC000},
        {65504.0F, 0x7BFF, 0x4780},    {65519.996F, 0x7BFF, 0x4780},
        {65520.0F, 0x7C00, 0x4780},    {1e38F, 0x7C00, 0x7E96},
        {0x1p-14F, 0x0400, 0x3880},    {0x1p-24F, 0x0001, 0x3380},
        {0x1p-25F, 0x0000, 0x3300},    {0x1.000002p-25F, 0x0001, 0x3300},
        {0x1.8p-24F, 0x0002, 0x33C0},  {0x1p-149F, 0x0000, 0x0000},
        {0x1p-133F, 0x0000, 0x0001},   {0x1.fep127F, 0x7C00, 0x7F7F},
        {0x1.ffp127F, 0x7C00, 0x7F80}, {-INFINITY, 0xFC00, 0xFF80},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint16_t got;
        float_to_f16(&cases[i].value, 1, &got);
        CHECK_INT(got, cases[i].f16);
        float_to_bf16(&cases[i].value, 1, &got);
        CHECK_INT(got, cases[i].bf16);
    }
}

// ---- parts of tensors

// Any part, of any length, from any address, is what it is in the whole.
static void parts(void) {
    static char bytes[4 * 200 + 8];
    struct check_random random = {3};
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)check_next(&random);
    for (enum dtype dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        for (size_t shift = 0; shift < 4; shift++) {
            struct tensor tensor = {bytes + shift, 200, dtype};
            float all[200], part[64];
            tensor_read(tensor, 0, 200, all);
            for (size_t first = 0; first < 137; first += 7) {
                for (size_t n = 0; n < 64; n++) {
                    memset(part, 0x5A, sizeof part);
                    tensor_read(tensor, first, n, part);
                    CHECK(memcmp(part, all + first, n * sizeof *part) == 0);
                    if (n < 63) CHECK(((unsigned char *)&part[n])[0] == 0x5A);
                }
            }
            tensor_read(tensor, 200, 0, part);
        }
    }
}

static void names_and_sizes(void) {
    CHECK_INT(dtype_size(DTYPE_F32), 4);
    CHECK_INT(dtype_size(DTYPE_F16), 2);
    CHECK_INT(dtype_size(DTYPE_BF16), 2);
    CHECK_STR(dtype_name(DTYPE_F32), "F32");
    CHECK_STR(dtype_name(DTYPE_F16), "F16");
    CHECK_STR(dtype_name(DTYPE_BF16), "BF16");
}

// Only whole pages inside the tensor go, and a mapped file gives them back as they were.
static void forgetting(void) {
    FILE *file = tmpfile();
    const size_t n = 40000;
    for (size_t i = 0; i < n; i++) {
        float value = (float)i;
        fwrite(&value, sizeof value, 1, file);
    }
    fflush(file);
    char *map = mmap(NULL, 4 * n, PROT_READ, MAP_PRIVATE, fileno(file), 0);
    CHECK(map != MAP_FAILED);
    for (size_t begin = 0; begin < 3; begin++) {
        struct tensor tensor = {map + 4 * (begin * 1000), n - 1000 * begin - 5, DTYPE_F32};
        tensor_forget(tensor);
        for (size_t i = 0; i < tensor.n_elements; i += 97) {
            float got;
            tensor_read(tensor, i, 1, &got);
            CHECK(got == (float)(i + begin * 1000));
        }
    }
    // An anonymous page that the tensor shares with something else keeps its bytes.
    size_t page = 4096;
    char *memory = mmap(NULL, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(memory, 7, 4 * page);
    tensor_forget((struct tensor){memory + 4, (3 * page) / 4, DTYPE_F32});
    CHECK_INT(memory[0], 7);
    CHECK_INT(memory[page - 1], 7);
    CHECK_INT(memory[page], 0);
    CHECK_INT(memory[3 * page - 1], 0);
    CHECK_INT(memory[3 * page], 7);
    tensor_forget((struct tensor){memory + 3 * page + 8, 3, DTYPE_F32});
    CHECK_INT(memory[3 * page], 7);
    munmap(memory, 4 * page);
    munmap(map, 4 * n);
    fclose(file);
}

int main(int argc, char **argv) {
    struct check_random random = {argc > 1 ? strtoull(argv[1], NULL, 0)
                                           : (unsigned long long)time(NULL)};
    printf("seed %llu\n", random.state);
    every_value(DTYPE_F16, 5, 10);
    every_value(DTYPE_BF16, 8, 7);
    rounding_by_hand();
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        rounding_boundaries(&formats[i]);
        rounding_at_random(&formats[i], &random);
        rounding_arrays(&formats[i], &random);
    }
    parts();
    names_and_sizes();
    forgetting();
    return check_result();
}
