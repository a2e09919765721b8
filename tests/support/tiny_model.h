// SPDX-License-Identifier: Apache-2.0
//
// Writes small model directories with random weights, for tests. Any figure may be chosen; the same
// spec always gives the same bytes. A step that fails ends the test program with a message.
#ifndef WADER_TESTS_SUPPORT_TINY_MODEL_H
#define WADER_TESTS_SUPPORT_TINY_MODEL_H

#include "weights/model.h"

struct tiny_model_spec {
    struct bert_config config;
    enum dtype dtype;           // of every weight
    unsigned long long seed;    // of the weights
    int n_shards;               // 0: model.safetensors; more: an index and that many files
    bool no_prefix;             // names without "bert."
    bool old_norm_names;        // LayerNorm.gamma and LayerNorm.beta
    bool misaligned;            // data begins at an odd offset of the file
    const char *const *labels;  // [n_labels] for id2label; NULL: LABEL_n
    const char *config_extra;   // more members for config.json: they win over those before
    const char *omit;           // the tensor whose name ends with this is left out
    const char *shrink;         // the one whose name ends with this gets a row less
    const char *as_i32;         // the one whose name ends with this is declared I32
};

// V 200, P 48, Y 2, H 32, F 64, 2 layers of 4 heads, K 3, eps 1e-12, F32, seed 1.
struct tiny_model_spec tiny_model_default(void);

// Writes config.json, vocab.txt, tokenizer_config.json and the weights to `dir`.
void tiny_model_write(const char *dir, const struct tiny_model_spec *spec);
void tiny_model_write_config(const char *dir, const struct tiny_model_spec *spec);
void tiny_model_write_vocab(const char *dir, const struct tiny_model_spec *spec);
void tiny_model_write_weights(const char *dir, const struct tiny_model_spec *spec);

// Writes the model, opens it and removes the files: what is mapped stays. model_close releases it.
struct model *tiny_model_open(const struct tiny_model_spec *spec);

// Element `index` of the tensor that a modern checkpoint calls `name`, "bert." and all, as it is
// stored: already rounded to spec->dtype.
float tiny_model_value(const struct tiny_model_spec *spec, const char *name, size_t index);

#endif
