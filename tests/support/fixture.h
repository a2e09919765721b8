// SPDX-License-Identifier: Apache-2.0
//
// What PyTorch says of a model: titles with their token ids, logits and hidden states, as the
// scripts in tests/golden write them (plain or gzipped JSON).
#ifndef WADER_TESTS_SUPPORT_FIXTURE_H
#define WADER_TESTS_SUPPORT_FIXTURE_H

#include "host/base/base.h"

// One token's hidden state; layer 0 is the output of the embeddings.
struct fixture_state {
    int32_t layer;
    int32_t token;
    double *values;  // [H]
};

struct fixture_case {
    struct span title;  // UTF-8
    int32_t n_ids;
    int32_t *ids;    // [n_ids], with [CLS] and [SEP], cut to the fixture's max_length
    bool truncated;  // the title has more tokens than max_length
    double *logits;  // [n_logits]
    int32_t n_states;
    struct fixture_state *states;  // [n_states]
};

struct fixture {
    int32_t max_length;
    int32_t n_logits;    // K, the same in every case; 0 where the file has none
    int32_t state_size;  // H, the same in every state; 0 where the file has none
    int32_t n_cases;
    struct fixture_case *cases;  // [n_cases]
};

// Reads the file at `path`. STATUS_INPUT, naming the file, where it is not as described above.
enum status fixture_read(const char *path, struct fixture **out, struct error *error);

// The model directories in tests/golden that have an expected.json.
enum { FIXTURE_MODELS = 13 };
extern const char *const fixture_models[FIXTURE_MODELS];

// Reads DIR/expected.json, as it lies in the model directories tests/golden/bert_*.
enum status fixture_open(const char *dir, struct fixture **out, struct error *error);

void fixture_close(struct fixture *fixture);  // NULL is fine

// How far two results are apart: the largest |got - want| over the largest |want|; infinity where
// `got` has a NaN.
double fixture_distance(const double *got, const double *want, size_t n);

#endif
