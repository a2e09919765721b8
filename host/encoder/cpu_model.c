// SPDX-License-Identifier: Apache-2.0
#include "host/encoder/cpu_model.h"

#include <assert.h>
#include <stdlib.h>

// Reads whole tensors one after the other into one new array: [a; b; ...].
static enum status read_stacked(const struct tensor *tensors, int n_tensors, float **out,
                                struct error *error) {
    size_t n = 0;
    for (int i = 0; i < n_tensors; i++) n += tensors[i].n_elements;
    void *memory;
    enum status status = alloc_array(&memory, n, sizeof(float), "weights", error);
    if (status != STATUS_OK) return status;
    float *values = memory;
    size_t at = 0;
    for (int i = 0; i < n_tensors; i++) {
        tensor_read(tensors[i], 0, tensors[i].n_elements, values + at);
        at += tensors[i].n_elements;
        tensor_forget(tensors[i]);
    }
    *out = values;
    return STATUS_OK;
}

enum { STACKED_MAX = 3 };  // query, key and value

// Packs dense layers that share their input as one product: their outputs stand side by side.
static enum status pack_stacked(const struct gemm *gemm, const struct dense *dense, int n_dense,
                                struct gemm_weights **out, struct error *error) {
    struct tensor weights[STACKED_MAX], biases[STACKED_MAX];
    assert(n_dense <= STACKED_MAX);
    for (int i = 0; i < n_dense; i++) {
        weights[i] = dense[i].weight;
        biases[i] = dense[i].bias;
    }
    float *weight = NULL, *bias = NULL;
    enum status status = read_stacked(weights, n_dense, &weight, error);
    if (status == STATUS_OK) status = read_stacked(biases, n_dense, &bias, error);
    if (status == STATUS_OK) status = gemm_pack(gemm, weight, bias, out, error);
    free(bias);
    free(weight);
    return status;
}

static enum status read_norm(const struct layer_norm *norm, struct norm_weights *out,
                             struct error *error) {
    enum status status = read_stacked(&norm->weight, 1, &out->weight, error);
    return status == STATUS_OK ? read_stacked(&norm->bias, 1, &out->bias, error) : status;
}

static enum status plan(struct cpu_model *model, struct gemm **out, int32_t n_in, int32_t n_out,
                        enum gemm_epilogue epilogue, struct error *error) {
    enum status status = gemm_create(model->engine, TILE_ROWS, n_in, n_out, epilogue, out, error);
    if (status != STATUS_OK) return status;
    size_t nbytes = gemm_scratch_nbytes(*out);
    if (nbytes > model->scratch_nbytes) model->scratch_nbytes = nbytes;
    return STATUS_OK;
}

static enum status make_plans(struct cpu_model *model, struct error *error) {
    const int32_t h = model->config.hidden_size, f = model->config.intermediate_size;
    const enum gemm_epilogue gelu =
        model->config.gelu == GELU_TANH ? GEMM_BIAS_GELU_TANH : GEMM_BIAS_GELU;
    // ReLU is not the library's: it makes 0 of NaN.
    const enum gemm_epilogue head =
        model->config.head_activation == HEAD_TANH ? GEMM_BIAS_TANH : GEMM_BIAS;
    const struct {
        struct gemm **out;
        int32_t n_in, n_out;
        enum gemm_epilogue epilogue;
    } plans[] = {
        {&model->h_to_3h, h, 3 * h, GEMM_BIAS},
        {&model->h_to_2h, h, 2 * h, GEMM_BIAS},
        {&model->h_to_h, h, h, GEMM_BIAS},
        {&model->h_to_f_gelu, h, f, gelu},
        {&model->f_to_h, f, h, GEMM_BIAS},
        {&model->h_to_h_head, h, h, head},
        {&model->h_to_k, h, model->config.n_labels, GEMM_BIAS},
    };
    for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
        enum status status =
            plan(model, plans[i].out, plans[i].n_in, plans[i].n_out, plans[i].epilogue, error);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static enum status pack_layer(struct cpu_model *model, const struct bert_layer *from, bool last,
                              struct layer_weights *to, struct error *error) {
    const struct dense qkv[] = {from->query, from->key, from->value};
    enum status status;
    if (last) {
        status = pack_stacked(model->h_to_h, qkv, 1, &to->query, error);
        if (status == STATUS_OK) status = pack_stacked(model->h_to_2h, qkv + 1, 2, &to->kv, error);
    } else {
        status = pack_stacked(model->h_to_3h, qkv, 3, &to->qkv, error);
    }
    if (status != STATUS_OK) return status;
    status = pack_stacked(model->h_to_h, &from->attention_output, 1, &to->attention_output, error);
    if (status != STATUS_OK) return status;
    status = pack_stacked(model->h_to_f_gelu, &from->intermediate, 1, &to->intermediate, error);
    if (status != STATUS_OK) return status;
    status = pack_stacked(model->f_to_h, &from->output, 1, &to->output, error);
    if (status != STATUS_OK) return status;
    status = read_norm(&from->attention_norm, &to->attention_norm, error);
    return status == STATUS_OK ? read_norm(&from->output_norm, &to->output_norm, error) : status;
}

// Every token of a title has type 0, if the model has types, so its embedding is a constant that
// belongs to the positions.
static enum status read_positions(struct cpu_model *model, const struct bert_weights *weights,
                                  struct error *error) {
    const size_t h = (size_t)model->config.hidden_size;
    enum status status =
        read_stacked(&weights->position_embeddings, 1, &model->position_embeddings, error);
    if (status != STATUS_OK || model->config.type_vocab_size == 0) return status;
    void *memory;
    status = alloc_array(&memory, h, sizeof(float), "embeddings", error);
    if (status != STATUS_OK) return status;
    float *type = memory;
    tensor_read(weights->token_type_embeddings, 0, h, type);
    for (size_t p = 0; p < (size_t)model->config.max_positions; p++) {
        float *row = model->position_embeddings + p * h;
        for (size_t i = 0; i < h; i++) row[i] += type[i];
    }
    free(type);
    return STATUS_OK;
}

static enum status fill(struct cpu_model *model, const struct bert_weights *weights,
                        struct error *error) {
    const int32_t n_layers = model->config.n_layers;
    void *layers;
    enum status status = gemm_engine_create(&model->engine, error);
    if (status == STATUS_OK) status = make_plans(model, error);
    if (status == STATUS_OK) status = read_positions(model, weights, error);
    if (status == STATUS_OK) {
        status = read_norm(&weights->embedding_norm, &model->embedding_norm, error);
    }
    if (status != STATUS_OK) return status;
    status = alloc_zeroed(&layers, (size_t)n_layers, sizeof *model->layers, "layers", error);
    if (status != STATUS_OK) return status;
    model->layers = layers;
    for (int32_t l = 0; l < n_layers; l++) {
        status =
            pack_layer(model, &weights->layers[l], l == n_layers - 1, &model->layers[l], error);
        if (status != STATUS_OK) return status;
    }
    status = pack_stacked(model->h_to_h_head, &weights->pooler, 1, &model->pooler, error);
    if (status != STATUS_OK) return status;
    return pack_stacked(model->h_to_k, &weights->classifier, 1, &model->classifier, error);
}

enum status cpu_model_create(const struct model *model, struct cpu_model **out,
                             struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "the CPU encoder", error);
    if (status != STATUS_OK) return status;
    struct cpu_model *packed = memory;
    packed->config = model->config;
    packed->kernels = kernels_choose();
    packed->word_embeddings = model->weights.word_embeddings;
    status = fill(packed, &model->weights, error);
    if (status != STATUS_OK) {
        cpu_model_destroy(packed);
        return status;
    }
    *out = packed;
    return STATUS_OK;
}

static void norm_free(struct norm_weights *norm) {
    free(norm->weight);
    free(norm->bias);
}

void cpu_model_destroy(struct cpu_model *model) {
    if (model == NULL) return;
    for (int32_t l = 0; model->layers != NULL && l < model->config.n_layers; l++) {
        struct layer_weights *layer = &model->layers[l];
        gemm_weights_destroy(layer->qkv);
        gemm_weights_destroy(layer->query);
        gemm_weights_destroy(layer->kv);
        gemm_weights_destroy(layer->attention_output);
        gemm_weights_destroy(layer->intermediate);
        gemm_weights_destroy(layer->output);
        norm_free(&layer->attention_norm);
        norm_free(&layer->output_norm);
    }
    free(model->layers);
    gemm_weights_destroy(model->pooler);
    gemm_weights_destroy(model->classifier);
    norm_free(&model->embedding_norm);
    free(model->position_embeddings);
    gemm_destroy(model->h_to_3h);
    gemm_destroy(model->h_to_2h);
    gemm_destroy(model->h_to_h);
    gemm_destroy(model->h_to_f_gelu);
    gemm_destroy(model->f_to_h);
    gemm_destroy(model->h_to_h_head);
    gemm_destroy(model->h_to_k);
    gemm_engine_destroy(model->engine);
    free(model);
}
