// SPDX-License-Identifier: Apache-2.0
#include "weights/fold.h"

#include <math.h>
#include <stdlib.h>

// `columns` was an int32_t, so the bytes of a row fit into a size_t; alloc_array checks the rest.
static enum status alloc_floats(float **out, size_t rows, size_t columns, const char *what,
                                struct error *error) {
    void *memory;
    enum status status = alloc_array(&memory, rows, columns * sizeof **out, what, error);
    *out = memory;
    return status;
}

float fold_power(int32_t head_size) {
    float power = 1;
    for (int64_t square = 4; square <= head_size; square *= 4) power /= 2;
    return power;
}

static void stack_qkv(const struct bert_layer *layer, size_t h, float power,
                      struct folded_layer *out) {
    const struct dense *const dense[] = {&layer->query, &layer->key, &layer->value};
    for (size_t i = 0; i < ARRAY_LEN(dense); i++) {
        tensor_read(dense[i]->weight, 0, h * h, out->qkv_weight + i * h * h);
    }
    for (size_t i = 0; i < h * h; i++) out->qkv_weight[i] *= power;
    tensor_read(layer->query.bias, 0, h, out->qkv_bias);
    for (size_t i = 0; i < h; i++) out->qkv_bias[i] *= power;
    for (size_t i = h; i < 3 * h; i++) out->qkv_bias[i] = 0;
}

// bo[i] + sum_j Wo[i, j] bv[j]; a product of two floats is exact in double.
static enum status move_value_bias(const struct bert_layer *layer, size_t h, float *out,
                                   struct error *error) {
    float *value_bias;
    enum status status = alloc_floats(&value_bias, 2, h, "the value bias", error);
    if (status != STATUS_OK) return status;
    float *row = value_bias + h;
    tensor_read(layer->value.bias, 0, h, value_bias);
    tensor_read(layer->attention_output.bias, 0, h, out);
    for (size_t i = 0; i < h; i++) {
        double sum = (double)out[i];
        tensor_read(layer->attention_output.weight, i * h, h, row);
        for (size_t j = 0; j < h; j++) sum += (double)row[j] * (double)value_bias[j];
        out[i] = (float)sum;
    }
    free(value_bias);
    return STATUS_OK;
}

enum status fold_layer(const struct bert_config *config, const struct bert_layer *layer,
                       struct folded_layer *out, struct error *error) {
    const size_t h = (size_t)config->hidden_size;
    const int32_t head_size = config->hidden_size / config->n_heads;
    const float power = fold_power(head_size);
    *out = (struct folded_layer){.scale = (float)(1 / (sqrt(head_size) * (double)power))};
    enum status status = alloc_floats(&out->qkv_weight, 3 * h, h, "query, key and value", error);
    if (status == STATUS_OK) status = alloc_floats(&out->qkv_bias, 3, h, "biases", error);
    if (status == STATUS_OK) {
        status = alloc_floats(&out->attention_output_bias, 1, h, "biases", error);
    }
    if (status == STATUS_OK) {
        status = move_value_bias(layer, h, out->attention_output_bias, error);
    }
    if (status == STATUS_OK) {
        stack_qkv(layer, h, power, out);
    } else {
        folded_layer_free(out);
    }
    return status;
}

void folded_layer_free(struct folded_layer *layer) {
    free(layer->qkv_weight);
    free(layer->qkv_bias);
    free(layer->attention_output_bias);
    *layer = (struct folded_layer){0};
}

enum status fold_positions(const struct bert_config *config, const struct bert_weights *weights,
                           float **out, struct error *error) {
    const size_t p = (size_t)config->max_positions, h = (size_t)config->hidden_size;
    float *type;
    *out = NULL;
    enum status status = alloc_floats(&type, 1, h, "embeddings", error);
    if (status == STATUS_OK) status = alloc_floats(out, p, h, "position embeddings", error);
    if (status == STATUS_OK) {
        tensor_read(weights->position_embeddings, 0, p * h, *out);
        const bool has_types = config->type_vocab_size > 0;
        if (has_types) tensor_read(weights->token_type_embeddings, 0, h, type);
        for (size_t row = 0; has_types && row < p; row++) {
            for (size_t i = 0; i < h; i++) (*out)[row * h + i] += type[i];
        }
    }
    free(type);
    return status;
}
