// SPDX-License-Identifier: Apache-2.0
//
// What the tests of kernels share: arguments and seed, arrays that live on the host and on the
// device, the comparison with what kernel_ref.h expects. One rig a program, one thread. Functions
// that find fault say so on stderr and return false: the test wraps them in CHECK.
//
//   usage of each test: test_NAME [--seed N] [--cases N] [--digest]
//     --seed N    replays a run; without it every run draws fresh inputs and prints its seed
//     --cases N   repeats everything N times with fresh inputs; the default is 1
//     --every-length  attention to titles of 65 to 512 tokens, each length once, and nothing else
//     --digest    prints a digest of all that the kernels wrote: the same for every schedule
#ifndef WADER_TESTS_SIMT_RIG_H
#define WADER_TESTS_SIMT_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/base/base.h"
#include "tests/check.h"
#include "weights/model.h"

enum { RIG_GO = -1 };
enum { CUDA_SUCCESS = 0, CUDA_ERROR_INVALID_VALUE = 1 };  // of cudaError_t

// Reads the arguments and opens the device. RIG_GO, or the code to exit with.
int rig_open(int argc, char **argv);
int rig_n_cases(void);
// Formats that this device's kernel_attention takes, from DTYPE_F32 on: all but perhaps DTYPE_BF16.
int rig_n_dtypes(void);
bool rig_has_e4m3(void);  // whether kernels can write it here
bool rig_wants_every_length(void);
void rig_digest(const void *bytes, size_t nbytes);  // adds to it; rig_fetch does so by itself
void rig_report(void);  // how near the results came to what is allowed; the digest if wanted

// ---- random numbers

uint64_t rig_bits(void);
int rig_below(int n);  // 0 to n - 1
bool rig_one_in(int n);
double rig_uniform(double low, double high);
void rig_fill(float *out, size_t n, double low, double high);
void rig_shuffle(int32_t *values, int32_t n);

// ---- refusals

// A launcher refuses its good arguments with one field changed. `kernel` names both the function
// and the structure of its arguments.
#define RIG_REFUSES(kernel, good, field, value)                  \
    do {                                                         \
        struct kernel bad = good;                                \
        bad.field = (value);                                     \
        CHECK_INT(kernel(&bad, NULL), CUDA_ERROR_INVALID_VALUE); \
    } while (0)
// A pointer that is NULL or not aligned to 16 bytes.
#define RIG_REFUSES_POINTER(kernel, good, field)                              \
    do {                                                                      \
        RIG_REFUSES(kernel, good, field, NULL);                               \
        RIG_REFUSES(kernel, good, field, (void *)((char *)(good).field + 8)); \
        RIG_REFUSES(kernel, good, field, (void *)((char *)(good).field + 4)); \
    } while (0)
static const int32_t rig_no_hidden_sizes[] = {-64, 0, 32, 63, 65, 72, 80, 1056, 2048};

// ---- arrays

// Around an array lie no bytes or some hundred, whichever the dice say: without them a step beyond
// its end is a step beyond the allocation, with them it is seen here. Bytes of inputs are NaN
// there, in each format; those of arrays that kernels write are RIG_MARK, a large negative number.
enum { RIG_NAN = 0xFF, RIG_MARK = 0xDA };

struct rig_array {
    enum dtype dtype;
    size_t n;
    float *values;  // [n] what the elements are, exactly
    void *bits;     // [n] the elements as they were last sent or fetched
    void *device;   // [n] elements on the device, undefined until sent or marked
    unsigned char *memory;
    size_t n_guard;  // bytes before the elements, and behind
    unsigned char guard;
};

struct rig_array rig_input(enum dtype dtype, size_t n);
struct rig_array rig_output(enum dtype dtype, size_t n);
void rig_free(struct rig_array *array);

void rig_send(struct rig_array *array);       // rounds `values` to the format and writes them
void rig_send_bits(struct rig_array *array);  // writes `bits`, whatever they mean
void rig_mark(struct rig_array *array);       // fills it with RIG_MARK
bool rig_fetch(struct rig_array *array);      // false: the bytes around it were written
bool rig_is_unchanged(const struct rig_array *array);  // since it was last sent or marked
bool rig_is_marked(const struct rig_array *array, size_t first, size_t n);  // as fetched
bool rig_is_nan(const struct rig_array *array, size_t first, size_t n);     // as fetched
bool rig_same_bits(const struct rig_array *a, size_t first_a, const struct rig_array *b,
                   size_t first_b, size_t n);

// A device copy of exactly n integers; device_free() it.
int32_t *rig_int32(const int32_t *values, size_t n);

// Row numbers this far up reach beyond 2^32 elements. A matrix of which only the rows from RIG_FAR
// on exist begins rig_before(them, ...): a kernel that counts in 32 bits misses them.
enum { RIG_FAR = 1 << 30 };
static inline void *rig_before(const void *rows, enum dtype dtype, size_t n_elements) {
    return (void *)((uintptr_t)rows - n_elements * (dtype == DTYPE_F32 ? 4 : 2));
}

void *rig_alloc(size_t n, size_t size);  // on the host, zeros; ends the program when there is none

// ---- expectations

// What elements should be and by how much they may miss that before they are rounded to their
// format. Where `want` is NaN, NaN is asked for.
struct rig_expected {
    double *want, *allowed;  // [n]
};
struct rig_expected rig_expected(size_t n);
void rig_expected_free(struct rig_expected *expected);

// Elements `first` to `first + n - 1` of what was fetched: each must be the rounding of a number
// within `allowed` of `want`. `what` is for the message.
bool rig_compare(const char *what, const struct rig_array *got, size_t first, size_t n,
                 const struct rig_expected *expected);

// ---- rows of a LayerNorm

// What two addends of a row are like, each as `dtype` stores it.
enum rig_row_kind {
    ROW_USUAL,
    ROW_FAR,       // 1e4 and a spread of 10
    ROW_CONSTANT,  // variance 0
    ROW_ZERO,      // zeros of both signs
    ROW_TINY,      // subnormal numbers
    ROW_LARGE,     // near the largest of F16, else some 1e15
    ROW_SPIKE,     // one value far above the others
    ROW_COLUMN,    // the column's number
    ROW_CANCEL,    // addends that nearly cancel
    ROW_KINDS
};
void rig_fill_row(enum rig_row_kind kind, enum dtype dtype, float *a, float *b, int32_t n);

#endif
