// SPDX-License-Identifier: Apache-2.0
//
// Keras paths as transformers wrote them, and all that must not pass for one.
#include "weights/keras_names.h"

#include "tests/check.h"

#define BERT   "/bert/tf_bert_for_sequence_classification/bert/"
#define DISTIL "/distilbert/tf_distil_bert_for_sequence_classification_2/distilbert/"

// Real paths, of transformers 4.15 and 4.37; a kernel is to be turned round.
static const struct {
    const char *path, *name;
    bool kernel;
} known[] = {
    {BERT "embeddings/word_embeddings/weight:0", "bert.embeddings.word_embeddings.weight", false},
    {BERT "embeddings/position_embeddings/embeddings:0",
     "bert.embeddings.position_embeddings.weight", false},
    {BERT "embeddings/LayerNorm/gamma:0", "bert.embeddings.LayerNorm.weight", false},
    {BERT "embeddings/LayerNorm/beta:0", "bert.embeddings.LayerNorm.bias", false},
    {BERT "encoder/layer_._0/attention/self/query/kernel:0",
     "bert.encoder.layer.0.attention.self.query.weight", true},
    {BERT "encoder/layer_._11/output/dense/bias:0", "bert.encoder.layer.11.output.dense.bias",
     false},
    {BERT "pooler/dense/kernel:0", "bert.pooler.dense.weight", true},
    {"/classifier/tf_bert_for_sequence_classification/classifier/kernel:0", "classifier.weight",
     true},
    {"/classifier/tf_bert_for_sequence_classification_17/classifier/bias:0", "classifier.bias",
     false},
    {DISTIL "transformer/layer_._5/attention/q_lin/kernel:0",
     "distilbert.transformer.layer.5.attention.q_lin.weight", true},
    {DISTIL "transformer/layer_._0/sa_layer_norm/gamma:0",
     "distilbert.transformer.layer.0.sa_layer_norm.weight", false},
    {"/pre_classifier/tf_distil_bert_for_sequence_classification/pre_classifier/kernel:0",
     "pre_classifier.weight", true},
    // Other scopes: none, a group of their own, the names of parts among them.
    {"bert/pooler/dense/bias", "bert.pooler.dense.bias", false},
    {"/model_weights/my model/bert/x/bert/pooler/dense/bias:12", "bert.pooler.dense.bias", false},
    {"/classifier/my_bert/bert/pooler/dense/bias:0", "bert.pooler.dense.bias", false},
    {"/bert/classifier/kernel:0", "classifier.weight", true},
    {"/bert/kernel", "bert.weight", true},
    {"//bert///pooler//dense/bias:0", "bert.pooler.dense.bias", false},
    // No list of layers: nothing is made of it.
    {"/bert/layer_._/bias:0", "bert.layer_._.bias", false},
    {"/bert/layer_._1a/bias:0", "bert.layer_._1a.bias", false},
    {"/bert/layer_._007/bias:0", "bert.layer.007.bias", false},
};

static const char *const unknown[] = {
    "",
    "/",
    "bert",
    "/bert/",
    "/bert/tf_bert/bert",
    "kernel:0",
    "/kernel:0",
    "/dense/dense/kernel:0",
    "/bert/pooler/dense/kernel:",
    "/bert/pooler/dense/kernel:x",
    "/bert/pooler/dense/kernels:0",
    "/bert/pooler/dense/moving_mean:0",
    "/bert/pooler/dense/kernel/m:0",
    "/optimizer_weights/Adam/bert/pooler/dense/kernel:0",
    "/optimizer_weights/training/Adam/bert/pooler/dense/kernel/v:0",
    "/roberta/encoder/layer_._0/output/dense/bias:0",
    "/Bert/pooler/dense/bias:0",
    "/bert_1/pooler/dense/bias:0",
};

static void long_paths(void) {
    char path[1000];
    struct keras_name name;
    int n_fit = 0;
    for (int len = 1; len < 400; len++) {
        snprintf(path, sizeof path, "/bert/%0*d/bias:0", len, 0);
        const bool fits = strlen("bert..bias") + (size_t)len < sizeof name.text;
        CHECK_INT(keras_name(span_text(path), &name), fits);
        if (fits) CHECK_INT(strlen(name.text), strlen("bert..bias") + (size_t)len);
        n_fit += fits;
    }
    CHECK(n_fit > 100 && n_fit < 300);
    // What stands in front of the part may be of any length.
    snprintf(path, sizeof path, "/%0500d/bert/pooler/dense/bias:0", 0);
    CHECK(keras_name(span_text(path), &name));
    CHECK_STR(name.text, "bert.pooler.dense.bias");
}

int main(void) {
    struct keras_name name;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        CHECK(keras_name(span_text(known[i].path), &name));
        CHECK_STR(name.text, known[i].name);
        CHECK_INT(name.kernel, known[i].kernel);
    }
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        if (keras_name(span_text(unknown[i]), &name)) {
            CHECK_FAIL("%s is taken for %s", unknown[i], name.text);
        }
    }
    CHECK(!keras_name((struct span){NULL, 0}, &name));
    CHECK(!keras_name((struct span){"/bert/a\0b/bias:0", 16}, &name));
    long_paths();
    return check_result();
}
