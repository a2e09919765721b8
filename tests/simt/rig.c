// SPDX-License-Identifier: Apache-2.0
#include "tests/simt/rig.h"

#include <inttypes.h>
#include <time.h>

#include "tests/check.h"
#include "tests/simt/device.h"
#include "tests/simt/kernel_ref.h"
#include "weights/dtype.h"

enum { N_DTYPES = 3, GUARDS_MAX = 24, GUARD_NBYTES = 16 };

struct tally {
    uint64_t n;
    double worst, sum;  // of errors as shares of what is allowed, rounding included
};

static struct check_random random_state;
static int n_cases = 1;
static bool wants_digest, wants_every_length;
static uint64_t digest = UINT64_C(0xcbf29ce484222325);
static struct tally tallies[N_DTYPES];

int rig_open(int argc, char **argv) {
    struct timespec now;  // to the nanosecond: programs that begin together draw apart
    clock_gettime(CLOCK_REALTIME, &now);
    unsigned long long seed =
        (unsigned long long)now.tv_sec * 1000000000ULL + (unsigned long long)now.tv_nsec;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--digest") == 0) {
            wants_digest = true;
        } else if (strcmp(argv[i], "--every-length") == 0) {
            wants_every_length = true;
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            seed = strtoull(argv[++i], NULL, 0);
        } else if (strcmp(argv[i], "--cases") == 0 && i + 1 < argc) {
            n_cases = atoi(argv[++i]);
        } else {
            fprintf(stderr, "usage: %s [--seed N] [--cases N] [--digest] [--every-length]\n",
                    argv[0]);
            return 2;
        }
    }
    const char *why_not = "";
    if (!device_open(&why_not)) return check_skip(why_not);
    random_state.state = seed;
    printf("seed %llu\n", seed);
    return RIG_GO;
}

bool rig_wants_every_length(void) {
    return wants_every_length;
}

int rig_n_cases(void) {
    return n_cases;
}

int rig_n_dtypes(void) {
    return device_multiplies_bf16() ? N_DTYPES : DTYPE_BF16;
}

bool rig_has_e4m3(void) {
    return device_writes_e4m3();
}

void rig_report(void) {
    for (int dtype = 0; dtype < N_DTYPES; dtype++) {
        const struct tally *tally = &tallies[dtype];
        if (tally->n == 0) continue;
        printf(
            "%-4s %9" PRIu64 " elements; errors as shares of the allowed: worst %.3f, mean %.3f\n",
            dtype_name((enum dtype)dtype), tally->n, tally->worst, tally->sum / (double)tally->n);
    }
    if (wants_digest) printf("digest %016" PRIx64 "\n", digest);
}

// ---- random numbers

uint64_t rig_bits(void) {
    return check_next(&random_state);
}

int rig_below(int n) {
    return (int)check_below(&random_state, (unsigned)n);
}

bool rig_one_in(int n) {
    return rig_below(n) == 0;
}

double rig_uniform(double low, double high) {
    return low + (high - low) * ((double)(rig_bits() >> 11) * 0x1p-53);
}

void rig_fill(float *out, size_t n, double low, double high) {
    for (size_t i = 0; i < n; i++) out[i] = (float)rig_uniform(low, high);
}

void rig_shuffle(int32_t *values, int32_t n) {
    for (int32_t i = n - 1; i > 0; i--) {
        const int32_t other = rig_below(i + 1), value = values[i];
        values[i] = values[other];
        values[other] = value;
    }
}

// ---- arrays

void *rig_alloc(size_t n, size_t size) {
    void *memory = calloc(n > 0 ? n : 1, size);
    if (memory == NULL) abort();
    return memory;
}

static size_t array_nbytes(const struct rig_array *array) {
    return array->n * dtype_size(array->dtype);
}

static struct rig_array array_create(enum dtype dtype, size_t n, unsigned char guard) {
    struct rig_array array = {.dtype = dtype, .n = n, .guard = guard};
    array.values = rig_alloc(n, sizeof *array.values);
    array.bits = rig_alloc(n, dtype_size(dtype));
    array.n_guard = rig_one_in(2) ? 0 : (size_t)(1 + rig_below(GUARDS_MAX)) * GUARD_NBYTES;
    array.memory = device_alloc(array_nbytes(&array) + 2 * array.n_guard);
    array.device = array.memory + array.n_guard;
    if (array.n_guard > 0) {
        unsigned char bytes[GUARDS_MAX * GUARD_NBYTES];
        memset(bytes, guard, sizeof bytes);
        device_write(array.memory, bytes, array.n_guard);
        device_write(array.memory + array.n_guard + array_nbytes(&array), bytes, array.n_guard);
    }
    return array;
}

struct rig_array rig_input(enum dtype dtype, size_t n) {
    return array_create(dtype, n, RIG_NAN);
}

struct rig_array rig_output(enum dtype dtype, size_t n) {
    return array_create(dtype, n, RIG_MARK);
}

void rig_free(struct rig_array *array) {
    device_free(array->memory);
    free(array->bits);
    free(array->values);
}

static void read_bits(struct rig_array *array) {
    switch (array->dtype) {
        case DTYPE_F32:
            memcpy(array->values, array->bits, array_nbytes(array));
            return;
        case DTYPE_F16:
            f16_to_float(array->bits, array->n, array->values);
            return;
        case DTYPE_BF16:
            bf16_to_float(array->bits, array->n, array->values);
            return;
        case DTYPE_E4M3:
            e4m3_to_float(array->bits, array->n, array->values);
            return;
    }
}

void rig_send_bits(struct rig_array *array) {
    read_bits(array);
    device_write(array->device, array->bits, array_nbytes(array));
}

void rig_send(struct rig_array *array) {
    switch (array->dtype) {
        case DTYPE_F32:
            memcpy(array->bits, array->values, array_nbytes(array));
            break;
        case DTYPE_F16:
            float_to_f16(array->values, array->n, array->bits);
            break;
        case DTYPE_BF16:
            float_to_bf16(array->values, array->n, array->bits);
            break;
        case DTYPE_E4M3:
            float_to_e4m3(array->values, array->n, array->bits);
            break;
    }
    rig_send_bits(array);
}

void rig_mark(struct rig_array *array) {
    memset(array->bits, RIG_MARK, array_nbytes(array));
    rig_send_bits(array);
}

static bool is_guard_whole(const struct rig_array *array, const unsigned char *from) {
    unsigned char bytes[GUARDS_MAX * GUARD_NBYTES];
    device_read(bytes, from, array->n_guard);
    for (size_t i = 0; i < array->n_guard; i++) {
        if (bytes[i] == array->guard) continue;
        fprintf(stderr, "a byte %s an array was written\n",
                from == array->memory ? "before" : "behind");
        return false;
    }
    return true;
}

static bool are_guards_whole(const struct rig_array *array) {
    if (array->n_guard == 0) return true;
    return is_guard_whole(array, array->memory) &&
           is_guard_whole(array, array->memory + array->n_guard + array_nbytes(array));
}

void rig_digest(const void *bytes, size_t nbytes) {
    const unsigned char *at = bytes;
    for (size_t i = 0; i < nbytes; i++)
        digest = (digest ^ at[i]) * UINT64_C(0x100000001b3);  // FNV-1a
}

bool rig_fetch(struct rig_array *array) {
    device_read(array->bits, array->device, array_nbytes(array));
    read_bits(array);
    rig_digest(array->bits, array_nbytes(array));
    return are_guards_whole(array);
}

bool rig_is_unchanged(const struct rig_array *array) {
    void *now = rig_alloc(array->n, dtype_size(array->dtype));
    device_read(now, array->device, array_nbytes(array));
    const bool is_same = memcmp(now, array->bits, array_nbytes(array)) == 0;
    free(now);
    return is_same && are_guards_whole(array);
}

bool rig_is_marked(const struct rig_array *array, size_t first, size_t n) {
    const size_t size = dtype_size(array->dtype);
    const unsigned char *bytes = array->bits;
    for (size_t i = first * size; i < (first + n) * size; i++) {
        if (bytes[i] != RIG_MARK) return false;
    }
    return true;
}

bool rig_is_nan(const struct rig_array *array, size_t first, size_t n) {
    for (size_t i = first; i < first + n; i++) {
        if (!isnan(array->values[i])) return false;
    }
    return true;
}

bool rig_same_bits(const struct rig_array *a, size_t first_a, const struct rig_array *b,
                   size_t first_b, size_t n) {
    const size_t size = dtype_size(a->dtype);
    const unsigned char *left = (const unsigned char *)a->bits + first_a * size;
    const unsigned char *right = (const unsigned char *)b->bits + first_b * size;
    for (size_t i = 0; i < n; i++) {
        if (memcmp(left + i * size, right + i * size, size) == 0) continue;
        fprintf(stderr, "element %zu of %zu: %.9g there, %.9g here\n", i, n,
                (double)a->values[first_a + i], (double)b->values[first_b + i]);
        return false;
    }
    return true;
}

int32_t *rig_int32(const int32_t *values, size_t n) {
    int32_t *device = device_alloc(n * sizeof *device);
    device_write(device, values, n * sizeof *device);
    return device;
}

// ---- expectations

struct rig_expected rig_expected(size_t n) {
    return (struct rig_expected){rig_alloc(n, sizeof(double)), rig_alloc(n, sizeof(double))};
}

void rig_expected_free(struct rig_expected *expected) {
    free(expected->want);
    free(expected->allowed);
}

// Counts the error of one element; false where it is too large. Rounding never turns the order of
// two numbers round, so the bounds rounded are the bounds of what may be stored.
static bool tally_element(struct tally *tally, enum dtype dtype, double got, double want,
                          double allowed) {
    if (isnan(want)) return isnan(got);
    const double low = ref_round(dtype, want - allowed), high = ref_round(dtype, want + allowed);
    if (!(got >= low && got <= high)) return false;
    const double bound = allowed + 0.5 * ref_spacing(dtype, want);
    const double share = isfinite(got) && bound > 0 ? fabs(got - want) / bound : 0;
    tally->n++;
    tally->sum += share;
    tally->worst = fmax(tally->worst, share);
    return true;
}

bool rig_compare(const char *what, const struct rig_array *got, size_t first, size_t n,
                 const struct rig_expected *expected) {
    size_t n_wrong = 0, n_nan = 0, first_wrong = 0;
    double worst = 0, sum = 0;
    for (size_t i = first; i < first + n; i++) {
        const double is = got->values[i], want = expected->want[i];
        if (tally_element(&tallies[got->dtype], got->dtype, is, want, expected->allowed[i])) {
            continue;
        }
        if (n_wrong++ == 0) first_wrong = i;
        if (isnan(is)) n_nan++;
        if (isnan(is) || isnan(want)) continue;
        worst = fmax(worst, fabs(is - want));
        sum += fabs(is - want);
    }
    if (n_wrong == 0) return true;
    fprintf(stderr,
            "%s, %s: %zu of %zu wrong, %zu of them NaN; errors: worst %g, mean %g; first at %zu: "
            "%.9g, should be %.9g within %g\n",
            what, dtype_name(got->dtype), n_wrong, n, n_nan, worst, sum / (double)n_wrong,
            first_wrong - first, (double)got->values[first_wrong], expected->want[first_wrong],
            expected->allowed[first_wrong]);
    return false;
}

// ---- rows of a LayerNorm

void rig_fill_row(enum rig_row_kind kind, enum dtype dtype, float *a, float *b, int32_t n) {
    const double level = rig_uniform(-3, 3);
    const double large = dtype == DTYPE_F16 ? 65504 : 1e15;
    const double tiny = dtype == DTYPE_F16 ? 0x1p-15 : 0x1p-127;
    for (int32_t i = 0; i < n; i++) {
        a[i] = (float)rig_uniform(-2, 2);
        b[i] = (float)rig_uniform(-1, 1);
        if (kind == ROW_FAR) a[i] = (float)rig_uniform(9990, 10010);
        if (kind == ROW_CONSTANT) a[i] = (float)level;
        if (kind == ROW_CONSTANT) b[i] = 1;
        if (kind == ROW_ZERO) a[i] = rig_one_in(2) ? 0.0F : -0.0F;
        if (kind == ROW_ZERO) b[i] = rig_one_in(2) ? 0.0F : -0.0F;
        if (kind == ROW_TINY) a[i] = (float)rig_uniform(-tiny, tiny);
        if (kind == ROW_TINY) b[i] = (float)rig_uniform(-tiny, tiny);
        if (kind == ROW_LARGE) a[i] = (float)rig_uniform(-large, large);
        if (kind == ROW_LARGE) b[i] = (float)(rig_one_in(2) ? large : -large);
        if (kind == ROW_COLUMN) a[i] = (float)(i % 256);
        if (kind == ROW_COLUMN) b[i] = (float)(i / 256);
        if (kind == ROW_CANCEL) b[i] = -a[i] * (float)(1 + level * 0x1p-6);
    }
    if (kind == ROW_SPIKE) a[rig_below(n)] = 1e4F;
}
