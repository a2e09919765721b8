// SPDX-License-Identifier: Apache-2.0
//
// The lab's kernels give the results that they should, on the emulator and, linked with a device's
// device.h, there: that the emulator is like a device is proven by both. test_lab [SEED]
#include <time.h>

#include "tests/simt/device.h"
#include "tests/simt/lab_trials.h"

enum { REPEATS = 20 };

int main(int argc, char **argv) {
    const unsigned long long seed =
        argc > 1 ? strtoull(argv[1], nullptr, 10) : (unsigned long long)time(nullptr);
    const char *why_not;
    if (!device_open(&why_not)) return check_skip(why_not);
    printf("seed %llu\n", seed);
    check_random random = {seed};
    for (int i = 0; i < REPEATS; i++) {
        for (const lab_kernel &one : lab_kernels) {
            check_count++;
            if (!run_trial(one.make(&random), one.launch))
                CHECK_FAIL("kernel %s gives wrong results", one.name);
            CHECK_INT(device_faults(), 0);
        }
    }
    return check_result();
}
