// SPDX-License-Identifier: Apache-2.0
#include "host/bench/ceilings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/bench/gemm_rate.h"

// Of what all threads copy at the same time.
enum { ALL_NBYTES_MAX = 256 * 1024 * 1024, EACH_NBYTES_MIN = 4 * 1024 * 1024 };

// One thread's two stretches of memory.
struct stretches {
    char *from, *to;
    enum status status;
    struct error error;
};

struct ceiling_meter {
    struct crew *crew;
    int32_t n_threads;
    struct stretches *lanes;  // [n_threads]
    size_t each_nbytes;       // of a thread's stretches, but for the first one's
    size_t copy_nbytes;       // at once, by copy_lane
    int32_t n_copies;
    struct gemm_rate *gemm;  // of the shape that did best; NULL: none yet, or none at all
    bool wants_gemm;
    char precision[16];
    struct product_size shape;
};

static void open_lane(void *context, int32_t i) {
    const struct ceiling_meter *meter = context;
    struct stretches *lane = &meter->lanes[i];
    const size_t nbytes = i == 0 ? CEILING_MEMORY_NBYTES : meter->each_nbytes;
    void *memory;
    lane->status = alloc_array(&memory, nbytes, 1, "a stretch of memory", &lane->error);
    lane->from = memory;
    if (lane->status != STATUS_OK) return;
    lane->status = alloc_array(&memory, nbytes, 1, "a stretch of memory", &lane->error);
    lane->to = memory;
    if (lane->status != STATUS_OK) return;
    memset(lane->from, 1, nbytes);  // pages of its own
    memset(lane->to, 2, nbytes);
}

// A copy that the compiler cannot leave out or put together with the next one.
static void copy_lane(void *context, int32_t i) {
    const struct ceiling_meter *meter = context;
    const struct stretches *lane = &meter->lanes[i];
    for (int32_t n = 0; n < meter->n_copies; n++) {
        memcpy(lane->to, lane->from, meter->copy_nbytes);
        __asm__ volatile("" : : "r"(lane->to), "r"(lane->from) : "memory");
    }
}

static double copy_rate(struct ceiling_meter *meter, int32_t n_threads, size_t nbytes,
                        double seconds) {
    meter->copy_nbytes = nbytes;
    meter->n_copies = 1;
    double took = crew_run(meter->crew, n_threads, copy_lane, meter);
    if (took < seconds) {
        meter->n_copies = 1 + (int32_t)(seconds / (took > 1e-6 ? took : 1e-6));
        took = crew_run(meter->crew, n_threads, copy_lane, meter);
    }
    return (double)nbytes * meter->n_copies * n_threads / took;
}

enum status ceiling_meter_create(int32_t n_threads, const char *precision,
                                 struct ceiling_meter **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "ceilings", error);
    if (status != STATUS_OK) return status;
    struct ceiling_meter *meter = memory;
    meter->n_threads = n_threads;
    meter->wants_gemm = true;
    meter->each_nbytes = ALL_NBYTES_MAX / (size_t)n_threads;
    if (meter->each_nbytes > CEILING_MEMORY_NBYTES) meter->each_nbytes = CEILING_MEMORY_NBYTES;
    if (meter->each_nbytes < EACH_NBYTES_MIN) meter->each_nbytes = EACH_NBYTES_MIN;
    snprintf(meter->precision, sizeof meter->precision, "%s", precision);
    status = alloc_zeroed(&memory, (size_t)n_threads, sizeof *meter->lanes, "ceilings", error);
    meter->lanes = memory;
    if (status == STATUS_OK) status = crew_create(n_threads, &meter->crew, error);
    if (status == STATUS_OK) crew_run(meter->crew, n_threads, open_lane, meter);
    for (int32_t i = 0; status == STATUS_OK && i < n_threads; i++) {
        status = meter->lanes[i].status;
        if (status != STATUS_OK && error != NULL) *error = meter->lanes[i].error;
    }
    if (status != STATUS_OK) {
        ceiling_meter_destroy(meter);
        return status;
    }
    *out = meter;
    return STATUS_OK;
}

void ceiling_meter_destroy(struct ceiling_meter *meter) {
    if (meter == NULL) return;
    gemm_rate_destroy(meter->gemm);
    crew_destroy(meter->crew);
    for (int32_t i = 0; meter->lanes != NULL && i < meter->n_threads; i++) {
        free(meter->lanes[i].from);
        free(meter->lanes[i].to);
    }
    free(meter->lanes);
    free(meter);
}

// Large shapes: from what a second-level cache holds to more than it does, square and wide.
static enum status choose_shape(struct ceiling_meter *meter, double seconds, struct error *error) {
    static const struct product_size shapes[] = {
        {512, 512, 512}, {1024, 1024, 1024}, {1024, 2048, 2048}, {512, 1024, 4096}};
    double best = 0;
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        struct gemm_rate *gemm;
        enum status status = gemm_rate_create(meter->crew, meter->n_threads, meter->precision,
                                              shapes[i], &gemm, error);
        meter->wants_gemm = status != STATUS_MODEL;
        if (status == STATUS_MODEL) return STATUS_OK;
        if (status != STATUS_OK) return status;
        const double rate = gemm_rate_measure(gemm, 1, seconds, &status, error);
        if (status == STATUS_OK && rate > best) {
            best = rate;
            meter->shape = shapes[i];
            struct gemm_rate *worse = meter->gemm;
            meter->gemm = gemm;
            gemm = worse;
        }
        gemm_rate_destroy(gemm);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static enum status measure_gemm(struct ceiling_meter *meter, double seconds,
                                struct ceilings *ceilings, struct error *error) {
    enum status status = STATUS_OK;
    if (meter->gemm == NULL) status = choose_shape(meter, seconds, error);
    if (status != STATUS_OK || !meter->wants_gemm) return status;
    ceilings->has_gemm = true;
    ceilings->gemm_rows = meter->shape.n_rows;
    ceilings->gemm_in = meter->shape.n_in;
    ceilings->gemm_out = meter->shape.n_out;
    const double one = gemm_rate_measure(meter->gemm, 1, seconds, &status, error);
    samples_add(&ceilings->gemm, one);
    if (status != STATUS_OK) return status;
    samples_add(&ceilings->gemm_all,
                meter->n_threads > 1
                    ? gemm_rate_measure(meter->gemm, meter->n_threads, seconds, &status, error)
                    : one);
    return status;
}

enum status ceiling_meter_measure(struct ceiling_meter *meter, double seconds,
                                  struct ceilings *ceilings, struct error *error) {
    samples_add(&ceilings->copy, copy_rate(meter, 1, CEILING_CACHE_NBYTES, seconds));
    samples_add(&ceilings->memory, copy_rate(meter, 1, CEILING_MEMORY_NBYTES, seconds));
    samples_add(&ceilings->memory_all,
                copy_rate(meter, meter->n_threads, meter->each_nbytes, seconds));
    return meter->wants_gemm ? measure_gemm(meter, seconds, ceilings, error) : STATUS_OK;
}
