// SPDX-License-Identifier: Apache-2.0
//
// What the device does at best, besides products (bench_gpu_products --squares 1): bytes in its own
// memory, bytes from the host and back, launches.
#include <stdio.h>

#include "tests/gpu/bench.h"

int main(int argc, char **argv) {
    (void)bench_open(argc, argv, NULL, 0);
    const double copy = bench_copy_rate(), both = bench_read_write_rate();
    const double reads = bench_read_rate();
    const double in = bench_copy_in_rate(), out = bench_copy_out_rate();
    const double graph = bench_launch_seconds(true), alone = bench_launch_seconds(false);
    printf(
        "{\"what\": \"ceiling\", \"copy\": %.4g, \"read_write\": %.4g, \"read\": %.4g, "
        "\"copy_in\": "
        "%.4g, \"copy_out\": %.4g, \"launch_us\": %.3f, \"launch_alone_us\": %.3f}\n",
        copy, both, reads, in, out, 1e6 * graph, 1e6 * alone);
    return 0;
}
