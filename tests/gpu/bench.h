// SPDX-License-Identifier: Apache-2.0
//
// What the benches share. Each prints one JSON object a line: first the machine and the command,
// then a line for everything it measured, with the bound that it is to be seen beside.
#ifndef WADER_TESTS_GPU_BENCH_H
#define WADER_TESTS_GPU_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "cuda/device.h"
#include "weights/model.h"

#ifdef __cplusplus
extern "C" {
#endif

// Reads arguments of the form `--name NUMBER` into `options`, opens the first device and prints the
// machine. Leaves with 77 where there is no device, with 2 after a wrong argument.
struct bench_option {
    const char *name;
    int32_t *value;
};
const struct cuda_device *bench_open(int argc, char **argv, const struct bench_option *options,
                                     int n_options);

void bench_print_machine(int argc, char **argv, const struct cuda_device *device);

const char *bench_dtype_name(enum dtype dtype);  // "fp32", "fp16", "bf16"
int32_t bench_n_dtypes(
    const struct cuda_device *device);  // from DTYPE_F32 on: without bf16 below 8.0

void bench_need(int code, const char *what);  // ends the program with what the code means

// Device memory with random numbers in the format, from -size to size.
void *bench_random(enum dtype dtype, size_t n, float size);

// Lengths of titles as they are: a median of 18 tokens, a mean of 20, few beyond 60. Fills
// cu_seqlens with titles of `n_tokens` tokens in all and returns how many there are, at most
// `n_titles_max`.
int32_t bench_titles(int32_t n_tokens, int32_t n_titles_max, int32_t *cu_seqlens);

// ---- time

struct bench_time {
    double min, median;  // seconds of one call
    int n_calls, n_repeats;
};

// Enqueues one call. `turn` counts: calls that follow each other should work on memory of their
// own, or the caches are measured. Returns a code of cuda/runtime.h.
struct CUstream_st;
typedef int (*bench_call)(void *context, int turn, struct CUstream_st *stream);

// A graph of several calls, launched again and again: what a call costs within the encoder's graph.
struct bench_time bench_time(bench_call call, void *context);

// ---- the device's own ceilings, of bytes read and written in a second

double bench_copy_rate(void);        // the driver's copy within the device
double bench_read_write_rate(void);  // a kernel that reads and writes 16 bytes at a time
double bench_read_rate(void);        // one that only reads
double bench_copy_in_rate(void);     // from pinned memory of the host to the device
double bench_copy_out_rate(void);    // and back
// Seconds that a kernel which does nothing takes, one behind the other: in a graph, and where each
// is launched by itself.
double bench_launch_seconds(bool in_graph);

#ifdef __cplusplus
}
#endif

#endif
