// SPDX-License-Identifier: Apache-2.0
//
// What rounding weights to int8 shifts, so that biases can take it back; private to this room.
//
// A product of rounded weights Q instead of W is off by (Q - W) x, whose mean is (Q - W) m with m
// the mean of the inputs x: pack_dense subtracts that. m is that of made-up titles, which run
// through the layers while these are packed, one after the other: each product's inputs come from
// products that are packed and corrected already, in int8 as in a run. So m is a function of the
// model alone (on processors of one kind), and there is no calibration set.
//
// The titles are one tile of tokens, drawn from the whole vocabulary with a fixed seed, of lengths
// from 6 to 24, or what the model's positions allow.
#ifndef WADER_HOST_ENCODER_CPU_PROBE_H
#define WADER_HOST_ENCODER_CPU_PROBE_H

#include "host/encoder/cpu_model.h"

enum { PROBE_TOKENS = 128 };

struct cpu_probe;

// `model` has its plans and embeddings, is of CPU_INT8, and outlives the probe. Used by one thread.
enum status cpu_probe_create(const struct cpu_model *model, struct cpu_probe **out,
                             struct error *error);
void cpu_probe_destroy(struct cpu_probe *probe);  // NULL is fine

// Bytes that it takes, nearly all of them.
size_t cpu_probe_nbytes(const struct bert_config *config);

// What the products of a layer take, in the order in which they come.
enum probe_input {
    PROBE_HIDDEN,   // [H], of query, key and value, and of the first feed-forward product
    PROBE_CONTEXT,  // [H], of attention's output product
    PROBE_FEED,     // [F], of the second feed-forward product
};

// The mean over all tokens, without those that hold an infinity or NaN; 0 where none is left. Valid
// until the next call. NULL: no probe.
const float *cpu_probe_mean(struct cpu_probe *probe, enum probe_input input);

// A layer's steps, each once what it multiplies with is packed: to PROBE_CONTEXT, to PROBE_HIDDEN,
// to PROBE_FEED, to PROBE_HIDDEN of the next layer. Nothing is done where `probe` is NULL.
enum status cpu_probe_attention(struct cpu_probe *probe, const struct layer_weights *layer,
                                struct error *error);
enum status cpu_probe_attention_output(struct cpu_probe *probe, const struct layer_weights *layer,
                                       struct error *error);
enum status cpu_probe_feed(struct cpu_probe *probe, const struct layer_weights *layer,
                           struct error *error);
enum status cpu_probe_output(struct cpu_probe *probe, const struct layer_weights *layer,
                             struct error *error);

#endif
