// SPDX-License-Identifier: Apache-2.0
#include "tests/gpu/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cuda/runtime.h"
#include "tests/check.h"
#include "tests/gpu/device_cuda.h"
#include "tests/simt/device.h"
#include "tests/support/must.h"
#include "weights/dtype.h"

enum { REPEATS = 15, CALLS_MAX = 64, RANDOM_VALUES = 1 << 22 };
static const double LEAST_SECONDS = 2e-3;  // of a graph: far more than a launch and an event cost

static struct check_random random_state = {1};
static struct CUstream_st *stream;

void bench_need(int code, const char *what) {
    if (code == 0) return;
    char text[128];
    fprintf(stderr, "%s: %s\n", what, gpu_code_name(code, text));
    exit(1);
}

void bench_print_machine(int argc, char **argv, const struct cuda_device *device) {
    printf(
        "{\"what\": \"machine\", \"device\": \"%s\", \"uuid\": \"%s\", \"compute\": \"%d.%d\", "
        "\"multiprocessors\": %d, \"memory\": %zu, \"command\": \"",
        device->name, device->uuid, (int)device->major, (int)device->minor,
        (int)device->n_multiprocessors, device->memory_nbytes);
    for (int i = 0; i < argc; i++) printf("%s%s", i > 0 ? " " : "", argv[i]);
    printf("\"}\n");
}

const struct cuda_device *bench_open(int argc, char **argv, const struct bench_option *options,
                                     int n_options) {
    const char *why_not;
    for (int i = 1; i < argc; i += 2) {
        int o = 0;
        while (o < n_options && strcmp(argv[i], options[o].name) != 0) o++;
        const long value = i + 1 < argc ? strtol(argv[i + 1], NULL, 10) : 0;
        if (o == n_options || value < 1 || value > INT32_MAX) {
            fprintf(stderr, "%s: not an option with a number from 1\n", argv[i]);
            exit(2);
        }
        *options[o].value = (int32_t)value;
    }
    setenv("DEVICE_FILL", "none", 1);  // all memory is written before it is read
    if (!device_open(&why_not)) exit(check_skip(why_not));
    const struct cuda_device *device = &device_cuda_all()->devices[0];
    bench_print_machine(argc, argv, device);
    bench_need(gpu_stream_create(&stream), "no stream");
    return device;
}

const char *bench_dtype_name(enum dtype dtype) {
    return dtype == DTYPE_F32    ? "fp32"
           : dtype == DTYPE_F16  ? "fp16"
           : dtype == DTYPE_BF16 ? "bf16"
                                 : "fp8";
}

int32_t bench_n_dtypes(const struct cuda_device *device) {
    return device->major >= 8 ? DTYPE_BF16 + 1 : DTYPE_BF16;
}

static double uniform(void) {
    return (double)(check_next(&random_state) >> 11) * 0x1p-53;
}

// RANDOM_VALUES numbers from -1 to 1 times `size`, in the format, made once.
static const void *drawn(enum dtype dtype, float size) {
    static struct {
        enum dtype dtype;
        float size;
        void *bits;
    } kinds[16];
    size_t k = 0;
    while (k < ARRAY_LEN(kinds) - 1 && kinds[k].bits != NULL &&
           (kinds[k].dtype != dtype || kinds[k].size != size)) {
        k++;
    }
    if (kinds[k].bits != NULL && kinds[k].dtype == dtype && kinds[k].size == size) {
        return kinds[k].bits;
    }
    free(kinds[k].bits);
    kinds[k].dtype = dtype;
    kinds[k].size = size;
    kinds[k].bits = must_zeroed(RANDOM_VALUES, dtype_size(dtype));
    float *values = must_zeroed(RANDOM_VALUES, sizeof *values);
    for (size_t i = 0; i < RANDOM_VALUES; i++) values[i] = size * (float)(2 * uniform() - 1);
    if (dtype == DTYPE_F32) memcpy(kinds[k].bits, values, RANDOM_VALUES * sizeof *values);
    if (dtype == DTYPE_F16) float_to_f16(values, RANDOM_VALUES, kinds[k].bits);
    if (dtype == DTYPE_BF16) float_to_bf16(values, RANDOM_VALUES, kinds[k].bits);
    if (dtype == DTYPE_E4M3) float_to_e4m3(values, RANDOM_VALUES, kinds[k].bits);
    free(values);
    return kinds[k].bits;
}

void *bench_random(enum dtype dtype, size_t n, float size) {
    const size_t element = dtype_size(dtype);
    const void *bits = drawn(dtype, size);
    char *device = device_alloc(n * element);
    for (size_t at = 0; at < n; at += RANDOM_VALUES) {
        const size_t left = n - at, there = left < RANDOM_VALUES ? left : RANDOM_VALUES;
        device_write(device + at * element, bits, there * element);
    }
    return device;
}

int32_t bench_titles(int32_t n_tokens, int32_t n_titles_max, int32_t *cu_seqlens) {
    int32_t n = 0;
    cu_seqlens[0] = 0;
    while (n < n_titles_max && cu_seqlens[n] < n_tokens) {
        const double normal = sqrt(-2 * log(1 - uniform())) * cos(6.283185307179586 * uniform());
        const double drawn = 18 * exp(0.46 * normal);
        const int32_t length = drawn < 3 ? 3 : drawn > 128 ? 128 : (int32_t)lrint(drawn);
        const int32_t left = n_tokens - cu_seqlens[n];
        cu_seqlens[n + 1] = cu_seqlens[n] + (length < left ? length : left);
        n++;
    }
    return n;
}

// ---- time

static struct CUgraphExec_st *graph_of(bench_call call, void *context, int n_calls) {
    struct CUgraphExec_st *graph;
    bench_need(gpu_capture_begin(stream), "capturing");
    int code = 0;
    for (int i = 0; i < n_calls && code == 0; i++) code = call(context, i, stream);
    bench_need(gpu_capture_end(stream, code == 0 ? &graph : NULL), "capturing");
    bench_need(code, "what is timed");
    return graph;
}

static double seconds_of(struct CUgraphExec_st *graph, struct CUevent_st *const events[2]) {
    double seconds;
    bench_need(gpu_event_record(events[0], stream), "an event");
    bench_need(gpu_graph_launch(graph, stream), "what is timed");
    bench_need(gpu_event_record(events[1], stream), "an event");
    int code = 0;
    for (bool done = false; code == 0 && !done;) code = gpu_event_is_done(events[1], &done);
    bench_need(code, "what is timed");
    bench_need(gpu_event_seconds(events[0], events[1], &seconds), "an event");
    return seconds;
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// A first graph of few calls warms up and tells how many calls fill the time.
struct bench_time bench_time(bench_call call, void *context) {
    struct CUevent_st *events[2];
    double seconds[REPEATS];
    bench_need(gpu_event_create(&events[0]), "an event");
    bench_need(gpu_event_create(&events[1]), "an event");
    bench_need(call(context, 0, stream), "what is timed");
    struct CUgraphExec_st *graph = graph_of(call, context, 4);
    (void)seconds_of(graph, events);
    const double calls = ceil(4 * LEAST_SECONDS / seconds_of(graph, events));
    bench_need(gpu_graph_destroy(graph), "a graph");
    struct bench_time time = {.n_calls = calls > CALLS_MAX ? CALLS_MAX : (int)calls,
                              .n_repeats = REPEATS};
    graph = graph_of(call, context, time.n_calls);
    (void)seconds_of(graph, events);
    for (int i = 0; i < REPEATS; i++) seconds[i] = seconds_of(graph, events) / time.n_calls;
    qsort(seconds, REPEATS, sizeof *seconds, compare_doubles);
    time.min = seconds[0];
    time.median = seconds[REPEATS / 2];
    bench_need(gpu_graph_destroy(graph), "a graph");
    bench_need(gpu_event_destroy(events[0]), "an event");
    bench_need(gpu_event_destroy(events[1]), "an event");
    return time;
}
