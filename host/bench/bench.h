// SPDX-License-Identifier: Apache-2.0
//
// How fast each stage of a run is alone, how fast the whole is, and what this machine would allow:
// measured in rounds, each of which measures everything once, so that whatever else the machine
// does meets all of it alike. A warm-up round goes before. Rates are medians of the rounds; a
// ceiling is the best of them.
//
//   inflate   gzip to lines: read, SHA-256, inflate, CRC, cut; one thread, as in a run
//   parse     records: id and title found, UTF-8 checked; one thread
//   tokenize  titles to token ids
//   pack      token ids into the encoder's slots; one thread, as in a run
//   encode    packed ids to logits: the encoder alone, slots always full
//   write     logits to rows and SHA-256; one thread, and those that deflate beside it, as in a run
//   host      the whole pipeline around an encoder that computes nothing
//   end_to_end  the whole pipeline
// A name with _1 is the same on one thread where the run uses several.
#ifndef WADER_HOST_BENCH_BENCH_H
#define WADER_HOST_BENCH_BENCH_H

#include "host/bench/ceilings.h"
#include "host/bench/corpus.h"
#include "host/bench/flops.h"
#include "host/bench/samples.h"
#include "host/stream/pipeline.h"

struct bench_settings {
    const struct model *model;
    const struct tokenizer *tokenizer;
    struct encoder *encoder;  // idle
    const struct corpus *corpus;
    struct row_format row_format;
    bool is_cuda;
    const char *precision;  // "fp32"
    int32_t max_length;
    int32_t n_threads;         // of the host
    int32_t n_tokenizers;      // threads of a run,
    int32_t n_tokenizers_max;  // and how many it would take at most
    int32_t n_workers;         // that encode: threads, or devices
    int repeats;               // rounds that count; fewer, but two at least, where time is up
    double seconds;            // to be spent
};

enum bench_stage_id {
    STAGE_INFLATE,
    STAGE_PARSE,
    STAGE_TOKENIZE_1,
    STAGE_TOKENIZE,
    STAGE_PACK,
    STAGE_ENCODE_1,
    STAGE_ENCODE,
    STAGE_WRITE,
    STAGE_HOST,
    STAGE_END_TO_END,
    STAGES,
};

struct bench_stage {
    bool is_measured;
    const char *name;
    const char *unit;  // of rate and ceiling: "MB/s", "GFLOP/s", "titles/s"
    int32_t n_threads;
    struct spread rate;
    const char *ceiling_name;  // what the ceiling is, or NULL where none was measured
    double ceiling, share;     // share: rate / ceiling
    double titles_per_s, tokens_per_s;
};

struct bench_result {
    int n_rounds;
    double seconds;  // that all of it took
    struct ceilings ceilings;
    struct bench_stage stages[STAGES];
    struct flops flops;         // of what `encode` computed in a round
    double mfu;                 // model FLOP utilisation: share of `encode`; 0: no ceiling
    double end_to_end_mfu;      // the same of the whole run
    double host_ns;             // of a core, for a title: the whole run but encoding
    uint64_t run_titles;        // labelled in one run of end_to_end
    double run_seconds;         // that took, the median
    struct stage_seconds busy;  // of a run: the share of its time that a stage's threads worked
    bool has_profile;
    struct spread profile[ENCODER_WORKS];  // seconds, of one thread or device,
    struct flops profile_flops;            // for this much
};

// STATUS_IO without memory or threads; what the encoder's failures give.
enum status bench_run(const struct bench_settings *settings, struct bench_result *result,
                      struct error *error);

// The stage, as a run uses it, that titles wait for: the slowest alone, of those that a run has.
// Tokenizer threads parse too, so STAGE_TOKENIZE counts with STAGE_PARSE.
enum bench_stage_id bench_slowest(const struct bench_result *result);

// Titles/s that a stage of a run lets through: its own rate, but for STAGE_TOKENIZE, which parses
// before.
double bench_stage_titles_per_s(const struct bench_result *result, enum bench_stage_id stage);

#endif
