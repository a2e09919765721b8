// SPDX-License-Identifier: Apache-2.0
//
// An encoder that computes nothing: what the host can feed is what is left. Its logits are made up
// once, a different row for each place in a batch, so that rows of output differ as real ones do.
#ifndef WADER_HOST_BENCH_NULL_ENCODER_H
#define WADER_HOST_BENCH_NULL_ENCODER_H

#include "host/encoder/encoder.h"

// With the sizes of `like`. STATUS_IO without memory; encoder_destroy releases it.
enum status null_encoder_create(const struct encoder *like, struct encoder **out,
                                struct error *error);

#endif
