// SPDX-License-Identifier: Apache-2.0
//
// Keys and defaults are those of transformers' BertConfig (models/bert/configuration_bert.py) and
// PretrainedConfig (configuration_utils.py). A key that is null counts as absent, as it does there.
#include "weights/bert_config.h"

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

// What kind of model it is, before any figure: the message a user with another model should get.
static enum status read_kind(const struct reader *reader) {
    struct json_value value;
    if (!find(reader, "model_type", &value)) {
        return error_set(reader->error, STATUS_MODEL,
                         "%s: model_type is missing; it must be \"bert\"", reader->path);
    }
    if (!json_string_equal(value, "bert")) {
        return refuse(reader, "model_type", value, "only \"bert\" is supported");
    }
    if (find(reader, "architectures", &value)) {
        bool classifier = false;
        for (struct json_walk walk = json_walk(value); json_next(&walk);) {
            classifier |= json_string_equal(walk.value, "BertForSequenceClassification");
        }
        if (!classifier) {
            return refuse(reader, "architectures", value,
                          "only BertForSequenceClassification is supported");
        }
    }
    enum status status = read_only(reader, "problem_type", "single_label_classification",
                                   "only \"single_label_classification\" is supported");
    if (status == STATUS_OK) status = read_false(reader, "is_decoder");
    if (status == STATUS_OK) status = read_false(reader, "add_cross_attention");
    if (status == STATUS_OK) {
        status = read_only(reader, "position_embedding_type", "absolute",
                           "only \"absolute\" is supported");
    }
    if (status == STATUS_OK) {
        status = read_only(reader, "hidden_act", "gelu", "only \"gelu\" is supported");
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

// The figures with their bounds, which keep every product of them inside 64 bits.
static enum status read_sizes(const struct reader *reader, struct bert_config *config) {
    const struct {
        const char *key;
        int32_t max, otherwise;
        int32_t *out;
    } sizes[] = {
        {"vocab_size", 1 << 24, 0, &config->vocab_size},
        {"hidden_size", 16384, 0, &config->hidden_size},
        {"num_hidden_layers", 512, 0, &config->n_layers},
        {"num_attention_heads", 16384, 0, &config->n_heads},
        {"intermediate_size", 1 << 17, 0, &config->intermediate_size},
        {"max_position_embeddings", 1 << 20, 0, &config->max_positions},
        {"type_vocab_size", 65536, 2, &config->type_vocab_size},
    };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        enum status status =
            read_count(reader, sizes[i].key, sizes[i].max, sizes[i].otherwise, sizes[i].out);
        if (status != STATUS_OK) return status;
    }
    if (config->hidden_size % config->n_heads != 0) {
        return error_set(reader->error, STATUS_MODEL,
                         "%s: hidden_size is %d, which is no multiple of num_attention_heads, %d",
                         reader->path, config->hidden_size, config->n_heads);
    }
    struct json_value value;
    if (!find(reader, "num_labels", &value)) return STATUS_OK;
    return read_count(reader, "num_labels", LABELS_MAX, 0, &config->n_labels);
}

enum status bert_config_read(struct json_value object, const char *path, struct bert_config *config,
                             struct error *error) {
    *config = (struct bert_config){0};
    struct reader reader = {.object = object, .path = path, .error = error};
    enum status status = read_kind(&reader);
    if (status == STATUS_OK) status = read_sizes(&reader, config);
    if (status == STATUS_OK) status = read_epsilon(&reader, &config->layer_norm_eps);
    return status;
}
