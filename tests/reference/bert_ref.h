// SPDX-License-Identifier: Apache-2.0
//
// The truth that wader's encoders are held to: BERT for sequence classification (Devlin et al.
// 2018; Hugging Face transformers, models/bert/modeling_bert.py) and DistilBERT (Sanh et al. 2019;
// models/distilbert/modeling_distilbert.py) in float64, one title at a time,
// with plain loops that can be read beside the formulas. It shares no code with the encoders.
#ifndef WADER_TESTS_REFERENCE_BERT_REF_H
#define WADER_TESTS_REFERENCE_BERT_REF_H

#include "host/base/base.h"
#include "weights/model.h"

struct bert_ref;

// Reads the weights of `model` once; `model` must outlive the result. They are kept as float, which
// holds every stored type exactly, and take 4 bytes for each weight outside the embeddings.
enum status bert_ref_open(const struct model *model, struct bert_ref **out, struct error *error);
void bert_ref_close(struct bert_ref *ref);  // NULL is fine

// The classifier's logits for one title: `ids` with [CLS] and [SEP], 1 <= n <= max_positions, each
// in [0, vocab_size). Token type 0, positions 0 to n-1, no padding. STATUS_IO without memory.
enum status bert_ref_logits(const struct bert_ref *ref, const int32_t *ids, int32_t n,
                            double *logits /* [K] */, struct error *error);

// All hidden states of one title: index 0 is the output of the embeddings, index l that of layer l.
enum status bert_ref_hidden(const struct bert_ref *ref, const int32_t *ids, int32_t n,
                            double *hidden /* [n_layers + 1, n, H] */, struct error *error);

// Number of doubles that bert_ref_hidden writes for a title of n tokens.
size_t bert_ref_hidden_size(const struct bert_ref *ref, int32_t n);

#endif
