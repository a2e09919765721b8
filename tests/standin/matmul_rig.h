// SPDX-License-Identifier: Apache-2.0
//
// For tests of cuda/matmul.h: a device with a stream, operands, a product from floats to bits, and
// processes of their own for the parts of a test, since the stand-in reads its environment once.
#ifndef WADER_TESTS_STANDIN_MATMUL_RIG_H
#define WADER_TESTS_STANDIN_MATMUL_RIG_H

#include "cuda/matmul.h"
#include "tests/check.h"

struct matmul_rig {
    struct cuda_device device;
    struct matmul_choices *choices;
    struct matmul_context *context;
    struct CUstream_st *stream;
    void *workspace;
};

// Values that the operands' format holds.
struct operands {
    int32_t n_rows;
    float *x, *weight, *bias;
};

enum { RIG_KINDS = 11 };
extern const struct matmul_shape rig_kinds[RIG_KINDS];  // every kind of product, small
extern struct check_random rig_random;

// Runs `part` in a process with these variables ("A=1 B=2"); returns its exit status, which is not
// 0 when a check failed, none was made, or the stand-in found something left over; -1: a signal.
int rig_part_of(void (*part)(void), const char *environment, const int *n_failures,
                const long *n_checks);
#define rig_part(part, environment) rig_part_of(part, environment, &check_failures, &check_count)
#define RIG_PART(part, environment) CHECK_INT(rig_part(part, environment), 0)

struct cuda_device rig_device(int32_t index);
struct matmul_choices *rig_choices(void);

// As matmul_open; nothing is left open where that fails.
enum status rig_open(struct matmul_rig *rig, struct matmul_choices *choices, int32_t index,
                     int *code, struct error *error);
void rig_close(struct matmul_rig *rig);
// Device 0 with choices of its own.
void rig_open_all(struct matmul_rig *rig);
void rig_close_all(struct matmul_rig *rig);

struct operands rig_operands(const struct matmul_shape *shape, int32_t n_rows);
// `n` rows of `all`, chosen at random: from[i] is where row i comes from.
struct operands rig_pick_rows(const struct matmul_shape *shape, const struct operands *all,
                              int32_t n, int32_t *from);
void rig_free(struct operands *operands);
void rig_round(float *values, size_t n, enum dtype dtype);  // to what `dtype` holds

// The product's bits, [rows, out]; free() them. Another product each time, memory of its own.
void *rig_run(const struct matmul_rig *rig, const struct matmul_shape *shape,
              const struct operands *operands);
// That `y` is the product, as near as its arithmetic leaves it.
void rig_compare(const struct matmul_shape *shape, const struct operands *operands, const void *y);

#endif
