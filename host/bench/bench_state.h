// SPDX-License-Identifier: Apache-2.0
//
// What measuring takes, private to this room.
#ifndef WADER_HOST_BENCH_BENCH_STATE_H
#define WADER_HOST_BENCH_BENCH_STATE_H

#include "host/bench/bench.h"
#include "host/bench/crew.h"

// One thread that tokenizes.
struct tokenize_lane {
    struct tokenizer_batch *batch;
    struct encoding *encodings;  // [CHUNK_RECORDS]
    struct chunk *chunk;         // for its token_ids
};

struct bench_state {
    const struct bench_settings *settings;
    const struct corpus *corpus;
    struct crew *crew;            // [n_tokenizers]
    struct tokenize_lane *lanes;  // [n_tokenizers]
    int32_t n_lanes;              // that share a pass
    struct encoder *null;         // computes nothing
    struct chunk *chunk;
    char *scratch;              // [RECORD_NBYTES_MAX]
    struct memory_file rows;    // what is written
    struct memory_file prefix;  // gzip of the corpus's first n_run_titles titles
    size_t n_run_titles;
    size_t n_encode_titles;           // of one pass of `encode`
    int32_t n_profile_batches;        // of one bench_profile, once it ran
    double host_slice, encode_slice;  // seconds that a sample is to take, about
};

// What a stage did, to be divided by the seconds that it took.
struct bench_work {
    double amount;  // bytes, FLOP
    double titles, tokens;
    double seconds;
};

// Host stages: passes over the whole corpus, for about host_slice seconds.
enum status bench_inflate(struct bench_state *state, struct bench_work *work, struct error *error);
enum status bench_parse(struct bench_state *state, struct bench_work *work, struct error *error);
enum status bench_write(struct bench_state *state, struct bench_work *work, struct error *error);
void bench_tokenize(struct bench_state *state, int32_t n_threads, struct bench_work *work);
void bench_pack(struct bench_state *state, struct bench_work *work);

// What bench_tokenize takes.
enum status bench_lanes_open(struct bench_state *state, struct error *error);
void bench_lanes_close(struct bench_state *state);

// n_encode_titles through the encoder, all slots in flight; `flops` may be NULL.
enum status bench_encode(struct bench_state *state, struct bench_work *work, struct flops *flops,
                         struct error *error);
// Finds n_encode_titles: whole batches for every worker, for about encode_slice seconds.
enum status bench_encode_fit(struct bench_state *state, struct error *error);
// Batches by encoder_profile_batch, one after the other, for about host_slice seconds.
enum status bench_profile(struct bench_state *state, struct encoder_profile *profile,
                          struct flops *flops, struct bench_work *work, struct error *error);

// The pipeline from `input` (gzip) to rows in memory.
enum status bench_pipeline(struct bench_state *state, struct encoder *encoder,
                           const struct memory_file *input, struct totals *totals,
                           struct bench_work *work, double *core_seconds, struct error *error);

#endif
