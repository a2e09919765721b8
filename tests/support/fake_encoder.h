// SPDX-License-Identifier: Apache-2.0
//
// An encoder for tests of the stream: its logits are a plain function of the token ids, it finishes
// batches in any order and takes its time, it fails when told to, and it notes whoever breaks the
// rules of the seam.
#ifndef WADER_TESTS_SUPPORT_FAKE_ENCODER_H
#define WADER_TESTS_SUPPORT_FAKE_ENCODER_H

#include "host/encoder/encoder.h"

enum { FAKE_LABELS = 5 };

struct fake_encoder_spec {
    int32_t batch_tokens, titles_cap, n_slots, max_length;
    int n_threads;        // 0: computes in encoder_wait
    int delay_us;         // that a batch takes, at most
    int64_t fail_at;      // this batch and all later ones fail; -1: none
    enum status failure;  // what they fail with
    int64_t lie_at;       // of this batch, from 1, the first title's logits are wrong; 0: of none
    int32_t nan_id;       // titles with this token get logits that are not finite
};

struct encoder *fake_encoder_create(const struct fake_encoder_spec *spec);

// What a title's logits are.
void fake_encoder_logits(const int32_t *token_ids, int32_t n, int32_t nan_id,
                         float logits[FAKE_LABELS]);

// How many titles it was given so far.
int64_t fake_encoder_titles(struct encoder *encoder);

// "", or which rule was broken: a slot submitted twice, waited for without a batch, or (asked for
// between two runs) left in flight.
const char *fake_encoder_fault(struct encoder *encoder);

#endif
