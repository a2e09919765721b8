// SPDX-License-Identifier: Apache-2.0
//
// Names are those of BertForSequenceClassification in transformers (models/bert/modeling_bert.py).
// Checkpoints of a bare encoder to which a classifier was added lack the prefix "bert."; those
// converted from TensorFlow in 2019 say gamma and beta for a LayerNorm's weight and bias.
#include "weights/bert_weights.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/quote.h"

enum { NAME_BYTES = 128 };

// A dimension by the key of config.json that gives it.
enum dim { NONE, VOCAB, POSITIONS, TYPES, HIDDEN, INNER, LABELS };
static const char *const dim_keys[] = {
    [NONE] = "",
    [VOCAB] = "vocab_size",
    [POSITIONS] = "max_position_embeddings",
    [TYPES] = "type_vocab_size",
    [HIDDEN] = "hidden_size",
    [INNER] = "intermediate_size",
    [LABELS] = "number of labels",
};

struct slot {
    const char *name;
    size_t offset;  // of the struct tensor, in struct bert_weights or struct bert_layer
    enum dim rows, columns;
};

#define SLOT(field, name, ...) \
    { name, offsetof(struct bert_weights, field), __VA_ARGS__ }
static const struct slot embedding_slots[] = {
    SLOT(word_embeddings, "embeddings.word_embeddings.weight", VOCAB, HIDDEN),
    SLOT(position_embeddings, "embeddings.position_embeddings.weight", POSITIONS, HIDDEN),
    SLOT(token_type_embeddings, "embeddings.token_type_embeddings.weight", TYPES, HIDDEN),
    SLOT(embedding_norm.weight, "embeddings.LayerNorm.weight", HIDDEN, NONE),
    SLOT(embedding_norm.bias, "embeddings.LayerNorm.bias", HIDDEN, NONE),
    SLOT(pooler.weight, "pooler.dense.weight", HIDDEN, HIDDEN),
    SLOT(pooler.bias, "pooler.dense.bias", HIDDEN, NONE),
};
static const struct slot classifier_slots[] = {
    SLOT(classifier.weight, "classifier.weight", LABELS, HIDDEN),
    SLOT(classifier.bias, "classifier.bias", LABELS, NONE),
};
#undef SLOT

#define SLOT(field, name, ...) \
    { name, offsetof(struct bert_layer, field), __VA_ARGS__ }
static const struct slot layer_slots[] = {
    SLOT(query.weight, "attention.self.query.weight", HIDDEN, HIDDEN),
    SLOT(query.bias, "attention.self.query.bias", HIDDEN, NONE),
    SLOT(key.weight, "attention.self.key.weight", HIDDEN, HIDDEN),
    SLOT(key.bias, "attention.self.key.bias", HIDDEN, NONE),
    SLOT(value.weight, "attention.self.value.weight", HIDDEN, HIDDEN),
    SLOT(value.bias, "attention.self.value.bias", HIDDEN, NONE),
    SLOT(attention_output.weight, "attention.output.dense.weight", HIDDEN, HIDDEN),
    SLOT(attention_output.bias, "attention.output.dense.bias", HIDDEN, NONE),
    SLOT(attention_norm.weight, "attention.output.LayerNorm.weight", HIDDEN, NONE),
    SLOT(attention_norm.bias, "attention.output.LayerNorm.bias", HIDDEN, NONE),
    SLOT(intermediate.weight, "intermediate.dense.weight", INNER, HIDDEN),
    SLOT(intermediate.bias, "intermediate.dense.bias", INNER, NONE),
    SLOT(output.weight, "output.dense.weight", HIDDEN, INNER),
    SLOT(output.bias, "output.dense.bias", HIDDEN, NONE),
    SLOT(output_norm.weight, "output.LayerNorm.weight", HIDDEN, NONE),
    SLOT(output_norm.bias, "output.LayerNorm.bias", HIDDEN, NONE),
};
#undef SLOT

struct binder {
    const struct tensor_table *table;
    const struct bert_config *config;
    const char *path;
    struct error *error;
};

static const struct named_tensor *find(const struct tensor_table *table, const char *name) {
    return tensor_table_find(table, span_text(name));
}

static size_t dim_size(const struct bert_config *config, enum dim dim) {
    const int32_t sizes[] = {
        [NONE] = 0,
        [VOCAB] = config->vocab_size,
        [POSITIONS] = config->max_positions,
        [TYPES] = config->type_vocab_size,
        [HIDDEN] = config->hidden_size,
        [INNER] = config->intermediate_size,
        [LABELS] = config->n_labels,
    };
    return (size_t)sizes[dim];
}

// The tensor called `name`, or what it was called before: LayerNorm.gamma and LayerNorm.beta.
static const struct named_tensor *find_by_any_name(const struct tensor_table *table,
                                                   const char *name) {
    const struct named_tensor *tensor = find(table, name);
    const char *norm = strstr(name, "LayerNorm.");
    if (tensor != NULL || norm == NULL) return tensor;
    char old[NAME_BYTES];
    int stem = (int)(norm + strlen("LayerNorm.") - name);
    snprintf(old, sizeof old, "%.*s%s", stem, name,
             strcmp(name + stem, "weight") == 0 ? "gamma" : "beta");
    return find(table, old);
}

static enum status missing(const struct binder *binder, const char *name) {
    const char *hint = "the file does not fit config.json, or is not a BERT checkpoint";
    if (strstr(name, "pooler.") != NULL || strstr(name, "classifier.") != NULL) {
        hint =
            "this checkpoint is an encoder without a classification head; it needs a "
            "BertForSequenceClassification that was fine-tuned and saved";
    }
    return error_set(binder->error, STATUS_MODEL, "%s: tensor \"%s\" is missing: %s", binder->path,
                     name, hint);
}

static enum status bind_slot(const struct binder *binder, const struct slot *slot,
                             const char *prefix, void *base) {
    char name[NAME_BYTES];
    int len = snprintf(name, sizeof name, "%s%s", prefix, slot->name);
    assert(len > 0 && (size_t)len < sizeof name);
    const struct named_tensor *found = find_by_any_name(binder->table, name);
    if (found == NULL) return missing(binder, name);

    const size_t want[2] = {dim_size(binder->config, slot->rows),
                            dim_size(binder->config, slot->columns)};
    size_t n_dims = slot->columns == NONE ? 1 : 2;
    if (found->n_dims != n_dims || memcmp(found->dims, want, n_dims * sizeof *want) != 0) {
        return error_set(binder->error, STATUS_MODEL,
                         "%s: tensor %s has the shape %s, but config.json asks for %s (%s%s%s)",
                         binder->path, quote(found->name).text,
                         shape_text(found->dims, found->n_dims).text, shape_text(want, n_dims).text,
                         dim_keys[slot->rows], n_dims == 2 ? ", " : "", dim_keys[slot->columns]);
    }
    if (!found->usable) {
        return error_set(binder->error, STATUS_MODEL,
                         "%s: tensor %s is stored as %s; only F32, F16 and BF16 are read",
                         binder->path, quote(found->name).text, quote(found->dtype_name).text);
    }
    memcpy((char *)base + slot->offset, &found->tensor, sizeof found->tensor);
    return STATUS_OK;
}

static enum status bind_slots(const struct binder *binder, const struct slot *slots, size_t n,
                              const char *prefix, void *base) {
    for (size_t i = 0; i < n; i++) {
        enum status status = bind_slot(binder, &slots[i], prefix, base);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

size_t bert_weights_classifier_rows(const struct tensor_table *table) {
    const struct named_tensor *classifier = find(table, "classifier.weight");
    return classifier != NULL && classifier->n_dims == 2 ? classifier->dims[0] : 0;
}

enum status bert_weights_bind(const struct tensor_table *table, const struct bert_config *config,
                              const char *path, struct bert_weights *weights, struct error *error) {
    *weights = (struct bert_weights){0};
    struct binder binder = {.table = table, .config = config, .path = path, .error = error};
    void *layers = NULL;
    enum status status = alloc_zeroed(&layers, (size_t)config->n_layers, sizeof *weights->layers,
                                      "the layers", error);
    if (status != STATUS_OK) return status;
    weights->layers = layers;

    const char *prefix = find(table, "embeddings.word_embeddings.weight") != NULL ? "" : "bert.";
    status = bind_slots(&binder, embedding_slots, ARRAY_LEN(embedding_slots), prefix, weights);
    for (int32_t i = 0; status == STATUS_OK && i < config->n_layers; i++) {
        char layer[NAME_BYTES / 2];
        snprintf(layer, sizeof layer, "%sencoder.layer.%d.", prefix, i);
        status =
            bind_slots(&binder, layer_slots, ARRAY_LEN(layer_slots), layer, &weights->layers[i]);
    }
    if (status == STATUS_OK) {
        status = bind_slots(&binder, classifier_slots, ARRAY_LEN(classifier_slots), "", weights);
    }
    if (status != STATUS_OK) bert_weights_free(weights);
    return status;
}

void bert_weights_free(struct bert_weights *weights) {
    free(weights->layers);
    *weights = (struct bert_weights){0};
}
