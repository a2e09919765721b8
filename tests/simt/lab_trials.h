// SPDX-License-Identifier: Apache-2.0
//
// The lab's kernels with inputs and what they should give, on the emulator or on a device: all here
// goes through device.h. Inputs are such that each result is exact.
#ifndef WADER_TESTS_SIMT_LAB_TRIALS_H
#define WADER_TESTS_SIMT_LAB_TRIALS_H

#include <functional>
#include <vector>

#include "tests/check.h"
#include "tests/simt/lab.h"

typedef std::vector<unsigned char> bytes_of;

struct lab_trial {
    bytes_of a, b, want;
    int n;
};

struct lab_kernel {
    const char *name;
    int (*launch)(const lab_args *args);
    lab_trial (*make)(check_random *random);
};
enum { LAB_KERNELS = 10 };
extern const lab_kernel lab_kernels[LAB_KERNELS];

// Whether the launch succeeds and the result is what it should be. `launch` may change the
// arguments; if it frees `a`, it makes it NULL.
bool run_trial(const lab_trial &trial, const std::function<int(lab_args *args)> &launch);

#endif
