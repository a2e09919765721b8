// SPDX-License-Identifier: Apache-2.0
//
// Random batches for an encoder whose logits are those of fake_encoder_logits, and whether they
// come back right.
//
// Thread rule: as for the encoder's slots.
#ifndef WADER_TESTS_SUPPORT_FAKE_BATCHES_H
#define WADER_TESTS_SUPPORT_FAKE_BATCHES_H

#include "host/encoder/encoder.h"
#include "tests/check.h"

struct fake_batches;

struct fake_batches *fake_batches_open(struct encoder *encoder);  // which outlives it
void fake_batches_close(struct fake_batches *batches);

// Fills slot i with random titles, now and then with none, now and then with all that it takes,
// and submits it. What has failed is submitted as it is: a device that was lost may be reading it.
void fake_batches_submit(struct fake_batches *batches, int32_t i, struct check_random *random);
bool fake_batches_is_submitted(const struct fake_batches *batches, int32_t i);
int32_t fake_batches_titles(const struct fake_batches *batches, int32_t i);

// Waits for it. With STATUS_OK, `*wrong` says what is wrong with it, "" if nothing is.
enum status fake_batches_wait(struct fake_batches *batches, int32_t i, const char **wrong,
                              struct error *error);

// A model of FAKE_LABELS classes that CUDA kernels take, with at most 48 tokens a title.
struct model *fake_batches_model(int32_t n_heads);

#endif
