// SPDX-License-Identifier: Apache-2.0
//
// Weights for a device encoder, with the algebra that costs nothing taken once, at load. Shapes and
// letters as in model.h, D = H / n_heads is the size of a head; matrices are in PyTorch's order,
// [out, in].
//
// With probabilities p = softmax((q . k) / sqrt(D)), which sum to 1, a head gives sum_j p_j v_j.
//   The key bias goes. It adds q . bk to all scores of a query, and a softmax does not change when
//   a constant is added to all of its inputs.
//   The value bias moves. sum_j p_j (v_j + bv) = sum_j p_j v_j + bv, so bv goes through the
//   attention output like any context: its bias becomes bo + Wo bv.
//   A power of two of 1 / sqrt(D) moves into the query's weights and bias. It changes exponents
//   alone, so that scores keep their digits in every format, unless a scaled value is subnormal:
//   below 2^-126 in fp32 and bf16, which matters to nobody; below 2^-14 in fp16, where rounding it
//   to a multiple of 2^-24 may cost up to 2^-25.
// These functions read the model and may run in any thread. They do not tensor_forget anything.
#ifndef WADER_WEIGHTS_FOLD_H
#define WADER_WEIGHTS_FOLD_H

#include "weights/model.h"

// What changes of a layer. The weights of the attention output, the feed-forward and the LayerNorms
// are as the model has them. In the last layer, where queries are wanted of [CLS] alone, the first
// H rows are the query's, the other 2H those of key and value.
struct folded_layer {
    float *qkv_weight;             // [3H, H] query, key, value; the query's times power
    float *qkv_bias;               // [3H] the query's times power, 2H zeros
    float *attention_output_bias;  // [H] bo + Wo bv, summed in double, rounded once
    float scale;                   // what attention still has to apply: 1 / (sqrt(D) power)
};

// STATUS_IO without memory: `*out` is then all zero. folded_layer_free releases the arrays.
enum status fold_layer(const struct bert_config *config, const struct bert_layer *layer,
                       struct folded_layer *out, struct error *error);
void folded_layer_free(struct folded_layer *layer);  // all zero is fine; leaves it so

// The least power of two from 1 / sqrt(D) up, so that scale is above 1/2 and at most 1: 1/8 for a D
// of 64, which leaves 1; 1/4 for 32, which leaves 1 / sqrt(2). D is at least 1.
float fold_power(int32_t head_size);

// The position embeddings [P, H] with the embedding of token type 0, if the model has types, added
// in fp32: all tokens of a title have that type. free() releases them. STATUS_IO without memory:
// `*out` is then NULL.
enum status fold_positions(const struct bert_config *config, const struct bert_weights *weights,
                           float **out, struct error *error);

#endif
