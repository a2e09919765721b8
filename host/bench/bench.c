// SPDX-License-Identifier: Apache-2.0
#include "host/bench/bench.h"

#include <stdlib.h>
#include <string.h>

#include "host/bench/bench_state.h"
#include "host/bench/null_encoder.h"

enum { ROUNDS_MIN = 2 };

// What is collected over the rounds.
struct tally {
    struct samples rates[STAGES];  // in the stage's unit
    struct bench_work work[STAGES];
    struct samples run_seconds, host_ns;
    struct samples profile[ENCODER_WORKS];
    struct stage_seconds busy;  // seconds of all rounds
    double busy_of;             // as long as these runs took
};

struct stage_kind {
    const char *name, *unit, *ceiling_name;
    double per_unit;
};

static const struct stage_kind kinds[STAGES] = {
    [STAGE_INFLATE] = {"inflate", "MB/s", "copy", 1e6},
    [STAGE_PARSE] = {"parse", "MB/s", "copy", 1e6},
    [STAGE_TOKENIZE_1] = {"tokenize_1", "MB/s", "copy", 1e6},
    [STAGE_TOKENIZE] = {"tokenize", "MB/s", "copy", 1e6},
    [STAGE_PACK] = {"pack", "MB/s", "copy", 1e6},
    [STAGE_ENCODE_1] = {"encode_1", "GFLOP/s", "gemm", 1e9},
    [STAGE_ENCODE] = {"encode", "GFLOP/s", "gemm", 1e9},
    [STAGE_WRITE] = {"write", "MB/s", "copy", 1e6},
    [STAGE_HOST] = {"host", "titles/s", "slowest host stage", 1},
    [STAGE_END_TO_END] = {"end_to_end", "titles/s", "slowest stage", 1},
};

static void take(struct tally *tally, enum bench_stage_id stage, const struct bench_work *work) {
    const double seconds = work->seconds > 1e-9 ? work->seconds : 1e-9;
    samples_add(&tally->rates[stage], work->amount / seconds / kinds[stage].per_unit);
    tally->work[stage] = *work;
}

// ---- a round

static enum status measure_host(struct bench_state *state, struct tally *tally,
                                struct error *error) {
    const int32_t n_tokenizers = state->settings->n_tokenizers;
    struct bench_work work;
    enum status status = bench_inflate(state, &work, error);
    if (status != STATUS_OK) return status;
    take(tally, STAGE_INFLATE, &work);
    status = bench_parse(state, &work, error);
    if (status != STATUS_OK) return status;
    take(tally, STAGE_PARSE, &work);
    if (n_tokenizers > 1) {
        bench_tokenize(state, 1, &work);
        take(tally, STAGE_TOKENIZE_1, &work);
    }
    bench_tokenize(state, n_tokenizers, &work);
    take(tally, STAGE_TOKENIZE, &work);
    bench_pack(state, &work);
    take(tally, STAGE_PACK, &work);
    status = bench_write(state, &work, error);
    if (status == STATUS_OK) take(tally, STAGE_WRITE, &work);
    return status;
}

static enum status measure_encoder(struct bench_state *state, struct tally *tally,
                                   struct bench_result *result, struct error *error) {
    const struct bench_settings *settings = state->settings;
    struct bench_work work;
    enum status status = bench_encode(state, &work, &result->flops, error);
    if (status != STATUS_OK) return status;
    take(tally, STAGE_ENCODE, &work);
    if (settings->encoder->ops->profile == NULL) return STATUS_OK;
    struct encoder_profile profile;
    status = bench_profile(state, &profile, &result->profile_flops, &work, error);
    if (status != STATUS_OK) return status;
    result->has_profile = true;
    for (int w = 0; w < ENCODER_WORKS; w++) samples_add(&tally->profile[w], profile.seconds[w]);
    if (settings->n_workers > 1) take(tally, STAGE_ENCODE_1, &work);
    return STATUS_OK;
}

static enum status measure_pipelines(struct bench_state *state, struct tally *tally,
                                     struct bench_result *result, struct error *error) {
    struct bench_work work;
    struct totals totals;
    double core_seconds;
    enum status status = bench_pipeline(state, state->null, &state->corpus->gzip_file, &totals,
                                        &work, &core_seconds, error);
    if (status != STATUS_OK) return status;
    take(tally, STAGE_HOST, &work);
    samples_add(&tally->host_ns, 1e9 * core_seconds / (work.titles > 0 ? work.titles : 1));
    status = bench_pipeline(state, state->settings->encoder, &state->prefix, &totals, &work,
                            &core_seconds, error);
    if (status != STATUS_OK) return status;
    take(tally, STAGE_END_TO_END, &work);
    samples_add(&tally->run_seconds, work.seconds);
    result->run_titles = (uint64_t)work.titles;
    tally->busy.read += totals.seconds.read;
    tally->busy.tokenize += totals.seconds.tokenize;
    tally->busy.encode += totals.seconds.encode;
    tally->busy.write += totals.seconds.write;
    tally->busy_of += work.seconds;
    return STATUS_OK;
}

// Of devices; the CPU's products are the meter's.
static enum status measure_products(struct bench_state *state, struct ceilings *ceilings,
                                    struct error *error) {
    struct encoder *encoder = state->settings->encoder;
    struct encoder_products best;
    if (!state->settings->is_cuda || encoder->ops->products == NULL) return STATUS_OK;
    enum status status = encoder_measure_products(encoder, state->host_slice, &best, error);
    if (status != STATUS_OK || !(best.flops_per_s > 0)) return status;
    ceilings->has_gemm = true;
    ceilings->gemm_rows = best.n_rows;
    ceilings->gemm_in = best.n_in;
    ceilings->gemm_out = best.n_out;
    samples_add(&ceilings->gemm, best.flops_per_s / state->settings->n_workers);
    samples_add(&ceilings->gemm_all, best.flops_per_s);
    return STATUS_OK;
}

static enum status measure_round(struct bench_state *state, struct ceiling_meter *meter,
                                 struct tally *tally, struct bench_result *result,
                                 struct error *error) {
    enum status status = ceiling_meter_measure(meter, state->host_slice, &result->ceilings, error);
    if (status == STATUS_OK) status = measure_products(state, &result->ceilings, error);
    if (status == STATUS_OK) status = measure_host(state, tally, error);
    if (status == STATUS_OK) status = measure_encoder(state, tally, result, error);
    return status == STATUS_OK ? measure_pipelines(state, tally, result, error) : status;
}

// ---- what follows from the rounds

static double ceiling_of(const struct bench_result *result, enum bench_stage_id stage) {
    const struct ceilings *ceilings = &result->ceilings;
    switch (stage) {
        case STAGE_ENCODE_1:
            return samples_spread(&ceilings->gemm).max / kinds[stage].per_unit;
        case STAGE_ENCODE:
            return samples_spread(&ceilings->gemm_all).max / kinds[stage].per_unit;
        case STAGE_TOKENIZE:
            return samples_spread(&ceilings->copy).max / kinds[stage].per_unit *
                   result->stages[stage].n_threads;
        default:
            return samples_spread(&ceilings->copy).max / kinds[stage].per_unit;
    }
}

static void conclude_stage(const struct bench_settings *settings, const struct tally *tally,
                           enum bench_stage_id id, struct bench_result *result) {
    struct bench_stage *stage = &result->stages[id];
    const struct bench_work *work = &tally->work[id];
    const int32_t threads[STAGES] = {[STAGE_TOKENIZE] = settings->n_tokenizers,
                                     [STAGE_ENCODE] = settings->n_workers,
                                     [STAGE_WRITE] = 1 + OUTPUT_PACKERS,
                                     [STAGE_HOST] = settings->n_threads,
                                     [STAGE_END_TO_END] = settings->n_threads};
    *stage = (struct bench_stage){.is_measured = tally->rates[id].n > 0,
                                  .name = kinds[id].name,
                                  .unit = kinds[id].unit,
                                  .n_threads = threads[id] > 0 ? threads[id] : 1,
                                  .rate = samples_spread(&tally->rates[id])};
    if (!stage->is_measured) return;
    const double per_amount = kinds[id].per_unit / (work->amount > 0 ? work->amount : 1);
    stage->titles_per_s = stage->rate.median * per_amount * work->titles;
    stage->tokens_per_s = stage->rate.median * per_amount * work->tokens;
}

static void set_ceiling(struct bench_stage *stage, const char *name, double ceiling) {
    if (!stage->is_measured || !(ceiling > 0)) return;
    stage->ceiling_name = name;
    stage->ceiling = ceiling;
    stage->share = stage->rate.median / ceiling;
}

double bench_stage_titles_per_s(const struct bench_result *result, enum bench_stage_id stage) {
    const struct bench_stage *stages = result->stages;
    const double rate = stages[stage].titles_per_s;
    if (stage != STAGE_TOKENIZE) return rate;
    const double parse = stages[STAGE_PARSE].titles_per_s * stages[stage].n_threads;
    return 1 / (1 / rate + 1 / parse);
}

static enum bench_stage_id slowest(const struct bench_result *result, bool with_encoder) {
    static const enum bench_stage_id of_a_run[] = {STAGE_INFLATE, STAGE_TOKENIZE, STAGE_PACK,
                                                   STAGE_WRITE, STAGE_ENCODE};
    enum bench_stage_id worst = STAGE_INFLATE;
    for (size_t i = 0; i < ARRAY_LEN(of_a_run) - (with_encoder ? 0 : 1); i++) {
        if (bench_stage_titles_per_s(result, of_a_run[i]) <
            bench_stage_titles_per_s(result, worst)) {
            worst = of_a_run[i];
        }
    }
    return worst;
}

enum bench_stage_id bench_slowest(const struct bench_result *result) {
    return slowest(result, true);
}

static void conclude(const struct bench_settings *settings, const struct tally *tally,
                     struct bench_result *result) {
    struct bench_stage *stages = result->stages;
    for (int id = 0; id < STAGES; id++) {
        conclude_stage(settings, tally, (enum bench_stage_id)id, result);
        const bool is_encode = id == STAGE_ENCODE || id == STAGE_ENCODE_1;
        if (id == STAGE_HOST || id == STAGE_END_TO_END) continue;
        if (is_encode && !result->ceilings.has_gemm) continue;
        set_ceiling(&stages[id], kinds[id].ceiling_name,
                    ceiling_of(result, (enum bench_stage_id)id));
    }
    set_ceiling(&stages[STAGE_HOST], kinds[STAGE_HOST].ceiling_name,
                bench_stage_titles_per_s(result, slowest(result, false)));
    set_ceiling(&stages[STAGE_END_TO_END], kinds[STAGE_END_TO_END].ceiling_name,
                bench_stage_titles_per_s(result, slowest(result, true)));
    const struct bench_stage *encode = &stages[STAGE_ENCODE];
    result->mfu = encode->share;
    if (encode->titles_per_s > 0) {
        result->end_to_end_mfu =
            encode->share * stages[STAGE_END_TO_END].tokens_per_s / encode->tokens_per_s;
    }
    result->host_ns = samples_spread(&tally->host_ns).median;
    result->run_seconds = samples_spread(&tally->run_seconds).median;
    const double run = tally->busy_of > 0 ? tally->busy_of : 1;
    result->busy =
        (struct stage_seconds){.read = tally->busy.read / run,
                               .tokenize = tally->busy.tokenize / run / settings->n_tokenizers,
                               .encode = tally->busy.encode / run / settings->n_workers,
                               .write = tally->busy.write / run};
    for (int w = 0; w < ENCODER_WORKS; w++) {
        result->profile[w] = samples_spread(&tally->profile[w]);
    }
}

// ---- all of it

static enum status prepare(struct bench_state *state, struct ceiling_meter **meter,
                           struct error *error) {
    const struct bench_settings *settings = state->settings;
    void *memory;
    enum status status = memory_file_create(&state->rows, error);
    if (status == STATUS_OK) status = memory_file_create(&state->prefix, error);
    if (status == STATUS_OK) {
        status = ceiling_meter_create(
            settings->n_threads, settings->is_cuda ? "none" : settings->precision, meter, error);
    }
    if (status == STATUS_OK) status = crew_create(settings->n_tokenizers, &state->crew, error);
    if (status == STATUS_OK) status = null_encoder_create(settings->encoder, &state->null, error);
    if (status == STATUS_OK) status = chunk_create(RECORD_NBYTES_MAX, &state->chunk, error);
    if (status == STATUS_OK) status = bench_lanes_open(state, error);
    if (status != STATUS_OK) return status;
    status = alloc_array(&memory, RECORD_NBYTES_MAX, 1, "a title", error);
    state->scratch = memory;
    return status;
}

// The corpus's beginning, as long as the encoder is given.
static enum status write_prefix(struct bench_state *state, struct error *error) {
    const struct corpus *corpus = state->corpus;
    state->n_run_titles =
        state->n_encode_titles < corpus->n_titles ? state->n_encode_titles : corpus->n_titles;
    const struct span records = {corpus->plain.bytes, corpus->record_end[state->n_run_titles - 1]};
    return memory_file_write(&state->prefix, records, true, error);
}

static enum status run_rounds(struct bench_state *state, struct ceiling_meter *meter,
                              struct tally *tally, struct bench_result *result, double begin,
                              struct error *error) {
    const struct bench_settings *settings = state->settings;
    enum status status = bench_encode_fit(state, error);
    if (status == STATUS_OK) status = write_prefix(state, error);
    if (status == STATUS_OK) status = measure_round(state, meter, tally, result, error);
    while (status == STATUS_OK && result->n_rounds < settings->repeats) {
        if (result->n_rounds >= ROUNDS_MIN && now_seconds() - begin > settings->seconds) break;
        if (result->n_rounds++ == 0) {  // what warmed up does not count
            *tally = (struct tally){0};
            result->ceilings = (struct ceilings){0};
        }
        status = measure_round(state, meter, tally, result, error);
    }
    return status;
}

static void close_state(struct bench_state *state) {
    bench_lanes_close(state);
    free(state->scratch);
    chunk_destroy(state->chunk);
    encoder_destroy(state->null);
    crew_destroy(state->crew);
    memory_file_close(&state->rows);
    memory_file_close(&state->prefix);
}

static double clamp(double value, double least, double most) {
    return value < least ? least : value > most ? most : value;
}

enum status bench_run(const struct bench_settings *settings, struct bench_result *result,
                      struct error *error) {
    const double begin = now_seconds();
    // A round has some twelve short measurements, and two or three of the encoder.
    const double round = settings->seconds / (settings->repeats + 1);
    struct bench_state state = {.settings = settings,
                                .corpus = settings->corpus,
                                .host_slice = clamp(round / 60, 0.002, 0.1),
                                .encode_slice = clamp(round / 5, 0.02, 0.5)};
    struct ceiling_meter *meter = NULL;
    void *memory;
    *result = (struct bench_result){0};
    enum status status = alloc_zeroed(&memory, 1, sizeof(struct tally), "figures", error);
    if (status != STATUS_OK) return status;
    struct tally *tally = memory;
    status = prepare(&state, &meter, error);
    if (status == STATUS_OK) status = run_rounds(&state, meter, tally, result, begin, error);
    if (status == STATUS_OK) conclude(settings, tally, result);
    ceiling_meter_destroy(meter);
    close_state(&state);
    free(tally);
    result->seconds = now_seconds() - begin;
    return status;
}
