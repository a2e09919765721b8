// SPDX-License-Identifier: Apache-2.0
//
// Keys and defaults are those of transformers' BertConfig (models/bert/configuration_bert.py),
// DistilBertConfig (models/distilbert/configuration_distilbert.py) and PretrainedConfig
// (configuration_utils.py). A key that is null counts as absent, as it does there.
//
// Of DistilBERT's own keys sinusoidal_pos_embds says how the position embeddings were made, which
// the checkpoint holds like any; the epsilon of its LayerNorms has no key.
#include "weights/bert_config.h"

#include <string.h>

#include "host/base/utf8.h"
#include "weights/quote.h"

struct reader {
    struct json_value object;
    const char *path;
    struct error *error;
};

enum status config_parse(struct span text, const char *path, struct json_value *object,
                         struct error *error) {
    struct json_fault fault = {.what = "ill-formed UTF-8",
                               .offset = utf8_check(text.ptr, text.len)};
    if (fault.offset < text.len || !json_parse(text, object, &fault)) {
        return error_set(error, STATUS_MODEL, "%s: not JSON at byte %zu: %s", path, fault.offset,
                         fault.what);
    }
    if (object->type != JSON_OBJECT) {
        return error_set(error, STATUS_MODEL, "%s: holds %s, should hold an object", path,
                         json_type_name(object->type));
    }
    return STATUS_OK;
}

// False where the key is absent or null.
static bool find(const struct reader *reader, const char *key, struct json_value *value) {
    return json_member(reader->object, key, value) && value->type != JSON_NULL;
}

static enum status refuse(const struct reader *reader, const char *key, struct json_value value,
                          const char *should) {
    return error_set(reader->error, STATUS_MODEL, "%s: %s is %s; %s", reader->path, key,
                     quote_json(value).text, should);
}

// A key that must be `only` where it is there at all.
static enum status read_only(const struct reader *reader, const char *key, const char *only,
                             const char *should) {
    struct json_value value;
    if (!find(reader, key, &value) || json_string_equal(value, only)) return STATUS_OK;
    return refuse(reader, key, value, should);
}

static enum status read_false(const struct reader *reader, const char *key) {
    struct json_value value;
    bool on = true;
    if (!find(reader, key, &value) || (json_bool(value, &on) && !on)) return STATUS_OK;
    return refuse(reader, key, value, "only encoders, where it is false, are supported");
}

// What is taken, by the names that transformers gives its classes for PyTorch and TensorFlow.
static const struct {
    const char *model_type, *classes[2], *activation_key;
} kinds[] = {
    [ARCHITECTURE_BERT] = {"bert",
                           {"BertForSequenceClassification", "TFBertForSequenceClassification"},
                           "hidden_act"},
    [ARCHITECTURE_DISTILBERT] = {"distilbert",
                                 {"DistilBertForSequenceClassification",
                                  "TFDistilBertForSequenceClassification"},
                                 "activation"},
};

static enum status read_architecture(const struct reader *reader, struct bert_config *config) {
    struct json_value value;
    if (!find(reader, "model_type", &value)) {
        return error_set(reader->error, STATUS_MODEL,
                         "%s: model_type is missing; it must be \"bert\" or \"distilbert\"",
                         reader->path);
    }
    size_t kind = 0;
    while (kind < ARRAY_LEN(kinds) && !json_string_equal(value, kinds[kind].model_type)) kind++;
    if (kind == ARRAY_LEN(kinds)) {
        return refuse(reader, "model_type", value,
                      "only \"bert\" and \"distilbert\" are supported");
    }
    config->architecture = (enum architecture)kind;
    config->head_activation = kind == ARCHITECTURE_DISTILBERT ? HEAD_RELU : HEAD_TANH;
    if (!find(reader, "architectures", &value)) return STATUS_OK;
    bool classifier = false;
    for (struct json_walk walk = json_walk(value); json_next(&walk);) {
        classifier |= json_string_equal(walk.value, kinds[kind].classes[0]) ||
                      json_string_equal(walk.value, kinds[kind].classes[1]);
    }
    if (classifier) return STATUS_OK;
    return error_set(reader->error, STATUS_MODEL,
                     "%s: architectures is %s; of model_type \"%s\" only %s is supported",
                     reader->path, quote_json(value).text, kinds[kind].model_type,
                     kinds[kind].classes[0]);
}

static enum status read_problem(const struct reader *reader, enum problem_type *problem) {
    struct json_value value;
    *problem = PROBLEM_SINGLE_LABEL;
    if (!find(reader, "problem_type", &value) ||
        json_string_equal(value, "single_label_classification")) {
        return STATUS_OK;
    }
    *problem = PROBLEM_MULTI_LABEL;
    if (json_string_equal(value, "multi_label_classification")) return STATUS_OK;
    return refuse(reader, "problem_type", value,
                  "only \"single_label_classification\" and \"multi_label_classification\" are "
                  "supported");
}

// transformers has two names for the tanh form (activations.py).
static enum status read_gelu(const struct reader *reader, const char *key, enum gelu_form *form) {
    struct json_value value;
    *form = GELU_ERF;
    if (!find(reader, key, &value) || json_string_equal(value, "gelu")) return STATUS_OK;
    *form = GELU_TANH;
    if (json_string_equal(value, "gelu_new") || json_string_equal(value, "gelu_pytorch_tanh")) {
        return STATUS_OK;
    }
    return refuse(reader, key, value,
                  "only \"gelu\", \"gelu_new\" and \"gelu_pytorch_tanh\" are supported");
}

// What kind of model it is, before any figure: the message a user with another model should get.
static enum status read_kind(const struct reader *reader, struct bert_config *config) {
    enum status status = read_architecture(reader, config);
    if (status == STATUS_OK) status = read_problem(reader, &config->problem);
    if (status == STATUS_OK) status = read_false(reader, "is_decoder");
    if (status == STATUS_OK) status = read_false(reader, "add_cross_attention");
    if (status == STATUS_OK) {
        status = read_only(reader, "position_embedding_type", "absolute",
                           "only \"absolute\" is supported");
    }
    if (status == STATUS_OK) {
        status = read_gelu(reader, kinds[config->architecture].activation_key, &config->gelu);
    }
    return status;
}

// A whole number from 1 to `max`; `otherwise` where the key is absent, or 0: it must be there.
static enum status read_count(const struct reader *reader, const char *key, int32_t max,
                              int32_t otherwise, int32_t *out) {
    struct json_value value;
    int64_t number = 0;
    if (!find(reader, key, &value)) {
        *out = otherwise;
        if (otherwise > 0) return STATUS_OK;
        return error_set(reader->error, STATUS_MODEL,
                         "%s: %s is missing; it must be a whole number from 1 to %d", reader->path,
                         key, max);
    }
    if (!json_int64(value, &number) || number < 1 || number > max) {
        return error_set(reader->error, STATUS_MODEL,
                         "%s: %s is %s; it must be a whole number from 1 to %d", reader->path, key,
                         quote_json(value).text, max);
    }
    *out = (int32_t)number;
    return STATUS_OK;
}

static enum status read_epsilon(const struct reader *reader, float *out) {
    struct json_value value;
    double number = 1e-12;
    if (find(reader, "layer_norm_eps", &value)) {
        if (!json_double(value, &number) || !((float)number > 0.0F) || number > 1.0) {
            return refuse(reader, "layer_norm_eps", value,
                          "it must be a number above 0, and at most 1");
        }
    }
    *out = (float)number;
    return STATUS_OK;
}

// A figure by each architecture's key, with the bounds that keep every product of them inside 64
// bits.
struct size_key {
    const char *keys[ARRAY_LEN(kinds)];
    int32_t max, otherwise;
    size_t offset;  // of the int32_t in struct bert_config
};
static const struct size_key size_keys[] = {
    {{"vocab_size", "vocab_size"}, 1 << 24, 0, offsetof(struct bert_config, vocab_size)},
    {{"hidden_size", "dim"}, 16384, 0, offsetof(struct bert_config, hidden_size)},
    {{"num_hidden_layers", "n_layers"}, 512, 0, offsetof(struct bert_config, n_layers)},
    {{"num_attention_heads", "n_heads"}, 16384, 0, offsetof(struct bert_config, n_heads)},
    {{"intermediate_size", "hidden_dim"},
     1 << 17,
     0,
     offsetof(struct bert_config, intermediate_size)},
    {{"max_position_embeddings", "max_position_embeddings"},
     1 << 20,
     0,
     offsetof(struct bert_config, max_positions)},
    {{"type_vocab_size", NULL}, 65536, 2, offsetof(struct bert_config, type_vocab_size)},
};

// In a DistilBERT config transformers takes some of BERT's keys for DistilBERT's, and they win.
static enum status check_alias(const struct reader *reader, const struct size_key *size,
                               int32_t figure) {
    struct json_value value;
    int64_t number = 0;
    const char *alias = size->keys[ARCHITECTURE_BERT], *key = size->keys[ARCHITECTURE_DISTILBERT];
    if (!find(reader, alias, &value) || (json_int64(value, &number) && number == figure)) {
        return STATUS_OK;
    }
    return error_set(reader->error, STATUS_MODEL, "%s: %s is %d, but %s is %s; they must agree",
                     reader->path, key, (int)figure, alias, quote_json(value).text);
}

static enum status read_sizes(const struct reader *reader, struct bert_config *config) {
    for (size_t i = 0; i < ARRAY_LEN(size_keys); i++) {
        const struct size_key *size = &size_keys[i];
        const char *key = size->keys[config->architecture];
        if (key == NULL) continue;
        int32_t figure;
        enum status status = read_count(reader, key, size->max, size->otherwise, &figure);
        if (status == STATUS_OK && config->architecture == ARCHITECTURE_DISTILBERT) {
            status = check_alias(reader, size, figure);
        }
        if (status != STATUS_OK) return status;
        memcpy((char *)config + size->offset, &figure, sizeof figure);
    }
    if (config->hidden_size % config->n_heads != 0) {
        return error_set(reader->error, STATUS_MODEL,
                         "%s: %s is %d, which is no multiple of %s, %d", reader->path,
                         size_keys[1].keys[config->architecture], config->hidden_size,
                         size_keys[3].keys[config->architecture], config->n_heads);
    }
    struct json_value value;
    if (!find(reader, "num_labels", &value)) return STATUS_OK;
    return read_count(reader, "num_labels", LABELS_MAX, 0, &config->n_labels);
}

enum status bert_config_read(struct json_value object, const char *path, struct bert_config *config,
                             struct error *error) {
    *config = (struct bert_config){0};
    struct reader reader = {.object = object, .path = path, .error = error};
    enum status status = read_kind(&reader, config);
    if (status == STATUS_OK) status = read_sizes(&reader, config);
    config->layer_norm_eps = 1e-12F;
    if (status == STATUS_OK && config->architecture == ARCHITECTURE_BERT) {
        status = read_epsilon(&reader, &config->layer_norm_eps);
    }
    return status;
}
