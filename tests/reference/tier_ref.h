// SPDX-License-Identifier: Apache-2.0
//
// What the CPU encoder's lower tiers compute, in float64 but for the roundings that make a tier:
// weights and inputs of the encoder layers' dense parts. Plain loops over a few titles, for small
// models; it shares no code with the encoder. Without roundings it is what bert_ref.h is.
#ifndef WADER_TESTS_REFERENCE_TIER_REF_H
#define WADER_TESTS_REFERENCE_TIER_REF_H

#include "weights/model.h"

enum tier_rounding {
    TIER_EXACT,
    TIER_BF16,  // both to 8 significant bits, ties to even
    TIER_INT8,  // a weight to one of 255 values, symmetric about 0, for each output; an input to
                // one of 256 from its row's smallest to its largest
};

// The dense parts of a layer, in the order in which they are computed.
enum tier_part {
    TIER_QUERY,
    TIER_KEY,
    TIER_VALUE,
    TIER_CONTEXT,
    TIER_FEED,
    TIER_OUTPUT,
    TIER_PARTS
};

// The biases of all dense parts: what TIER_INT8 makes of them. It runs 128 made-up tokens through
// the layers with the roundings of the tier, and takes from each part's biases what the rounding of
// its weights adds to the mean of its outputs, before the next part is computed.
struct tier_biases {
    double **parts;  // [n_layers * TIER_PARTS] of [outputs]
    size_t n;
};
struct tier_biases tier_ref_biases(const struct model *model);
void tier_ref_biases_free(struct tier_biases *biases);

// Of titles packed as in an encoder's slot. `biases` is NULL for the model's own.
void tier_ref_logits(const struct model *model, enum tier_rounding rounding,
                     const struct tier_biases *biases, const int32_t *ids,
                     const int32_t *cu_seqlens, int32_t n_titles, double *logits /* [N, K] */);

#endif
