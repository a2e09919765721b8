// SPDX-License-Identifier: Apache-2.0
//
// Every value of both 16-bit formats, against their definitions computed in another way.
#include "weights/dtype.h"

#include <stdint.h>
#include <sys/mman.h>

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

int main(void) {
    every_value(DTYPE_F16, 5, 10);
    every_value(DTYPE_BF16, 8, 7);
    parts();
    names_and_sizes();
    forgetting();
    return check_result();
}
