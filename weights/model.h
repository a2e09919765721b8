// SPDX-License-Identifier: Apache-2.0
//
// A BERT or DistilBERT sequence classifier as Hugging Face stores one: config.json, weights, label
// names. Opening checks that everything fits together; whoever holds a `struct model` may rely on
// it.
#ifndef WADER_WEIGHTS_MODEL_H
#define WADER_WEIGHTS_MODEL_H

#include "host/base/base.h"

// Whose keys and names a checkpoint has.
enum architecture { ARCHITECTURE_BERT, ARCHITECTURE_DISTILBERT };

// GELU in the feed-forward part (Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016)
//   GELU_ERF   x/2 (1 + erf(x / sqrt 2)), which checkpoints mean by "gelu"
//   GELU_TANH  x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
enum gelu_form { GELU_ERF, GELU_TANH };

// What is applied between the head's two products.
enum head_activation { HEAD_TANH, HEAD_RELU };

// What the logits mean: one label of all, its score a softmax; or each label for itself, its score
// a sigmoid.
enum problem_type { PROBLEM_SINGLE_LABEL, PROBLEM_MULTI_LABEL };

// Letters used in shapes, here and in the encoders:
//   V vocabulary   P positions   Y token types   H hidden size   F feed-forward   K classes
//
// DistilBERT (Sanh et al. 2019) computes what BERT does, with other names, no token types and
// another activation in the head: the encoders know of the two latter alone.
struct bert_config {
    enum architecture architecture;
    enum gelu_form gelu;
    enum head_activation head_activation;
    enum problem_type problem;
    int32_t vocab_size;         // V
    int32_t max_positions;      // P
    int32_t type_vocab_size;    // Y, or 0: no token types
    int32_t hidden_size;        // H, a multiple of n_heads
    int32_t intermediate_size;  // F
    int32_t n_layers;           // at least 1
    int32_t n_heads;
    int32_t n_labels;  // K
    float layer_norm_eps;
};

// E4M3 is what a device multiplies; no file has it.
enum dtype { DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_E4M3 };

// A tensor inside a mapped weights file: row-major, little-endian, not necessarily aligned to its
// element size. Its shape is the one the field below states. Lives as long as the model.
struct tensor {
    const void *data;
    size_t n_elements;
    enum dtype dtype;
};

// A dense layer as PyTorch stores it: y = x W^T + b.
struct dense {
    struct tensor weight;  // [out, in]
    struct tensor bias;    // [out]
};

struct layer_norm {
    struct tensor weight;  // [H]
    struct tensor bias;    // [H]
};

struct bert_layer {
    struct dense query, key, value;  // [H, H]
    struct dense attention_output;   // [H, H]
    struct layer_norm attention_norm;
    struct dense intermediate;  // [F, H]
    struct dense output;        // [H, F]
    struct layer_norm output_norm;
};

struct bert_weights {
    struct tensor word_embeddings;        // [V, H]
    struct tensor position_embeddings;    // [P, H]
    struct tensor token_type_embeddings;  // [Y, H], n_elements 0 where Y is 0
    struct layer_norm embedding_norm;
    struct bert_layer *layers;  // [n_layers]
    struct dense pooler;        // [H, H], DistilBERT's pre_classifier
    struct dense classifier;    // [K, H]
};

// Where the label names come from, in order of preference.
enum label_source {
    LABELS_FROM_CONFIG,  // id2label, unless it only says LABEL_0, LABEL_1, ...
    LABELS_FROM_DIR,     // labels.txt in the model directory
    LABELS_FROM_FILE,    // the file given with --labels
    LABELS_NUMBERED,     // LABEL_n: nobody named them
};

// A file that the model was read from, for whoever hashes what went into a result. Mapped as long
// as the model is open.
struct model_file {
    char *name;   // in the model directory; the file given with --labels by its path
    bool in_dir;  // false: that file, wherever it lies
    struct file_map map;
};

// What makes a label's probability one that can be relied on: calibration.json in the directory.
struct calibration {
    float temperature;  // what logits are divided by before they become probabilities; 1: as is
    float *thresholds;  // [K] or NULL: a title whose label is less probable gets none
};

struct model {
    struct bert_config config;
    struct calibration calibration;
    struct bert_weights weights;
    char **labels;  // [K], UTF-8, never empty
    enum label_source label_source;
    const char *weights_name;  // "model.safetensors" or "model.safetensors.index.json"
    struct model_file *files;  // [n_files] config.json first; only those that were used
    size_t n_files;
    struct file_map *rooms;  // [n_rooms] memory of tensors that are not in a file as they are
    size_t n_rooms;
};

// Opens `dir`. `labels_file` may be NULL. STATUS_MODEL, naming file and figures, when anything is
// missing, damaged, unsupported or does not fit. `*out` is NULL on failure.
enum status model_open(const char *dir, const char *labels_file, struct model **out,
                       struct error *error);
void model_close(struct model *model);  // NULL is fine

// STATUS_MODEL, naming it, when a file that the model was read from has been written to or replaced
// since: then results are of neither the old model nor the new one.
enum status model_check_unchanged(const struct model *model, const char *dir, struct error *error);

// config.json alone, for what needs no weights. n_labels is 0 where only the weights tell it.
enum status model_read_config(const char *dir, struct bert_config *config, struct error *error);

// Elements [first, first + n) of `tensor`, converted to float. F16 and BF16 convert exactly.
void tensor_read(struct tensor tensor, size_t first, size_t n, float *out);

// Tells the system that the mapped pages of `tensor` are not needed soon (they were converted or
// packed). The tensor stays readable.
void tensor_forget(struct tensor tensor);

#endif
