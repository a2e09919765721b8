// SPDX-License-Identifier: Apache-2.0
//
// What the CPU encoder's lower tiers compute, in float64 but for the roundings that make a tier:
// weights and inputs of the encoder layers' dense parts. Plain loops over one title, for small
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

void tier_ref_logits(const struct model *model, enum tier_rounding rounding, const int32_t *ids,
                     int32_t n, double *logits /* [K] */);

#endif
