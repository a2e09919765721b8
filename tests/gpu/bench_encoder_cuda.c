// SPDX-License-Identifier: Apache-2.0
//
// How many titles a second the CUDA encoder computes, with nothing before and behind it:
//   bench_gpu_encoder MODEL fp32|fp16|bf16|fp8 SECONDS [TOKENS:SLOTS[:alone|:profile]...]
// for each batch size and number of slots (0: as the encoder chooses), every slot in flight, titles
// as bench.h has them. Prints a JSON line for each. `alone`: without a graph, each kernel launched
// by itself. `profile`: behind it another line, with the seconds of each kind of work in a batch,
// between events.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cuda/encoder_cuda.h"
#include "cuda/runtime.h"
#include "host/bench/verdict.h"
#include "tests/check.h"
#include "tests/gpu/bench.h"
#include "tests/support/must.h"

enum { LENGTH_MAX = 128, SLOTS_MAX = 256, PROFILES = 7 };

struct asked {
    int32_t batch_tokens, n_slots;
    bool alone, profile;
};

// The encoder takes a library that refuses to be captured as it is, and does without a graph: so
// that is what it is told (the linker leads its calls here).
static bool refuses_capture;
int __real_gpu_capture_begin(struct CUstream_st *stream);
int __wrap_gpu_capture_begin(struct CUstream_st *stream);
int __wrap_gpu_capture_begin(struct CUstream_st *stream) {
    return refuses_capture ? 1 : __real_gpu_capture_begin(stream);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void fill(struct encoder *encoder, int32_t i, int32_t vocab_size) {
    struct encoder_slot *slot = encoder_slot(encoder, i);
    struct check_random random = {(unsigned long long)i + 1};
    slot->n_titles = bench_titles(encoder->batch_tokens, encoder->titles_cap, slot->cu_seqlens);
    for (int32_t t = 0; t < slot->cu_seqlens[slot->n_titles]; t++) {
        slot->token_ids[t] = (int32_t)check_below(&random, (unsigned)vocab_size);
    }
}

struct count {
    double seconds, titles, tokens, computing;
    int32_t batches;
};

// Slots go round for so long, all of them in flight; the first round is not counted.
static struct count run(struct encoder *encoder, double seconds) {
    struct count count = {0};
    struct error error;
    double begin = 0;
    int32_t n = 0;  // batches that came back
    for (int32_t i = 0; i < encoder->n_slots; i++) encoder_submit(encoder, i);
    while (n <= 2 * encoder->n_slots || count.seconds < seconds) {
        const int32_t i = n % encoder->n_slots;
        must(encoder_wait(encoder, i, &error), &error);
        if (++n == encoder->n_slots) begin = now();
        if (n > encoder->n_slots) {
            const struct encoder_slot *slot = encoder_slot(encoder, i);
            count.titles += slot->n_titles;
            count.tokens += slot->cu_seqlens[slot->n_titles];
            count.computing += slot->seconds;
            count.seconds = now() - begin;
            count.batches++;
        }
        encoder_submit(encoder, i);
    }
    for (int32_t i = 0; i < encoder->n_slots; i++) {
        must(encoder_wait(encoder, (n + i) % encoder->n_slots, &error), &error);
    }
    return count;
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Of each kind of work the median of a few batches.
static void print_profile(struct encoder *encoder, enum dtype dtype) {
    double seconds[ENCODER_WORKS][PROFILES];
    struct encoder_profile profile;
    struct error error;
    for (int i = 0; i < PROFILES; i++) {
        must(encoder_profile_batch(encoder, 0, &profile, &error), &error);
        for (int w = 0; w < ENCODER_WORKS; w++) seconds[w][i] = profile.seconds[w];
    }
    printf("{\"what\": \"profile\", \"dtype\": \"%s\", \"batch_tokens\": %d, \"ms\": {",
           bench_dtype_name(dtype), (int)encoder->batch_tokens);
    for (int w = 0; w < ENCODER_WORKS; w++) {
        qsort(seconds[w], PROFILES, sizeof seconds[w][0], compare);
        printf("%s\"%s\": %.4f", w > 0 ? ", " : "", encoder_work_key((enum encoder_work)w),
               1e3 * seconds[w][PROFILES / 2]);
    }
    printf("}}\n");
}

static void measure(const struct model *model, const struct cuda_device *device, enum dtype dtype,
                    struct asked asked, double seconds) {
    const int32_t longest = model->config.max_positions;
    const struct encoder_cuda_settings settings = {
        .devices = device,
        .n_devices = 1,
        .dtype = dtype,
        .batch_tokens = asked.batch_tokens,
        .max_length = longest < LENGTH_MAX ? longest : LENGTH_MAX,
        .n_slots_per_device = asked.n_slots,
        .timeout_seconds = 60};
    struct encoder *encoder;
    struct error error;
    const double begin = now();
    refuses_capture = asked.alone;
    must(encoder_create_cuda(model, &settings, &encoder, &error), &error);
    const double opened = now();
    for (int32_t i = 0; i < encoder->n_slots; i++) fill(encoder, i, model->config.vocab_size);
    const struct count count = run(encoder, seconds);
    printf(
        "{\"what\": \"encoder\", \"dtype\": \"%s\", \"asked\": \"%d:%d\", \"batch_tokens\": %d, "
        "\"slots\": %d, \"open_s\": %.2f, \"seconds\": %.2f, \"batches\": %d, \"titles_per_s\": "
        "%.0f, \"tokens_per_s\": %.0f, \"batch_ms\": %.3f, \"computing_ms\": %.3f, \"graph\": "
        "%s}\n",
        bench_dtype_name(dtype), (int)asked.batch_tokens, (int)asked.n_slots,
        (int)encoder->batch_tokens, (int)encoder->n_slots, opened - begin, count.seconds,
        (int)count.batches, count.titles / count.seconds, count.tokens / count.seconds,
        1e3 * count.seconds / count.batches, 1e3 * count.computing / count.batches,
        encoder->remark == NULL ? "true" : "false");
    if (asked.profile) print_profile(encoder, dtype);
    fflush(stdout);
    encoder_destroy(encoder);
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr,
                "usage: %s MODEL fp32|fp16|bf16|fp8 SECONDS "
                "[TOKENS:SLOTS[:alone|:profile]...]\n",
                argv[0]);
        return 2;
    }
    struct cuda_devices devices;
    cuda_devices_find(&devices);
    if (devices.n_devices == 0) return check_skip(devices.what);
    const struct cuda_device *device = &devices.devices[0];
    const bool has_e4m3 = 10 * device->major + device->minor >= 89;
    const int32_t n_dtypes = has_e4m3 ? DTYPE_E4M3 + 1 : bench_n_dtypes(device);
    int32_t dtype = DTYPE_F32;
    while (dtype < n_dtypes && strcmp(argv[2], bench_dtype_name((enum dtype)dtype)) != 0) dtype++;
    if (dtype == n_dtypes) {
        fprintf(stderr, "%s: not a tier of this build on this device\n", argv[2]);
        return 2;
    }
    bench_print_machine(argc, argv, &devices.devices[0]);
    struct model *model;
    struct error error;
    must(model_open(argv[1], NULL, &model, &error), &error);
    const double seconds = strtod(argv[3], NULL);
    if (argc == 4)
        measure(model, &devices.devices[0], (enum dtype)dtype, (struct asked){0}, seconds);
    for (int i = 4; i < argc; i++) {
        char *end;
        struct asked asked = {.batch_tokens = (int32_t)strtol(argv[i], &end, 10)};
        if (*end == ':') asked.n_slots = (int32_t)strtol(end + 1, &end, 10);
        asked.alone = strcmp(end, ":alone") == 0;
        asked.profile = strcmp(end, ":profile") == 0;
        measure(model, &devices.devices[0], (enum dtype)dtype, asked, seconds);
    }
    model_close(model);
    return 0;
}
