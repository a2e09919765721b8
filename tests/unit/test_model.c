// SPDX-License-Identifier: Apache-2.0
//
// Whole model directories: every layout opens to the weights that were written, and labels get the
// names that the rules give them.
#include "weights/model.h"

#include "tests/check.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

static void check_tensor(const struct tiny_model_spec *spec, const char *name, struct tensor tensor,
                         int32_t rows, int32_t columns) {
    size_t n = (size_t)rows * (size_t)columns;
    CHECK_INT(tensor.n_elements, n);
    CHECK_INT(tensor.dtype, spec->dtype);
    float *got = malloc(n * sizeof *got);
    tensor_read(tensor, 0, n, got);
    size_t n_wrong = 0;
    for (size_t i = 0; i < n; i++) n_wrong += got[i] != tiny_model_value(spec, name, i);
    if (n_wrong > 0)
        CHECK_FAIL("%zu of %zu values of %s are not what was written", n_wrong, n, name);
    CHECK(n > 0);
    free(got);
}

static void check_dense(const struct tiny_model_spec *spec, const char *name, struct dense dense,
                        int32_t rows, int32_t columns) {
    char full[192];
    snprintf(full, sizeof full, "%s.weight", name);
    check_tensor(spec, full, dense.weight, rows, columns);
    snprintf(full, sizeof full, "%s.bias", name);
    check_tensor(spec, full, dense.bias, rows, 1);
}

static void check_norm(const struct tiny_model_spec *spec, const char *name,
                       struct layer_norm norm) {
    check_dense(spec, name, (struct dense){norm.weight, norm.bias}, spec->config.hidden_size, 1);
}

static void check_layer(const struct tiny_model_spec *spec, const struct bert_layer *layer,
                        int number) {
    const int32_t hidden = spec->config.hidden_size, inner = spec->config.intermediate_size;
    const struct {
        const char *name;
        struct dense dense;
        int32_t rows, columns;
    } parts[] = {
        {"attention.self.query", layer->query, hidden, hidden},
        {"attention.self.key", layer->key, hidden, hidden},
        {"attention.self.value", layer->value, hidden, hidden},
        {"attention.output.dense", layer->attention_output, hidden, hidden},
        {"intermediate.dense", layer->intermediate, inner, hidden},
        {"output.dense", layer->output, hidden, inner},
    };
    char name[128];
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        snprintf(name, sizeof name, "bert.encoder.layer.%d.%s", number, parts[i].name);
        check_dense(spec, name, parts[i].dense, parts[i].rows, parts[i].columns);
    }
    snprintf(name, sizeof name, "bert.encoder.layer.%d.attention.output.LayerNorm", number);
    check_norm(spec, name, layer->attention_norm);
    snprintf(name, sizeof name, "bert.encoder.layer.%d.output.LayerNorm", number);
    check_norm(spec, name, layer->output_norm);
}

static void check_weights(const struct tiny_model_spec *spec, const struct model *model) {
    const struct bert_config *config = &spec->config;
    const struct bert_weights *weights = &model->weights;
    const int32_t hidden = config->hidden_size;
    check_tensor(spec, "bert.embeddings.word_embeddings.weight", weights->word_embeddings,
                 config->vocab_size, hidden);
    check_tensor(spec, "bert.embeddings.position_embeddings.weight", weights->position_embeddings,
                 config->max_positions, hidden);
    check_tensor(spec, "bert.embeddings.token_type_embeddings.weight",
                 weights->token_type_embeddings, config->type_vocab_size, hidden);
    check_norm(spec, "bert.embeddings.LayerNorm", weights->embedding_norm);
    for (int i = 0; i < config->n_layers; i++) check_layer(spec, &weights->layers[i], i);
    check_dense(spec, "bert.pooler.dense", weights->pooler, hidden, hidden);
    check_dense(spec, "classifier", weights->classifier, config->n_labels, hidden);
}

static void check_config(const struct bert_config *got, const struct bert_config *want) {
    CHECK_INT(got->vocab_size, want->vocab_size);
    CHECK_INT(got->max_positions, want->max_positions);
    CHECK_INT(got->type_vocab_size, want->type_vocab_size);
    CHECK_INT(got->hidden_size, want->hidden_size);
    CHECK_INT(got->intermediate_size, want->intermediate_size);
    CHECK_INT(got->n_layers, want->n_layers);
    CHECK_INT(got->n_heads, want->n_heads);
    CHECK_INT(got->n_labels, want->n_labels);
    CHECK(got->layer_norm_eps == want->layer_norm_eps);
}

// Opens what `spec` describes and compares everything; `name` is the file the weights come from.
static void check_opens(const struct tiny_model_spec *spec, const char *name, size_t n_files) {
    char dir[TEMP_PATH_MAX];
    temp_dir_make(dir);
    tiny_model_write(dir, spec);
    struct model *model = NULL;
    struct error error = {""};
    CHECK_INT(model_open(dir, NULL, &model, &error), STATUS_OK);
    CHECK_STR(error.text, "");
    if (model != NULL) {
        check_config(&model->config, &spec->config);
        check_weights(spec, model);
        CHECK_STR(model->weights_name, name);
        CHECK_INT(model->n_files, n_files);
        CHECK_STR(model->files[0].name, "config.json");
        CHECK_STR(model->files[1].name, name);
        CHECK(model->files[0].map.bytes[0] == '{');
        tensor_forget(model->weights.word_embeddings);
        check_weights(spec, model);
    }
    model_close(model);
    temp_dir_remove(dir);
}

static void layouts(void) {
    struct tiny_model_spec spec = tiny_model_default();
    for (enum dtype dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
        spec.dtype = dtype;
        spec.misaligned = dtype == DTYPE_F16;
        check_opens(&spec, "model.safetensors", 2);
    }
    spec = tiny_model_default();
    spec.no_prefix = true;
    check_opens(&spec, "model.safetensors", 2);
    spec.old_norm_names = true;
    spec.n_shards = 3;
    check_opens(&spec, "model.safetensors.index.json", 5);
    spec = tiny_model_default();
    spec.old_norm_names = true;
    spec.n_shards = 1;
    spec.config = (struct bert_config){.vocab_size = 7,
                                       .max_positions = 1,
                                       .type_vocab_size = 1,
                                       .hidden_size = 6,
                                       .intermediate_size = 5,
                                       .n_layers = 1,
                                       .n_heads = 3,
                                       .n_labels = 2,
                                       .layer_norm_eps = 1e-5F};
    check_opens(&spec, "model.safetensors.index.json", 3);
    // 11 layers: "encoder.layer.1." must not be taken for "encoder.layer.10.".
    spec.n_shards = 0;
    spec.config.n_layers = 11;
    check_opens(&spec, "model.safetensors", 2);
}

// ---- labels

// What a directory with this id2label, labels.txt and --labels file gives: the names joined by
// commas, or the error.
static void check_labels(const char *id2label, const char *labels_txt, const char *labels_file,
                         enum label_source source, const char *want) {
    static const char *const names[] = {"red", "green", "blue"};
    struct tiny_model_spec spec = tiny_model_default();
    spec.config.hidden_size = 4;
    spec.config.intermediate_size = 4;
    if (id2label != NULL && strcmp(id2label, "named") == 0) {
        spec.labels = names;
    } else {
        spec.config_extra = id2label;
    }
    char dir[TEMP_PATH_MAX], path[TEMP_PATH_MAX];
    temp_dir_make(dir);
    tiny_model_write(dir, &spec);
    if (labels_txt != NULL) temp_dir_write_text(dir, "labels.txt", labels_txt);
    if (labels_file != NULL) temp_dir_write_text(dir, "my-names", labels_file);
    CHECK_INT(path_join(path, sizeof path, dir, "my-names", NULL), STATUS_OK);
    struct model *model = NULL;
    struct error error = {""};
    enum status status = model_open(dir, labels_file != NULL ? path : NULL, &model, &error);
    if (model != NULL) {
        char joined[200] = "";
        for (int i = 0; i < model->config.n_labels; i++) {
            if (i > 0) strcat(joined, ",");
            strcat(joined, model->labels[i]);
        }
        CHECK_STR(joined, want);
        CHECK_INT(model->label_source, source);
        bool from_file = source == LABELS_FROM_DIR || source == LABELS_FROM_FILE;
        CHECK_INT(model->n_files, from_file ? 3 : 2);
        if (source == LABELS_FROM_DIR) CHECK_STR(model->files[2].name, "labels.txt");
        if (source == LABELS_FROM_FILE) CHECK_STR(model->files[2].name, path);
    } else {
        CHECK_INT(status, STATUS_MODEL);
        CHECK_CONTAINS(error.text, want);
    }
    model_close(model);
    temp_dir_remove(dir);
}

static void label_rules(void) {
    const char *absent = "\"id2label\":null";
    check_labels("named", "x\ny\nz\n", "1\n2\n3\n", LABELS_FROM_CONFIG, "red,green,blue");
    check_labels(NULL, "x\ny\nz\n", "1\n2\n3\n", LABELS_FROM_DIR, "x,y,z");
    check_labels(NULL, NULL, "1\n2\n3\n", LABELS_FROM_FILE, "1,2,3");
    check_labels(NULL, NULL, NULL, LABELS_NUMBERED, "LABEL_0,LABEL_1,LABEL_2");
    check_labels(absent, "x\r\ny\r\nz", NULL, LABELS_FROM_DIR, "x,y,z");
    check_labels(absent, NULL, NULL, LABELS_NUMBERED, "LABEL_0,LABEL_1,LABEL_2");
    check_labels("\"num_labels\":3,\"id2label\":null", NULL, NULL, LABELS_NUMBERED,
                 "LABEL_0,LABEL_1,LABEL_2");

    check_labels(NULL, "x\ny\n", NULL, 0, "labels.txt: 2 label names, but the model has 3 labels");
    check_labels(NULL, NULL, "1\n2\n3\n4\n", 0, "my-names: 4 label names, but the model has 3");
    check_labels(NULL, "x\n\nz\n", NULL, 0, "labels.txt: line 2 is empty");
    check_labels("\"id2label\":{\"0\":\"a\",\"1\":\"b\"}", NULL, NULL, 0,
                 "\"classifier.weight\" has the shape [3, 4], but config.json asks for [2, 4] "
                 "(number of labels, hidden_size)");
    check_labels("\"num_labels\":8,\"id2label\":null", NULL, NULL, 0, "[8, 4]");
    check_labels("\"num_labels\":8", NULL, NULL, 0, "names 3 labels, but num_labels is 8");
    check_labels("\"id2label\":{\"0\":\"a\",\"3\":\"b\"}", NULL, NULL, 0, "has the key \"3\"");
}

// Reading the config alone needs no weights, and says the same of a wrong path.
static void config_alone(void) {
    char dir[TEMP_PATH_MAX];
    struct tiny_model_spec spec = tiny_model_default();
    struct bert_config config;
    struct error error = {""};
    temp_dir_make(dir);
    CHECK_INT(model_read_config(dir, &config, &error), STATUS_MODEL);
    CHECK_CONTAINS(error.text, "no config.json");
    tiny_model_write_config(dir, &spec);
    CHECK_INT(model_read_config(dir, &config, &error), STATUS_OK);
    check_config(&config, &spec.config);
    spec.config_extra = "\"id2label\":null";
    tiny_model_write_config(dir, &spec);
    CHECK_INT(model_read_config(dir, &config, &error), STATUS_OK);
    spec.config.n_labels = 0;  // only the weights would tell
    check_config(&config, &spec.config);
    temp_dir_write_text(dir, "config.json", "{\"model_type\":\"t5\"}");
    CHECK_INT(model_read_config(dir, &config, &error), STATUS_MODEL);
    CHECK_CONTAINS(error.text, "\"t5\"");
    temp_dir_remove(dir);
}

int main(void) {
    model_close(NULL);
    layouts();
    label_rules();
    config_alone();
    return check_result();
}
