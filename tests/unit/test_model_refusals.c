// SPDX-License-Identifier: Apache-2.0
//
// Model directories in which something is missing, damaged or does not fit: each is refused, and
// the message names file and figures.
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "weights/model.h"

// That opening `dir` says all of `messages`, up to NULL.
static void check_refusal(const char *dir, const char *labels_file, const char *const *messages) {
    struct model *model = (struct model *)&check_failures;
    struct error error = {""};
    CHECK_INT(model_open(dir, labels_file, &model, &error), STATUS_MODEL);
    CHECK(model == NULL);
    for (; *messages != NULL; messages++) CHECK_CONTAINS(error.text, *messages);
}
#define SAYS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void check_spec_refusal(const struct tiny_model_spec *spec, const char *const *messages) {
    char dir[TEMP_PATH_MAX];
    temp_dir_make(dir);
    tiny_model_write(dir, spec);
    check_refusal(dir, NULL, messages);
    temp_dir_remove(dir);
}

static void misfits(void) {
    struct tiny_model_spec good = tiny_model_default(), spec = good;
    spec.config_extra = "\"vocab_size\":210";
    check_spec_refusal(&spec, SAYS("\"bert.embeddings.word_embeddings.weight\"", "[200, 32]",
                                   "[210, 32]", "vocab_size"));
    spec.config_extra = "\"hidden_size\":64";
    check_spec_refusal(&spec, SAYS("word_embeddings", "[200, 32]", "[200, 64]", "hidden_size"));
    spec.config_extra = "\"max_position_embeddings\":512";
    check_spec_refusal(
        &spec, SAYS("position_embeddings", "[48, 32]", "[512, 32]", "max_position_embeddings"));
    spec.config_extra = "\"type_vocab_size\":1";
    check_spec_refusal(&spec, SAYS("token_type_embeddings", "[2, 32]", "[1, 32]"));
    spec.config_extra = "\"intermediate_size\":128";
    check_spec_refusal(&spec, SAYS("encoder.layer.0.intermediate.dense.weight", "[64, 32]",
                                   "[128, 32]", "intermediate_size"));
    spec.config_extra = "\"num_hidden_layers\":3";
    check_spec_refusal(&spec,
                       SAYS("\"bert.encoder.layer.2.attention.self.query.weight\"", "is missing"));
    spec.config_extra = "\"num_attention_heads\":5";
    check_spec_refusal(&spec, SAYS("config.json", "32", "5", "num_attention_heads"));
    spec.config_extra = "\"model_type\":\"gpt2\"";
    check_spec_refusal(&spec, SAYS("config.json", "\"gpt2\""));
    spec = good;
    spec.config.n_labels = 1;
    check_spec_refusal(&spec, SAYS("1 rows", "regression"));
}

// Each tensor in turn is left out, a row short, or of another dtype.
static void every_tensor(void) {
    static const char *const tensors[] = {
        "embeddings.word_embeddings.weight",
        "embeddings.position_embeddings.weight",
        "embeddings.token_type_embeddings.weight",
        "embeddings.LayerNorm.weight",
        "embeddings.LayerNorm.bias",
        "pooler.dense.weight",
        "pooler.dense.bias",
        "classifier.weight",
        "classifier.bias",
        "1.attention.self.query.weight",
        "1.attention.self.query.bias",
        "1.attention.self.key.weight",
        "1.attention.self.key.bias",
        "1.attention.self.value.weight",
        "1.attention.self.value.bias",
        "1.attention.output.dense.weight",
        "1.attention.output.dense.bias",
        "1.attention.output.LayerNorm.weight",
        "1.attention.output.LayerNorm.bias",
        "1.intermediate.dense.weight",
        "1.intermediate.dense.bias",
        "1.output.dense.weight",
        "1.output.dense.bias",
        "1.output.LayerNorm.weight",
        "1.output.LayerNorm.bias",
    };
    for (size_t i = 0; i < ARRAY_LEN(tensors); i++) {
        const char *name = tensors[i];
        struct tiny_model_spec spec = tiny_model_default();
        spec.no_prefix = i % 2 != 0;
        spec.config.hidden_size = 8;
        spec.config.vocab_size = 20;
        spec.omit = name;
        bool head = strstr(name, "pooler") != NULL || strstr(name, "classifier") != NULL;
        check_spec_refusal(&spec, SAYS("model.safetensors: tensor ", name, "is missing",
                                       head ? "classification head" : "config.json"));
        spec.omit = NULL;
        spec.shrink = name;
        check_spec_refusal(&spec, SAYS(name, "has the shape", "asks for"));
        spec.shrink = NULL;
        spec.as_i32 = name;
        check_spec_refusal(&spec, SAYS(name, "stored as \"I32\"", "F32, F16 and BF16"));
    }
}

static void directories(void) {
    char dir[TEMP_PATH_MAX], path[TEMP_PATH_MAX];
    struct tiny_model_spec spec = tiny_model_default();
    temp_dir_make(dir);
    CHECK_INT(path_join(path, sizeof path, dir, "absent", NULL), STATUS_OK);
    check_refusal(path, NULL, SAYS(path, "no such directory"));
    check_refusal(dir, NULL, SAYS(dir, "no config.json"));

    tiny_model_write_config(dir, &spec);
    CHECK_INT(path_join(path, sizeof path, dir, "config.json", NULL), STATUS_OK);
    check_refusal(path, NULL, SAYS(path, "not a directory"));
    check_refusal(dir, NULL,
                  SAYS("no weights", "model.safetensors, pytorch_model.bin and tf_model.h5"));
    temp_dir_write_text(dir, "flax_model.msgpack", "x");
    check_refusal(dir, NULL, SAYS("flax_model.msgpack", "not read", "safe_serialization=True"));
    temp_dir_write_text(dir, "tf_model.h5", "x");
    check_refusal(dir, NULL, SAYS("tf_model.h5: "));
    temp_dir_write_text(dir, "pytorch_model.bin.index.json", "x");
    check_refusal(dir, NULL, SAYS("pytorch_model.bin.index.json: not JSON"));
    temp_dir_write_text(dir, "pytorch_model.bin", "x");
    check_refusal(dir, NULL, SAYS("pytorch_model.bin: 1 bytes that begin with \"x\""));

    temp_dir_write_text(dir, "model.safetensors", "");
    check_refusal(dir, NULL, SAYS("model.safetensors: 0 bytes"));
    tiny_model_write_weights(dir, &spec);
    check_refusal(dir, "/no/such/names", SAYS("/no/such/names", "No such file"));
    temp_dir_write_text(dir, "config.json", "");
    check_refusal(dir, NULL, SAYS("config.json: not JSON"));
    CHECK_INT(unlink(path), 0);
    CHECK_INT(mkdir(path, 0700), 0);
    check_refusal(dir, NULL, SAYS("config.json: not a regular file"));
    CHECK_INT(rmdir(path), 0);
    CHECK_INT(symlink("nowhere", path), 0);
    check_refusal(dir, NULL, SAYS("config.json: No such file"));
    temp_dir_remove(dir);

    char *long_dir = malloc(5001);
    memset(long_dir, 'd', 5000);
    long_dir[5000] = '\0';
    struct model *model = NULL;
    CHECK(model_open(long_dir, NULL, &model, NULL) != STATUS_OK && model == NULL);
    free(long_dir);
}

// A truncated download: the first half of the weights.
static void truncated_file(void) {
    char dir[TEMP_PATH_MAX], path[TEMP_PATH_MAX];
    struct tiny_model_spec spec = tiny_model_default();
    temp_dir_make(dir);
    tiny_model_write(dir, &spec);
    CHECK_INT(path_join(path, sizeof path, dir, "model.safetensors", NULL), STATUS_OK);
    CHECK_INT(truncate(path, 30000), 0);
    check_refusal(dir, NULL, SAYS("model.safetensors", "beyond the end", "cut short"));
    temp_dir_remove(dir);
}

static void shard_indexes(void) {
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "not JSON"},
        {"[]", "holds an array"},
        {"{}", "weight_map, an object, is missing"},
        {"{\"weight_map\":[]}", "weight_map, an object, is missing"},
        {"{\"weight_map\":{}}", "\"bert.embeddings.word_embeddings.weight\" is missing"},
        {"{\"weight_map\":{\"a\":1}}", "tensor \"a\" is said to be in 1"},
        {"{\"weight_map\":{\"a\":\"\"}}", "said to be in \"\""},
        {"{\"weight_map\":{\"a\":\"..\"}}", "said to be in \"..\""},
        {"{\"weight_map\":{\"a\":\"../model.safetensors\"}}", "a file in the same directory"},
        {"{\"weight_map\":{\"a\":\"\\/etc\\/passwd\"}}", "a file in the same directory"},
        {"{\"weight_map\":{\"a\":\"x\\u0000y\"}}", "a file in the same directory"},
        {"{\"weight_map\":{\"a\":\"absent.safetensors\"}}",
         "index.json: tensors are said to be in \"absent.safetensors\", which is not in the"},
        {"{\"weight_map\":{\"a\":\"\\u001b[2J\"}}", "a file in the same directory"},
        {"{\"weight_map\":{\"a\":\"a\\nb\"}}", "a file in the same directory"},
        {"{\"weight_map\":{\"a\":\"config.json\"}}", "config.json: a header of"},
        {"{\"weight_map\":{\"a\":\"model-00001-of-00002.safetensors\"}}",
         "tensor \"a\" is said to be in \"model-00001-of-00002.safetensors\", but is not there"},
        {"{\"weight_map\":{\"bert.embeddings.word_embeddings.weight\":"
         "\"model-00002-of-00002.safetensors\"}}",
         "of-00002.safetensors\", but is not there"},
        {"{\"weight_map\":{\"bert.embeddings.LayerNorm.bias\":\"model-00001-of-00002.safetensors\","
         "\"bert.embeddings.LayerNorm\\u002ebias\":\"model-00001-of-00002.safetensors\"}}",
         "two tensors are named \"bert.embeddings.LayerNorm.bias\""},
    };
    char dir[TEMP_PATH_MAX];
    struct tiny_model_spec spec = tiny_model_default();
    spec.n_shards = 2;
    temp_dir_make(dir);
    tiny_model_write(dir, &spec);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        temp_dir_write_text(dir, "model.safetensors.index.json", cases[i].text);
        check_refusal(dir, NULL, SAYS(dir, cases[i].message));
    }
    // More files than there can be: the index is refused before any is opened.
    enum { N = 1001, ENTRY = 64 };
    char *many = malloc((size_t)N * ENTRY + 100), *at = many;
    at += sprintf(at, "{\"weight_map\":{");
    for (int i = 0; i < N; i++) at += sprintf(at, "%s\"t%d\":\"s%d\"", i > 0 ? "," : "", i, i);
    sprintf(at, "}}");
    temp_dir_write_text(dir, "model.safetensors.index.json", many);
    check_refusal(dir, NULL, SAYS("more than 1000 files"));
    free(many);
    temp_dir_remove(dir);
}

int main(void) {
    misfits();
    every_tensor();
    directories();
    truncated_file();
    shard_indexes();
    return check_result();
}
