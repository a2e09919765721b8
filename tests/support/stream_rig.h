// SPDX-License-Identifier: Apache-2.0
//
// A whole stream for tests: a small real tokenizer, a fake encoder, catalogs made up at random, and
// the rows that must come out, computed one record after the other.
#ifndef WADER_TESTS_SUPPORT_STREAM_RIG_H
#define WADER_TESTS_SUPPORT_STREAM_RIG_H

#include "host/base/buffer.h"
#include "host/stream/pipeline.h"
#include "tests/support/fake_encoder.h"
#include "tests/support/temp_dir.h"

enum { RIG_MAX_LENGTH = 32 };

struct rig {
    char dir[TEMP_PATH_MAX];
    struct tokenizer *tokenizer;
    struct record_format record_format;
    struct row_format row_format;
    int32_t nan_id;  // of the token "!"
};

// What one run is made of. Zeros stand for: no threads of the encoder's own, no delay.
struct rig_run {
    int32_t batch_tokens, titles_cap, n_slots, n_tokenizers;
    int n_threads, delay_us, flush_ms;
    int64_t fail_at;      // -1: never
    enum status failure;  // of the encoder then; STATUS_OK stands for STATUS_MODEL
    bool header, fail_on_bad;
    struct record_watcher watcher;
    struct first_line_reader first_line;
    struct audit *audit;
    int64_t lie_at;  // of the encoder; 0: never
    // Other sources of logits, and the file that they are kept in; NULL: none.
    struct score_set *previous;
    struct shared_titles *shared;
    const char *scores_path;
    int64_t *n_encoded;  // gets how many titles the encoder was given
    // Resumable runs: the place is noted as the pipeline's config says; `look` is called again and
    // again while the pipeline runs, and once behind its end. After STATUS_AGAIN the unfinished
    // output stays. `resume`: where to go on, in the unfinished output `temporary`.
    void (*look)(void *context, struct pipeline *pipeline, struct output *output);
    void *context;
    double checkpoint_every;
    const struct checkpoint *resume;
    const char *temporary;
};

// What makes the rig's logits, for sets of previous scores.
struct score_identity rig_identity(void);

void rig_open(struct rig *rig, enum record_kind from, enum row_kind to);
void rig_close(struct rig *rig);

// Appends `n` random records of the rig's kind; of a hundred, `n_bad` are bad in one way or other.
void rig_catalog(const struct rig *rig, struct buffer *out, int n, unsigned n_bad,
                 unsigned long long seed);

// The rows that `catalog` must give, without the header, and the totals but for seconds.
void rig_expect(const struct rig *rig, struct span catalog, struct buffer *rows,
                struct totals *totals);

// Runs `input_path` to `output_path`, to none where that is NULL, and commits it. Ends the program
// when the stream broke a rule of the encoder's.
enum status rig_run(const struct rig *rig, const struct rig_run *run, const char *input_path,
                    const char *output_path, struct totals *totals, struct error *error);

#endif
