// SPDX-License-Identifier: Apache-2.0
#include "host/encoder/cpu_model.h"

#include <assert.h>
#include <stdlib.h>

#include "host/encoder/cpu_probe.h"

static enum status read_norm(const struct layer_norm *norm, struct norm_weights *out,
                             struct error *error) {
    enum status status = read_values(&norm->weight, &out->weight, error);
    return status == STATUS_OK ? read_values(&norm->bias, &out->bias, error) : status;
}

// ---- plans

int32_t feed_parts_of(const struct bert_config *config, enum cpu_precision precision) {
    const int32_t f = config->intermediate_size, most = 768;
    if (precision == CPU_INT8) return 1;  // the range of a token's whole row is wanted
    for (int32_t n = (f + most - 1) / most; n <= f / 64; n++) {
        if (f % n == 0 && f / n % 64 == 0) return n;
    }
    return 1;
}

static enum status make_plans(struct cpu_model *model, struct error *error) {
    static const enum gemm_type types[] = {
        [CPU_FP32] = GEMM_FP32, [CPU_BF16] = GEMM_BF16, [CPU_INT8] = GEMM_INT8};
    const enum gemm_type type = types[model->precision];
    const int32_t h = model->config.hidden_size, f = model->config.intermediate_size;
    // ReLU is not the library's: it makes 0 of NaN.
    const bool tanh = model->config.head_activation == HEAD_TANH;
    const struct {
        struct gemm **out;
        enum gemm_type type;
        int32_t n_in, n_out;
        bool tanh;
    } plans[] = {
        {&model->h_to_3h, type, h, 3 * h, false},
        {&model->h_to_2h, type, h, 2 * h, false},
        {&model->h_to_h, type, h, h, false},
        {&model->h_to_f_part, type, h, f / model->n_parts, false},
        {&model->f_to_h, type, f, h, false},
        {&model->h_to_h_head, GEMM_FP32, h, h, tanh},
        {&model->h_to_k, GEMM_FP32, h, model->config.n_labels, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
        const struct gemm_shape shape = {.type = plans[i].type,
                                         .n_rows = model->tile_rows,
                                         .n_in = plans[i].n_in,
                                         .n_out = plans[i].n_out,
                                         .tanh = plans[i].tanh};
        enum status status = gemm_create(model->engine, &shape, plans[i].out, error);
        if (status != STATUS_OK) return status;
        const size_t nbytes = gemm_scratch_nbytes(*plans[i].out);
        if (nbytes > model->scratch_nbytes) model->scratch_nbytes = nbytes;
    }
    return STATUS_OK;
}

// ---- weights

// `n_dense` whole dense layers of `width` outputs each, as one product.
static enum status pack(const struct cpu_model *model, const struct gemm *gemm,
                        const struct dense *dense, int n_dense, int32_t n_in, const float *mean_in,
                        int32_t width, struct dense_weights *out, struct error *error) {
    struct dense_part parts[3];  // query, key and value
    assert(n_dense <= (int)ARRAY_LEN(parts));
    for (int i = 0; i < n_dense; i++) parts[i] = (struct dense_part){&dense[i], 0, width};
    return pack_dense(gemm, model->precision, n_in, mean_in, parts, n_dense, out, error);
}

static enum status pack_intermediate(const struct cpu_model *model, const struct dense *dense,
                                     const float *mean_in, struct layer_weights *to,
                                     struct error *error) {
    const int32_t width = model->config.intermediate_size / model->n_parts;
    void *memory;
    enum status status =
        alloc_zeroed(&memory, (size_t)model->n_parts, sizeof *to->intermediate, "weights", error);
    if (status != STATUS_OK) return status;
    to->intermediate = memory;
    for (int32_t p = 0; p < model->n_parts && status == STATUS_OK; p++) {
        const struct dense_part part = {dense, p * width, width};
        status = pack_dense(model->h_to_f_part, model->precision, model->config.hidden_size,
                            mean_in, &part, 1, &to->intermediate[p], error);
    }
    return status;
}

// Queries, keys and values.
static enum status pack_projections(const struct cpu_model *model, const struct bert_layer *from,
                                    bool last, const float *mean_in, struct layer_weights *to,
                                    struct error *error) {
    const int32_t h = model->config.hidden_size;
    const struct dense qkv[] = {from->query, from->key, from->value};
    if (!last) return pack(model, model->h_to_3h, qkv, 3, h, mean_in, h, &to->qkv, error);
    enum status status = pack(model, model->h_to_h, qkv, 1, h, mean_in, h, &to->query, error);
    if (status != STATUS_OK) return status;
    return pack(model, model->h_to_2h, qkv + 1, 2, h, mean_in, h, &to->kv, error);
}

// The probe follows from product to product, as each is packed with the mean of what it takes.
static enum status pack_layer(const struct cpu_model *model, const struct bert_layer *from,
                              bool last, struct cpu_probe *probe, struct layer_weights *to,
                              struct error *error) {
    const int32_t h = model->config.hidden_size, f = model->config.intermediate_size;
    enum status status = read_norm(&from->attention_norm, &to->attention_norm, error);
    if (status == STATUS_OK) status = read_norm(&from->output_norm, &to->output_norm, error);
    if (status != STATUS_OK) return status;

    const float *mean = cpu_probe_mean(probe, PROBE_HIDDEN);
    status = pack_projections(model, from, last, mean, to, error);
    if (status == STATUS_OK) status = cpu_probe_attention(probe, to, error);
    if (status != STATUS_OK) return status;

    mean = cpu_probe_mean(probe, PROBE_CONTEXT);
    status = pack(model, model->h_to_h, &from->attention_output, 1, h, mean, h,
                  &to->attention_output, error);
    if (status == STATUS_OK) status = cpu_probe_attention_output(probe, to, error);
    if (status != STATUS_OK) return status;

    mean = cpu_probe_mean(probe, PROBE_HIDDEN);
    status = pack_intermediate(model, &from->intermediate, mean, to, error);
    if (status == STATUS_OK) status = cpu_probe_feed(probe, to, error);
    if (status != STATUS_OK) return status;

    mean = cpu_probe_mean(probe, PROBE_FEED);
    status = pack(model, model->f_to_h, &from->output, 1, f, mean, h, &to->output, error);
    return status == STATUS_OK ? cpu_probe_output(probe, to, error) : status;
}

// The head's products are fp32 in every tier.
static enum status pack_head(const struct gemm *gemm, const struct dense *dense, int32_t n_in,
                             int32_t n_out, struct gemm_weights **out, struct error *error) {
    const struct dense_part part = {dense, 0, n_out};
    struct dense_weights weights = {0};
    enum status status = pack_dense(gemm, CPU_FP32, n_in, NULL, &part, 1, &weights, error);
    *out = weights.packed;
    return status;
}

// Every token of a title has type 0, if the model has types, so its embedding is a constant that
// belongs to the positions.
static enum status read_positions(struct cpu_model *model, const struct bert_weights *weights,
                                  struct error *error) {
    const size_t h = (size_t)model->config.hidden_size;
    enum status status =
        read_values(&weights->position_embeddings, &model->position_embeddings, error);
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

static enum status pack_layers(struct cpu_model *model, const struct bert_layer *from,
                               struct error *error) {
    const int32_t n_layers = model->config.n_layers;
    struct cpu_probe *probe = NULL;
    enum status status = STATUS_OK;
    if (model->precision == CPU_INT8) status = cpu_probe_create(model, &probe, error);
    for (int32_t l = 0; l < n_layers && status == STATUS_OK; l++) {
        status = pack_layer(model, &from[l], l == n_layers - 1, probe, &model->layers[l], error);
    }
    cpu_probe_destroy(probe);
    return status;
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
    status = pack_layers(model, weights->layers, error);
    if (status != STATUS_OK) return status;
    const int32_t h = model->config.hidden_size;
    status = pack_head(model->h_to_h_head, &weights->pooler, h, h, &model->pooler, error);
    if (status != STATUS_OK) return status;
    return pack_head(model->h_to_k, &weights->classifier, h, model->config.n_labels,
                     &model->classifier, error);
}

size_t cpu_model_nbytes(const struct bert_config *config, enum cpu_precision precision) {
    static const size_t sizes[] = {[CPU_FP32] = 4, [CPU_BF16] = 2, [CPU_INT8] = 1};
    const size_t h = (size_t)config->hidden_size, f = (size_t)config->intermediate_size;
    return (size_t)config->n_layers * (4 * h * h + 2 * h * f) * sizes[precision];
}

// The largest product's weights as the file's values, and as those of the tier before the library
// puts them in its order.
size_t cpu_model_packing_nbytes(const struct bert_config *config, enum cpu_precision precision) {
    const size_t h = (size_t)config->hidden_size, f = (size_t)config->intermediate_size;
    const size_t part = f / (size_t)feed_parts_of(config, precision);
    const size_t outs[] = {3 * h, part, f};  // times h
    size_t most = 0;
    for (size_t i = 0; i < ARRAY_LEN(outs); i++) most = outs[i] * h > most ? outs[i] * h : most;
    if (precision == CPU_FP32) return most * sizeof(float);
    if (precision == CPU_BF16) return most * (sizeof(float) + sizeof(uint16_t));
    return most * (sizeof(float) + 1) + cpu_probe_nbytes(config);
}

enum status cpu_model_create(const struct model *model, enum cpu_precision precision, bool plain,
                             struct cpu_model **out, struct error *error) {
    static const enum operand operands[] = {
        [CPU_FP32] = OPERAND_F32, [CPU_BF16] = OPERAND_BF16, [CPU_INT8] = OPERAND_U8};
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "the CPU encoder", error);
    if (status != STATUS_OK) return status;
    struct cpu_model *packed = memory;
    packed->config = model->config;
    packed->precision = precision;
    packed->operand = operands[precision];
    packed->tile_rows = tile_rows_of(precision);
    packed->n_parts = feed_parts_of(&model->config, precision);
    packed->kernels = plain ? kernels_plain() : kernels_choose();
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
        dense_weights_free(&layer->qkv);
        dense_weights_free(&layer->query);
        dense_weights_free(&layer->kv);
        dense_weights_free(&layer->attention_output);
        for (int32_t p = 0; layer->intermediate != NULL && p < model->n_parts; p++) {
            dense_weights_free(&layer->intermediate[p]);
        }
        free(layer->intermediate);
        dense_weights_free(&layer->output);
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
    gemm_destroy(model->h_to_f_part);
    gemm_destroy(model->f_to_h);
    gemm_destroy(model->h_to_h_head);
    gemm_destroy(model->h_to_k);
    gemm_engine_destroy(model->engine);
    free(model);
}
