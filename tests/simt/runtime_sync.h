// SPDX-License-Identifier: Apache-2.0
//
// See runtime_sync.c.
#ifndef WADER_TESTS_SIMT_RUNTIME_SYNC_H
#define WADER_TESTS_SIMT_RUNTIME_SYNC_H

#include "tests/check.h"

enum { RUNTIME_SYNC_FAILURE = 700 };

// After n more products one fails with RUNTIME_SYNC_FAILURE; -1: none.
void runtime_sync_fail_product(int n);

#endif
