// SPDX-License-Identifier: Apache-2.0
//
// What test_forward needs beside cuda/runtime.h and cuda/matmul.h: on the emulator (runtime_sync.c)
// and on a device (tests/gpu/products_cuda.c).
#ifndef WADER_TESTS_SIMT_RUNTIME_SYNC_H
#define WADER_TESTS_SIMT_RUNTIME_SYNC_H

#include <stdbool.h>

#include "tests/check.h"

enum { RUNTIME_SYNC_FAILURE = 700 };

// What products are made of, until it is closed: one at a time. NULL on the emulator.
struct matmul_context;
struct matmul_context *runtime_sync_open(void);
void runtime_sync_close(struct matmul_context *context);

// After n more products one fails with RUNTIME_SYNC_FAILURE; -1: none. False where none can be made
// to fail: on a device.
bool runtime_sync_fail_product(int n);

// By how much of their scale fp32 logits may be further off than with the emulator's products,
// whose sums are in double. The CPU encoder's logits, of products like a device's, are held to 1e-5
// by tests/unit/test_encoder.c.
double runtime_sync_tolerance(void);

#endif
