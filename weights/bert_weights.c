// SPDX-License-Identifier: Apache-2.0
//
// Names are those of BertForSequenceClassification and DistilBertForSequenceClassification in
// transformers (models/bert/modeling_bert.py, models/distilbert/modeling_distilbert.py), in the
// order of their state dicts. Checkpoints of a bare encoder to which a classifier was added lack
// the prefix "bert." or "distilbert."; those converted from TensorFlow in 2019 say gamma and beta
// for a LayerNorm's weight and bias.
#include "weights/bert_weights.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/quote.h"

enum { ARCHITECTURES = ARCHITECTURE_DISTILBERT + 1 };

static const struct {
    const char *prefix, *layers, *classifier;
} architectures[ARCHITECTURES] = {
    [ARCHITECTURE_BERT] = {"bert", "encoder.layer", "BertForSequenceClassification"},
    [ARCHITECTURE_DISTILBERT] = {"distilbert", "transformer.layer",
                                 "DistilBertForSequenceClassification"},
};

// A dimension by the key of config.json that gives it.
enum dim { NONE, VOCAB, POSITIONS, TYPES, HIDDEN, INNER, LABELS };
static const char *const dim_keys[][ARCHITECTURES] = {
    [NONE] = {"", ""},
    [VOCAB] = {"vocab_size", "vocab_size"},
    [POSITIONS] = {"max_position_embeddings", "max_position_embeddings"},
    [TYPES] = {"type_vocab_size", "no token types"},
    [HIDDEN] = {"hidden_size", "dim"},
    [INNER] = {"intermediate_size", "hidden_dim"},
    [LABELS] = {"number of labels", "number of labels"},
};

// A name that begins with a dot has the architecture's prefix before it, if the file has prefixes.
// NULL: the architecture has no such weight. Names of a layer's weights go on behind its number.
struct slot {
    const char *names[ARCHITECTURES];
    size_t offset;  // of the struct tensor, in struct bert_weights or struct bert_layer
    enum dim rows, columns;
};

#define DENSE(type, field, bert, distilbert, out, in)                                         \
    {{bert ".weight", distilbert ".weight"}, offsetof(struct type, field.weight), out, in}, { \
        {bert ".bias", distilbert ".bias"}, offsetof(struct type, field.bias), out, NONE      \
    }
#define NORM(type, field, bert, distilbert) DENSE(type, field, bert, distilbert, HIDDEN, NONE)
#define TABLE(field, bert, distilbert, rows) \
    { {bert, distilbert}, offsetof(struct bert_weights, field), rows, HIDDEN }

static const struct slot embedding_slots[] = {
    TABLE(word_embeddings, ".embeddings.word_embeddings.weight",
          ".embeddings.word_embeddings.weight", VOCAB),
    TABLE(position_embeddings, ".embeddings.position_embeddings.weight",
          ".embeddings.position_embeddings.weight", POSITIONS),
    TABLE(token_type_embeddings, ".embeddings.token_type_embeddings.weight", NULL, TYPES),
    NORM(bert_weights, embedding_norm, ".embeddings.LayerNorm", ".embeddings.LayerNorm"),
};
static const struct slot layer_slots[] = {
    DENSE(bert_layer, query, "attention.self.query", "attention.q_lin", HIDDEN, HIDDEN),
    DENSE(bert_layer, key, "attention.self.key", "attention.k_lin", HIDDEN, HIDDEN),
    DENSE(bert_layer, value, "attention.self.value", "attention.v_lin", HIDDEN, HIDDEN),
    DENSE(bert_layer, attention_output, "attention.output.dense", "attention.out_lin", HIDDEN,
          HIDDEN),
    NORM(bert_layer, attention_norm, "attention.output.LayerNorm", "sa_layer_norm"),
    DENSE(bert_layer, intermediate, "intermediate.dense", "ffn.lin1", INNER, HIDDEN),
    DENSE(bert_layer, output, "output.dense", "ffn.lin2", HIDDEN, INNER),
    NORM(bert_layer, output_norm, "output.LayerNorm", "output_layer_norm"),
};
static const struct slot head_slots[] = {
    DENSE(bert_weights, pooler, ".pooler.dense", "pre_classifier", HIDDEN, HIDDEN),
    DENSE(bert_weights, classifier, "classifier", "classifier", LABELS, HIDDEN),
};

enum { NAME_NBYTES = sizeof((struct named_weight *)0)->name };

struct binder {
    const struct tensor_table *table;
    const struct bert_config *config;
    bool has_prefix;
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

static size_t slot_dims(const struct bert_config *config, const struct slot *slot, size_t dims[2]) {
    dims[0] = dim_size(config, slot->rows);
    dims[1] = dim_size(config, slot->columns);
    return slot->columns == NONE ? 1 : 2;
}

// `layer` is that of a layer's slot, or -1.
static void slot_name(const struct bert_config *config, const struct slot *slot, int32_t layer,
                      bool has_prefix, char name[NAME_NBYTES]) {
    const enum architecture architecture = config->architecture;
    const char *own = slot->names[architecture];
    const char *prefix = has_prefix ? architectures[architecture].prefix : "";
    int len;
    if (layer >= 0) {
        len = snprintf(name, NAME_NBYTES, "%s%s%s.%d.%s", prefix, has_prefix ? "." : "",
                       architectures[architecture].layers, (int)layer, own);
    } else if (own[0] == '.') {
        len = snprintf(name, NAME_NBYTES, "%s%s", prefix, has_prefix ? own : own + 1);
    } else {
        len = snprintf(name, NAME_NBYTES, "%s", own);
    }
    assert(len > 0 && len < NAME_NBYTES);
}

static bool ends_with(const char *text, size_t len, const char *end) {
    return len >= strlen(end) && memcmp(text + len - strlen(end), end, strlen(end)) == 0;
}

// The tensor called `name`, or what it was called before: LayerNorm.gamma and LayerNorm.beta.
static const struct named_tensor *find_by_any_name(const struct tensor_table *table,
                                                   const char *name) {
    const struct named_tensor *tensor = find(table, name);
    const size_t stem = (size_t)(strrchr(name, '.') - name);
    const bool is_norm = ends_with(name, stem, "LayerNorm") || ends_with(name, stem, "layer_norm");
    if (tensor != NULL || !is_norm) return tensor;
    char old[NAME_NBYTES];
    snprintf(old, sizeof old, "%.*s.%s", (int)stem, name,
             strcmp(name + stem, ".weight") == 0 ? "gamma" : "beta");
    return find(table, old);
}

static enum status missing(const struct binder *binder, const char *name) {
    if (strstr(name, "pooler.") != NULL || strstr(name, "classifier.") != NULL) {
        return error_set(binder->error, STATUS_MODEL,
                         "%s: tensor \"%s\" is missing: this checkpoint is an encoder without a "
                         "classification head; it needs a %s that was fine-tuned and saved",
                         binder->path, name,
                         architectures[binder->config->architecture].classifier);
    }
    return error_set(binder->error, STATUS_MODEL,
                     "%s: tensor \"%s\" is missing: the file does not fit config.json, or is not "
                     "a checkpoint of %s",
                     binder->path, name, architectures[binder->config->architecture].classifier);
}

static enum status bind_slot(const struct binder *binder, const struct slot *slot, int32_t layer,
                             void *base) {
    const enum architecture architecture = binder->config->architecture;
    if (slot->names[architecture] == NULL) return STATUS_OK;
    char name[NAME_NBYTES];
    slot_name(binder->config, slot, layer, binder->has_prefix, name);
    const struct named_tensor *found = find_by_any_name(binder->table, name);
    if (found == NULL) return missing(binder, name);

    size_t want[2];
    const size_t n_dims = slot_dims(binder->config, slot, want);
    if (found->n_dims != n_dims || memcmp(found->dims, want, n_dims * sizeof *want) != 0) {
        return error_set(binder->error, STATUS_MODEL,
                         "%s: tensor %s has the shape %s, but config.json asks for %s (%s%s%s)",
                         binder->path, quote(found->name).text,
                         shape_text(found->dims, found->n_dims).text, shape_text(want, n_dims).text,
                         dim_keys[slot->rows][architecture], n_dims == 2 ? ", " : "",
                         dim_keys[slot->columns][architecture]);
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
                              int32_t layer, void *base) {
    for (size_t i = 0; i < n; i++) {
        enum status status = bind_slot(binder, &slots[i], layer, base);
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
    struct binder binder = {.table = table,
                            .config = config,
                            .has_prefix = find(table, "embeddings.word_embeddings.weight") == NULL,
                            .path = path,
                            .error = error};
    void *layers = NULL;
    enum status status = alloc_zeroed(&layers, (size_t)config->n_layers, sizeof *weights->layers,
                                      "the layers", error);
    if (status != STATUS_OK) return status;
    weights->layers = layers;
    status = bind_slots(&binder, embedding_slots, ARRAY_LEN(embedding_slots), -1, weights);
    for (int32_t i = 0; status == STATUS_OK && i < config->n_layers; i++) {
        status = bind_slots(&binder, layer_slots, ARRAY_LEN(layer_slots), i, &weights->layers[i]);
    }
    if (status == STATUS_OK) {
        status = bind_slots(&binder, head_slots, ARRAY_LEN(head_slots), -1, weights);
    }
    if (status != STATUS_OK) bert_weights_free(weights);
    return status;
}

void bert_weights_free(struct bert_weights *weights) {
    free(weights->layers);
    *weights = (struct bert_weights){0};
}

// The embeddings' slots that the architecture has: all, but for the token types.
static size_t n_embedding_slots(const struct bert_config *config) {
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(embedding_slots); i++) {
        n += embedding_slots[i].names[config->architecture] != NULL;
    }
    return n;
}

size_t bert_weights_count(const struct bert_config *config) {
    return n_embedding_slots(config) + (size_t)config->n_layers * ARRAY_LEN(layer_slots) +
           ARRAY_LEN(head_slots);
}

struct named_weight bert_weights_get(const struct bert_config *config,
                                     const struct bert_weights *weights, size_t i) {
    const size_t n_embeddings = n_embedding_slots(config);
    const size_t n_in_layers = (size_t)config->n_layers * ARRAY_LEN(layer_slots);
    assert(i < bert_weights_count(config));
    const struct slot *slot;
    const void *base = weights;
    int32_t layer = -1;
    if (i < n_embeddings) {
        slot = embedding_slots;
        while (slot->names[config->architecture] == NULL || i-- > 0) slot++;
    } else if (i - n_embeddings < n_in_layers) {
        i -= n_embeddings;
        layer = (int32_t)(i / ARRAY_LEN(layer_slots));
        slot = &layer_slots[i % ARRAY_LEN(layer_slots)];
        base = &weights->layers[layer];
    } else {
        slot = &head_slots[i - n_embeddings - n_in_layers];
    }
    struct named_weight weight = {.n_dims = 0};
    slot_name(config, slot, layer, true, weight.name);
    weight.n_dims = slot_dims(config, slot, weight.dims);
    memcpy(&weight.tensor, (const char *)base + slot->offset, sizeof weight.tensor);
    return weight;
}
