// SPDX-License-Identifier: Apache-2.0
//
// Which tensor is which weight, for both architectures: the names are those that transformers'
// state dicts have, every tensor is found under each name that it may have, and each one that is
// missing or does not fit is named.
#include "weights/bert_weights.h"

#include "tests/check.h"
#include "tests/support/must.h"
#include "tests/support/tiny_model.h"

static const struct bert_config configs[] = {
    {.architecture = ARCHITECTURE_BERT,
     .vocab_size = 11,
     .max_positions = 7,
     .type_vocab_size = 2,
     .hidden_size = 4,
     .intermediate_size = 6,
     .n_layers = 1,
     .n_heads = 2,
     .n_labels = 3,
     .layer_norm_eps = 1e-12F},
    {.architecture = ARCHITECTURE_DISTILBERT,
     .vocab_size = 11,
     .max_positions = 7,
     .hidden_size = 4,
     .intermediate_size = 6,
     .n_layers = 1,
     .n_heads = 2,
     .n_labels = 3,
     .layer_norm_eps = 1e-12F},
};

// What state_dict() of transformers 4.49 lists for models of these figures.
static const char *const listings[] = {
    "bert.embeddings.word_embeddings.weight [11, 4]\n"
    "bert.embeddings.position_embeddings.weight [7, 4]\n"
    "bert.embeddings.token_type_embeddings.weight [2, 4]\n"
    "bert.embeddings.LayerNorm.weight [4]\n"
    "bert.embeddings.LayerNorm.bias [4]\n"
    "bert.encoder.layer.0.attention.self.query.weight [4, 4]\n"
    "bert.encoder.layer.0.attention.self.query.bias [4]\n"
    "bert.encoder.layer.0.attention.self.key.weight [4, 4]\n"
    "bert.encoder.layer.0.attention.self.key.bias [4]\n"
    "bert.encoder.layer.0.attention.self.value.weight [4, 4]\n"
    "bert.encoder.layer.0.attention.self.value.bias [4]\n"
    "bert.encoder.layer.0.attention.output.dense.weight [4, 4]\n"
    "bert.encoder.layer.0.attention.output.dense.bias [4]\n"
    "bert.encoder.layer.0.attention.output.LayerNorm.weight [4]\n"
    "bert.encoder.layer.0.attention.output.LayerNorm.bias [4]\n"
    "bert.encoder.layer.0.intermediate.dense.weight [6, 4]\n"
    "bert.encoder.layer.0.intermediate.dense.bias [6]\n"
    "bert.encoder.layer.0.output.dense.weight [4, 6]\n"
    "bert.encoder.layer.0.output.dense.bias [4]\n"
    "bert.encoder.layer.0.output.LayerNorm.weight [4]\n"
    "bert.encoder.layer.0.output.LayerNorm.bias [4]\n"
    "bert.pooler.dense.weight [4, 4]\n"
    "bert.pooler.dense.bias [4]\n"
    "classifier.weight [3, 4]\n"
    "classifier.bias [3]\n",

    "distilbert.embeddings.word_embeddings.weight [11, 4]\n"
    "distilbert.embeddings.position_embeddings.weight [7, 4]\n"
    "distilbert.embeddings.LayerNorm.weight [4]\n"
    "distilbert.embeddings.LayerNorm.bias [4]\n"
    "distilbert.transformer.layer.0.attention.q_lin.weight [4, 4]\n"
    "distilbert.transformer.layer.0.attention.q_lin.bias [4]\n"
    "distilbert.transformer.layer.0.attention.k_lin.weight [4, 4]\n"
    "distilbert.transformer.layer.0.attention.k_lin.bias [4]\n"
    "distilbert.transformer.layer.0.attention.v_lin.weight [4, 4]\n"
    "distilbert.transformer.layer.0.attention.v_lin.bias [4]\n"
    "distilbert.transformer.layer.0.attention.out_lin.weight [4, 4]\n"
    "distilbert.transformer.layer.0.attention.out_lin.bias [4]\n"
    "distilbert.transformer.layer.0.sa_layer_norm.weight [4]\n"
    "distilbert.transformer.layer.0.sa_layer_norm.bias [4]\n"
    "distilbert.transformer.layer.0.ffn.lin1.weight [6, 4]\n"
    "distilbert.transformer.layer.0.ffn.lin1.bias [6]\n"
    "distilbert.transformer.layer.0.ffn.lin2.weight [4, 6]\n"
    "distilbert.transformer.layer.0.ffn.lin2.bias [4]\n"
    "distilbert.transformer.layer.0.output_layer_norm.weight [4]\n"
    "distilbert.transformer.layer.0.output_layer_norm.bias [4]\n"
    "pre_classifier.weight [4, 4]\n"
    "pre_classifier.bias [4]\n"
    "classifier.weight [3, 4]\n"
    "classifier.bias [3]\n",
};

enum { WEIGHTS_MAX = 200, NAME_NBYTES = 128 };

static char names[WEIGHTS_MAX][NAME_NBYTES];
static char places[WEIGHTS_MAX];  // tensor i of a table points to places[i]
static struct named_tensor tensors[WEIGHTS_MAX];

static void check_listing(const struct bert_config *config, const char *want) {
    struct bert_layer layer = {0};
    struct bert_weights weights = {.layers = &layer};
    char got[4000] = "";
    for (size_t i = 0; i < bert_weights_count(config); i++) {
        const struct named_weight weight = bert_weights_get(config, &weights, i);
        const size_t len = strlen(got);
        snprintf(got + len, sizeof got - len, "%s %s\n", weight.name,
                 shape_text(weight.dims, weight.n_dims).text);
    }
    CHECK_STR(got, want);
}

// How a checkpoint may differ from what transformers writes today.
struct habits {
    bool bare, gamma_beta;
};

static void rename_tensor(const char *name, struct habits habits, char out[NAME_NBYTES]) {
    if (habits.bare && strncmp(name, "bert.", 5) == 0) name += 5;
    if (habits.bare && strncmp(name, "distilbert.", 11) == 0) name += 11;
    memcpy(out, name, strlen(name) + 1);
    char *dot = strrchr(out, '.');
    if (!habits.gamma_beta || (strstr(out, "LayerNorm") == NULL && strstr(out, "_norm") == NULL)) {
        return;
    }
    strcpy(dot, strcmp(dot, ".weight") == 0 ? ".gamma" : ".beta");
}

// A table of every tensor of the model, in order of name, as bind needs it.
static struct tensor_table make_table(const struct bert_config *config, struct habits habits) {
    struct tensor_table table = {.tensors = tensors, .n_tensors = bert_weights_count(config)};
    void *layers = must_zeroed((size_t)config->n_layers, sizeof(struct bert_layer));
    const struct bert_weights weights = {.layers = layers};
    struct error error;
    CHECK(table.n_tensors <= WEIGHTS_MAX);
    for (size_t i = 0; i < table.n_tensors; i++) {
        const struct named_weight weight = bert_weights_get(config, &weights, i);
        rename_tensor(weight.name, habits, names[i]);
        const size_t n = weight.dims[0] * (weight.n_dims == 2 ? weight.dims[1] : 1);
        tensors[i] = (struct named_tensor){.name = span_text(names[i]),
                                           .dtype_name = span_text("F32"),
                                           .usable = true,
                                           .tensor = {&places[i], n, DTYPE_F32},
                                           .n_dims = weight.n_dims,
                                           .dims = {weight.dims[0], weight.dims[1]}};
    }
    free(layers);
    must(tensor_table_sort(&table, "x", &error), &error);
    return table;
}

static void check_bound(const struct bert_config *config, struct habits habits) {
    const struct tensor_table table = make_table(config, habits);
    struct bert_weights weights;
    struct error error = {""};
    CHECK_INT(bert_weights_bind(&table, config, "x", &weights, &error), STATUS_OK);
    CHECK_STR(error.text, "");
    if (weights.layers == NULL) return;
    for (size_t i = 0; i < table.n_tensors; i++) {
        CHECK(bert_weights_get(config, &weights, i).tensor.data == &places[i]);
    }
    CHECK_INT(weights.token_type_embeddings.n_elements,
              (size_t)(config->type_vocab_size * config->hidden_size));
    CHECK_INT(bert_weights_classifier_rows(&table), (size_t)config->n_labels);
    bert_weights_free(&weights);
}

// Every tensor in turn is absent, of another shape or of a format that is not read.
static void check_refused(const struct bert_config *config) {
    const bool distil = config->architecture == ARCHITECTURE_DISTILBERT;
    for (size_t i = 0; i < bert_weights_count(config); i++) {
        for (int wrong = 0; wrong < 4; wrong++) {
            const struct tensor_table table = make_table(config, (struct habits){0});
            struct bert_weights weights;
            struct error error = {""};
            char name[NAME_NBYTES];
            struct named_tensor *tensor = &tensors[i];
            snprintf(name, sizeof name, "%.*s", (int)tensor->name.len, tensor->name.ptr);
            if (wrong == 0) tensor->name.len--;  // in its place still, as no name is a prefix
            if (wrong == 1) tensor->dims[tensor->n_dims - 1]++;
            if (wrong == 2) tensor->n_dims ^= 3;
            if (wrong == 3) tensor->usable = false;
            CHECK_INT(bert_weights_bind(&table, config, "file", &weights, &error), STATUS_MODEL);
            CHECK(weights.layers == NULL);
            CHECK_CONTAINS(error.text, name);
            CHECK_CONTAINS(error.text, "file: tensor");
            if (wrong == 0) {
                CHECK_CONTAINS(error.text, "is missing");
                CHECK_CONTAINS(error.text, distil ? " DistilBertForSequenceClassification"
                                                  : " BertForSequenceClassification");
            }
            if (wrong == 1 && strstr(name, "ffn.lin1.weight") != NULL) {
                CHECK_CONTAINS(error.text, "asks for [6, 4] (hidden_dim, dim)");
            }
        }
    }
}

// Another architecture's checkpoint is told from this one's.
static void check_mixed_up(void) {
    for (int i = 0; i < 2; i++) {
        const struct tensor_table table = make_table(&configs[1 - i], (struct habits){0});
        struct bert_weights weights;
        struct error error = {""};
        CHECK_INT(bert_weights_bind(&table, &configs[i], "file", &weights, &error), STATUS_MODEL);
        CHECK_CONTAINS(error.text, "embeddings.word_embeddings.weight\" is missing");
        CHECK_CONTAINS(error.text, "not a checkpoint of");
    }
}

// Every weight of a checkpoint, by name and value.
static void check_values(void) {
    struct tiny_model_spec spec = tiny_model_default();
    spec.no_prefix = true;
    spec.old_norm_names = true;
    struct model *model = tiny_model_open(&spec);
    CHECK_INT(bert_weights_count(&model->config), 9 + 16 * spec.config.n_layers);
    for (size_t i = 0; i < bert_weights_count(&model->config); i++) {
        const struct named_weight weight = bert_weights_get(&model->config, &model->weights, i);
        float value;
        for (size_t j = 0; j < weight.tensor.n_elements; j++) {
            tensor_read(weight.tensor, j, 1, &value);
            CHECK(value == tiny_model_value(&spec, weight.name, j));
        }
    }
    model_close(model);
}

int main(void) {
    for (size_t i = 0; i < ARRAY_LEN(configs); i++) {
        struct bert_config config = configs[i];
        check_listing(&config, listings[i]);
        check_refused(&config);
        config.n_layers = 11;  // "layer.1." is not to be taken for "layer.10."
        for (int habits = 0; habits < 4; habits++) {
            check_bound(&config, (struct habits){habits % 2 != 0, habits / 2 != 0});
        }
    }
    check_mixed_up();
    check_values();
    return check_result();
}
