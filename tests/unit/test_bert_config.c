// SPDX-License-Identifier: Apache-2.0
//
// config.json: what is read from one, and what each refusal says.
#include "weights/bert_config.h"

#include "tests/check.h"

#define REQUIRED                                                                      \
    "\"model_type\":\"bert\",\"vocab_size\":28996,\"hidden_size\":768,"               \
    "\"num_hidden_layers\":12,\"num_attention_heads\":12,\"intermediate_size\":3072," \
    "\"max_position_embeddings\":512"

#define DISTILBERT                                                                   \
    "\"model_type\":\"distilbert\",\"vocab_size\":30522,\"dim\":768,\"n_layers\":6," \
    "\"n_heads\":12,\"hidden_dim\":3072,\"max_position_embeddings\":512"

static enum status read(const char *text, struct bert_config *config, struct error *error) {
    struct json_value object;
    enum status status = config_parse(span_text(text), "dir/config.json", &object, error);
    if (status != STATUS_OK) return status;
    return bert_config_read(object, "dir/config.json", config, error);
}

static void required_keys_only(void) {
    struct bert_config config;
    struct error error = {""};
    CHECK_INT(read("{" REQUIRED "}", &config, &error), STATUS_OK);
    CHECK_STR(error.text, "");
    CHECK_INT(config.vocab_size, 28996);
    CHECK_INT(config.hidden_size, 768);
    CHECK_INT(config.n_layers, 12);
    CHECK_INT(config.n_heads, 12);
    CHECK_INT(config.intermediate_size, 3072);
    CHECK_INT(config.max_positions, 512);
    CHECK_INT(config.type_vocab_size, 2);
    CHECK_INT(config.n_labels, 0);
    CHECK(config.layer_norm_eps == 1e-12F);
    CHECK(config.architecture == ARCHITECTURE_BERT && config.head_activation == HEAD_TANH);
    CHECK(config.gelu == GELU_ERF && config.problem == PROBLEM_SINGLE_LABEL);
}

// As transformers writes one; what BERT alone has means nothing.
static void distilbert(void) {
    struct bert_config config;
    struct error error = {""};
    CHECK_INT(read("{" DISTILBERT "}", &config, &error), STATUS_OK);
    CHECK_INT(read("{ " DISTILBERT ", \"activation\": \"gelu\", \"attention_dropout\": 0.1,\n"
                   "\"architectures\": [\"DistilBertForSequenceClassification\"],\n"
                   "\"dropout\": 0.1, \"initializer_range\": 0.02, \"pad_token_id\": 0,\n"
                   "\"qa_dropout\": 0.1, \"seq_classif_dropout\": 0.2,\n"
                   "\"sinusoidal_pos_embds\": true, \"tie_weights_\": true,\n"
                   "\"layer_norm_eps\": 0.5, \"type_vocab_size\": 2, \"hidden_act\": \"silu\",\n"
                   "\"problem_type\": \"multi_label_classification\", \"hidden_size\": 768,\n"
                   "\"num_hidden_layers\": 6, \"num_attention_heads\": 12 }\n",
                   &config, &error),
              STATUS_OK);
    CHECK_STR(error.text, "");
    CHECK_INT(config.vocab_size, 30522);
    CHECK_INT(config.hidden_size, 768);
    CHECK_INT(config.n_layers, 6);
    CHECK_INT(config.n_heads, 12);
    CHECK_INT(config.intermediate_size, 3072);
    CHECK_INT(config.max_positions, 512);
    CHECK_INT(config.type_vocab_size, 0);
    CHECK(config.layer_norm_eps == 1e-12F);
    CHECK(config.architecture == ARCHITECTURE_DISTILBERT && config.head_activation == HEAD_RELU);
    CHECK(config.gelu == GELU_ERF && config.problem == PROBLEM_MULTI_LABEL);
}

// Every name of a class or an activation that is taken.
static void names(void) {
    static const struct {
        const char *text;
        enum gelu_form gelu;
    } cases[] = {
        {"{" REQUIRED ",\"architectures\":[\"TFBertForSequenceClassification\"]}", GELU_ERF},
        {"{" REQUIRED ",\"architectures\":[\"BertModel\",\"BertForSequenceClassification\"]}",
         GELU_ERF},
        {"{" DISTILBERT ",\"architectures\":[\"TFDistilBertForSequenceClassification\"]}",
         GELU_ERF},
        {"{" REQUIRED ",\"hidden_act\":null,\"activation\":\"relu\"}", GELU_ERF},
        {"{" REQUIRED ",\"hidden_act\":\"gelu_new\"}", GELU_TANH},
        {"{" REQUIRED ",\"hidden_act\":\"gelu_pytorch_tanh\"}", GELU_TANH},
        {"{" DISTILBERT ",\"activation\":\"gelu_new\"}", GELU_TANH},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bert_config config;
        struct error error = {""};
        CHECK_INT(read(cases[i].text, &config, &error), STATUS_OK);
        CHECK_STR(error.text, "");
        CHECK_INT(config.gelu, cases[i].gelu);
    }
}

// As transformers writes one.
static void whole_file(void) {
    struct bert_config config;
    struct error error = {""};
    CHECK_INT(read("{ " REQUIRED ",\n \"architectures\": [\"BertForSequenceClassification\"],\n"
                   "\"attention_probs_dropout_prob\": 0.1, \"classifier_dropout\": null,\n"
                   "\"hidden_act\": \"gelu\", \"hidden_dropout_prob\": 0.1,\n"
                   "\"initializer_range\": 0.02, \"layer_norm_eps\": 1e-05, \"num_labels\": 8,\n"
                   "\"pad_token_id\": 0, \"position_embedding_type\": \"absolute\",\n"
                   "\"problem_type\": \"single_label_classification\", \"is_decoder\": false,\n"
                   "\"add_cross_attention\": false, \"torch_dtype\": \"float32\",\n"
                   "\"transformers_version\": \"4.35.2\", \"type_vocab_size\": 3,\n"
                   "\"use_cache\": true, \"tie_word_embeddings\": true }\n",
                   &config, &error),
              STATUS_OK);
    CHECK_STR(error.text, "");
    CHECK_INT(config.type_vocab_size, 3);
    CHECK_INT(config.n_labels, 8);
    CHECK(config.layer_norm_eps == 1e-5F);
    // null counts as absent.
    CHECK_INT(read("{" REQUIRED ",\"architectures\":null,\"problem_type\":null,\"num_labels\":null,"
                   "\"position_embedding_type\":null,\"type_vocab_size\":null}",
                   &config, &error),
              STATUS_OK);
    CHECK_INT(config.type_vocab_size, 2);
}

struct refusal {
    const char *text;
    const char *messages[3];
};

static void check_refusals(const struct refusal *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct bert_config config;
        struct error error = {""};
        CHECK_INT(read(cases[i].text, &config, &error), STATUS_MODEL);
        CHECK_CONTAINS(error.text, "dir/config.json: ");
        for (size_t j = 0; j < 3 && cases[i].messages[j] != NULL; j++) {
            CHECK_CONTAINS(error.text, cases[i].messages[j]);
        }
    }
}

static void refusals(void) {
    static const struct refusal cases[] = {
        {"", {"not JSON at byte 0"}},
        {"{\"a\":\"\xff\"}", {"not JSON at byte 6", "UTF-8"}},
        {"{\"a\":1,}", {"not JSON at byte 7", "member name"}},
        {"[1]", {"holds an array", "an object"}},
        {"{}", {"model_type is missing", "\"bert\"", "\"distilbert\""}},
        {"{" REQUIRED ",\"model_type\":\"roberta\"}",
         {"\"roberta\"", "\"bert\"", "\"distilbert\""}},
        {"{" REQUIRED ",\"model_type\":1}", {"model_type is 1"}},
        {"{" REQUIRED ",\"architectures\":[\"BertForMaskedLM\"]}",
         {"[\"BertForMaskedLM\"]", "BertForSequenceClassification"}},
        {"{" REQUIRED ",\"architectures\":[]}", {"architectures is []"}},
        {"{" REQUIRED ",\"architectures\":\"X\"}", {"architectures is \"X\""}},
        {"{" REQUIRED ",\"problem_type\":\"regression\"}", {"problem_type is \"regression\""}},
        {"{" REQUIRED ",\"problem_type\":\"multi\"}",
         {"\"multi\"", "\"single_label_classification\"", "\"multi_label_classification\""}},
        {"{" REQUIRED ",\"problem_type\":[]}", {"problem_type is []"}},
        {"{" REQUIRED ",\"is_decoder\":true}", {"is_decoder is true"}},
        {"{" REQUIRED ",\"is_decoder\":0}", {"is_decoder is 0"}},
        {"{" REQUIRED ",\"add_cross_attention\":true}", {"add_cross_attention is true"}},
        {"{" REQUIRED ",\"position_embedding_type\":\"relative_key\"}",
         {"position_embedding_type is \"relative_key\"", "absolute"}},
        {"{" REQUIRED ",\"hidden_act\":\"gelu_fast\"}",
         {"hidden_act is \"gelu_fast\"", "\"gelu\""}},
        {"{" REQUIRED ",\"hidden_act\":\"relu\"}", {"hidden_act is \"relu\""}},
        {"{" REQUIRED ",\"architectures\":[\"DistilBertForSequenceClassification\"]}",
         {"model_type \"bert\"", "only BertForSequenceClassification"}},
        {"{" REQUIRED ",\"vocab_size\":0}", {"vocab_size is 0", "1 to 16777216"}},
        {"{" REQUIRED ",\"vocab_size\":-5}", {"vocab_size is -5"}},
        {"{" REQUIRED ",\"vocab_size\":16777217}", {"vocab_size is 16777217"}},
        {"{" REQUIRED ",\"vocab_size\":1.5}", {"vocab_size is 1.5"}},
        {"{" REQUIRED ",\"vocab_size\":\"9\"}", {"vocab_size is \"9\""}},
        {"{" REQUIRED ",\"vocab_size\":99999999999999999999}", {"vocab_size is 9999"}},
        {"{" REQUIRED ",\"vocab_size\":null}", {"vocab_size is missing"}},
        {"{" REQUIRED ",\"hidden_size\":16385}", {"hidden_size is 16385", "16384"}},
        {"{" REQUIRED ",\"hidden_size\":770}", {"770", "num_attention_heads", "12"}},
        {"{" REQUIRED ",\"num_hidden_layers\":0}", {"num_hidden_layers is 0"}},
        {"{" REQUIRED ",\"num_hidden_layers\":513}", {"num_hidden_layers is 513", "512"}},
        {"{" REQUIRED ",\"num_attention_heads\":0}", {"num_attention_heads is 0"}},
        {"{" REQUIRED ",\"intermediate_size\":131073}", {"intermediate_size is 131073"}},
        {"{" REQUIRED ",\"max_position_embeddings\":1048577}", {"max_position_embeddings is"}},
        {"{" REQUIRED ",\"type_vocab_size\":0}", {"type_vocab_size is 0"}},
        {"{" REQUIRED ",\"num_labels\":0}", {"num_labels is 0"}},
        {"{" REQUIRED ",\"num_labels\":65537}", {"num_labels is 65537", "65536"}},
        {"{" REQUIRED ",\"layer_norm_eps\":0}", {"layer_norm_eps is 0"}},
        {"{" REQUIRED ",\"layer_norm_eps\":-1e-12}", {"layer_norm_eps is -1e-12"}},
        {"{" REQUIRED ",\"layer_norm_eps\":1e-60}", {"layer_norm_eps is 1e-60"}},
        {"{" REQUIRED ",\"layer_norm_eps\":1e999}", {"layer_norm_eps is 1e999"}},
        {"{" REQUIRED ",\"layer_norm_eps\":\"small\"}", {"layer_norm_eps is \"small\""}},
    };
    check_refusals(cases, ARRAY_LEN(cases));
}

static void distilbert_refusals(void) {
    static const struct refusal cases[] = {
        {"{" DISTILBERT ",\"architectures\":[\"BertForSequenceClassification\"]}",
         {"model_type \"distilbert\"", "only DistilBertForSequenceClassification"}},
        {"{" DISTILBERT ",\"architectures\":[\"DistilBertForMaskedLM\"]}",
         {"DistilBertForMaskedLM", "DistilBertForSequenceClassification"}},
        {"{" DISTILBERT ",\"activation\":\"relu\"}", {"activation is \"relu\"", "\"gelu\""}},
        {"{" DISTILBERT ",\"dim\":null}", {"dim is missing"}},
        {"{" DISTILBERT ",\"n_heads\":7}", {"dim is 768", "no multiple of n_heads, 7"}},
        {"{" DISTILBERT ",\"hidden_size\":64}", {"dim is 768, but hidden_size is 64"}},
        {"{" DISTILBERT ",\"num_attention_heads\":6}",
         {"n_heads is 12, but num_attention_heads is 6", "must agree"}},
        {"{" DISTILBERT ",\"num_hidden_layers\":\"6\"}", {"num_hidden_layers is \"6\""}},
    };
    check_refusals(cases, ARRAY_LEN(cases));
}

// Each required key, left out, is named.
static void missing_keys(void) {
    static const char *const members[] = {
        "\"vocab_size\":9",          "\"hidden_size\":8",       "\"num_hidden_layers\":1",
        "\"num_attention_heads\":2", "\"intermediate_size\":8", "\"max_position_embeddings\":8",
    };
    for (size_t left_out = 0; left_out <= ARRAY_LEN(members); left_out++) {
        char text[500] = "{\"model_type\":\"bert\"", key[64] = "";
        for (size_t i = 0; i < ARRAY_LEN(members); i++) {
            if (i == left_out) {
                sscanf(members[i], "\"%60[a-z_]\"", key);
                continue;
            }
            strcat(text, ",");
            strcat(text, members[i]);
        }
        strcat(text, "}");
        struct bert_config config;
        struct error error = {""};
        bool all = left_out == ARRAY_LEN(members);
        CHECK_INT(read(text, &config, &error), all ? STATUS_OK : STATUS_MODEL);
        if (all) continue;
        strcat(key, " is missing");
        CHECK_CONTAINS(error.text, key);
    }
}

int main(void) {
    required_keys_only();
    distilbert();
    names();
    whole_file();
    refusals();
    distilbert_refusals();
    missing_keys();
    return check_result();
}
