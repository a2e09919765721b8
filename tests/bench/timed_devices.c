// SPDX-License-Identifier: Apache-2.0
//
// Linked with the program wader in place of CUDA: devices that compute nothing and whose passes
// take as long as they are told to (tests/support/fake_cuda.h), so that all else of a run on GPUs
// can be looked at, at a GPU's pace: tests/bench/feed.py. Of the environment:
//   TIMED_DEVICES, TIMED_MULTIPROCESSORS, TIMED_PASS_US
//   TIMED_REPORT  a file that gets a line for each device at the end:
//                 passes, seconds they took, when the first began and when the last ended
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/fake_cuda.h"

static int32_t number(const char *name, int32_t most) {
    const char *text = getenv(name);
    char *end = NULL;
    const long value = text != NULL ? strtol(text, &end, 10) : 0;
    if (end == NULL || *end != '\0' || value < 1 || value > most) {
        fprintf(stderr, "%s: a number from 1 to %d is wanted\n", name, (int)most);
        exit(2);
    }
    return (int32_t)value;
}

static void report(void) {
    FILE *file = fopen(getenv("TIMED_REPORT"), "w");
    for (int32_t d = 0; file != NULL && d < number("TIMED_DEVICES", FAKE_DEVICES_MAX); d++) {
        const struct fake_use use = fake_cuda_use(d);
        fprintf(file, "%lld %.9f %.9f %.9f\n", (long long)use.n_passes, use.busy_seconds, use.begin,
                use.end);
    }
    if (file == NULL || fclose(file) != 0) perror("TIMED_REPORT");
    if (fake_cuda_broken()[0] != '\0') fprintf(stderr, "timed devices: %s\n", fake_cuda_broken());
}

__attribute__((constructor)) static void start(void) {
    const struct fake_cuda_spec spec = {.n_devices = number("TIMED_DEVICES", FAKE_DEVICES_MAX),
                                        .n_multiprocessors = number("TIMED_MULTIPROCESSORS", 1000),
                                        .pass_seconds = 1e-6 * number("TIMED_PASS_US", 100000000)};
    fake_cuda_start(&spec);
    if (getenv("TIMED_REPORT") != NULL) atexit(report);
}
