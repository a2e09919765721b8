// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <math.h>

#include "host/encoder/cpu_forward.h"

struct operand_rows operands_from(const struct cpu_model *model, struct operand_rows rows,
                                  size_t first, size_t width) {
    const size_t nbytes = operand_size(model->operand);
    return (struct operand_rows){
        .rows = (char *)rows.rows + first * width * nbytes,
        .scales = rows.scales != NULL ? rows.scales + first : NULL,
    };
}

// One row's scale; where rows have none, nobody looks at it.
static struct row_scale scale_of(struct operand_rows rows, size_t row) {
    return rows.scales != NULL ? rows.scales[row] : (struct row_scale){0};
}

enum status cpu_product(struct cpu_forward *forward, const struct gemm *gemm,
                        const struct gemm_weights *weights, const void *x, void *y) {
    return gemm_run(gemm, weights, forward->stream, x, y, forward->memory.gemm, forward->error);
}

void cpu_embed(struct cpu_forward *forward, const struct encoder_slot *slot) {
    const struct cpu_model *model = forward->model;
    const struct cpu_memory *memory = &forward->memory;
    const size_t h = (size_t)model->config.hidden_size;
    for (int32_t i = 0; i < slot->n_titles; i++) {
        const int32_t first = slot->cu_seqlens[i], end = slot->cu_seqlens[i + 1];
        for (int32_t t = first; t < end; t++) {
            const int32_t id = slot->token_ids[t];
            assert(id >= 0 && id < model->config.vocab_size);
            float *row = memory->hidden + (size_t)t * h;
            tensor_read(model->word_embeddings, (size_t)id * h, h, row);
            model->kernels->of[OPERAND_F32].add_layer_norm(&(struct norm_row){
                .result = row,
                .residual = model->position_embeddings + (size_t)(t - first) * h,
                .weight = model->embedding_norm.weight,
                .bias = model->embedding_norm.bias,
                .eps = model->config.layer_norm_eps,
                .hidden_size = model->config.hidden_size,
                .out = row,
            });
            if (model->operand != OPERAND_F32) {
                const struct operand_rows in = operands_from(model, memory->in, (size_t)t, h);
                model->kernels->of[model->operand].make_operand(row, model->config.hidden_size,
                                                                in.rows, in.scales);
            }
        }
    }
}

struct result_rows columns_from(const struct result_rows *rows, size_t at) {
    struct result_rows part = *rows;
    part.rows = (const char *)rows->rows + at * sizeof(float);
    if (rows->channels.scales != NULL) {
        part.channels.scales += at;
        part.channels.totals += at;
        part.channels.biases += at;
    }
    return part;
}

void cpu_attend(struct cpu_forward *forward, const struct title_rows *title, size_t row) {
    const struct cpu_model *model = forward->model;
    const size_t h = (size_t)model->config.hidden_size;
    const int32_t head_size = model->config.hidden_size / model->config.n_heads;
    const struct operand_rows context = operands_from(model, forward->memory.context, row, h);
    float *out = model->operand == OPERAND_F32 ? context.rows : forward->memory.mixed;
    for (int32_t a = 0; a < model->config.n_heads; a++) {
        const size_t at = (size_t)a * (size_t)head_size;
        model->kernels->of[model->operand].attention(&(struct attention_head){
            .query = columns_from(&title->query, at),
            .key = columns_from(&title->key, at),
            .value = columns_from(&title->value, at),
            .out = out + at,
            .out_stride = h,
            .n_queries = title->n_queries,
            .n_keys = title->n_keys,
            .head_size = head_size,
            .scale = 1.0f / sqrtf((float)head_size),
            .scratch = forward->memory.scores,
        });
    }
    if (model->operand == OPERAND_F32) return;
    for (size_t r = 0; r < (size_t)title->n_queries; r++) {
        const struct operand_rows to = operands_from(model, context, r, h);
        model->kernels->of[model->operand].make_operand(out + r * h, model->config.hidden_size,
                                                        to.rows, to.scales);
    }
}

// hidden = LayerNorm(hidden + x W^T + b), also as operands; `results` are those of x W^T.
static void add_norm(struct cpu_forward *forward, const struct tile *tile, struct operand_rows x,
                     const struct dense_weights *dense, const struct norm_weights *norm) {
    const struct cpu_model *model = forward->model;
    const size_t h = (size_t)model->config.hidden_size;
    for (size_t r = 0; r < tile->n_rows; r++) {
        const struct operand_rows operand = operands_from(model, tile->in, r, h);
        model->kernels->of[model->operand].add_layer_norm(&(struct norm_row){
            .result = result_at(forward->memory.tile, r * h),
            .result_scale = scale_of(x, r),
            .channels = dense->channels,
            .residual = tile->hidden + r * h,
            .weight = norm->weight,
            .bias = norm->bias,
            .eps = model->config.layer_norm_eps,
            .hidden_size = model->config.hidden_size,
            .out = tile->hidden + r * h,
            .operand = operand.rows,
            .operand_scale = operand.scales,
        });
    }
}

enum status cpu_attention_output(struct cpu_forward *forward, const struct layer_weights *layer,
                                 const struct tile *tile) {
    enum status status =
        cpu_product(forward, forward->model->h_to_h, layer->attention_output.packed,
                    tile->context.rows, forward->memory.tile);
    if (status != STATUS_OK) return status;
    lap(forward, ENCODER_ATTENTION_OUTPUT);
    add_norm(forward, tile, tile->context, &layer->attention_output, &layer->attention_norm);
    lap(forward, ENCODER_NORM);
    return STATUS_OK;
}

enum status cpu_feed(struct cpu_forward *forward, const struct layer_weights *layer,
                     const struct tile *tile) {
    const struct cpu_model *model = forward->model;
    const struct cpu_memory *memory = &forward->memory;
    const size_t f = (size_t)model->config.intermediate_size, part = f / (size_t)model->n_parts;
    for (size_t p = 0; p < (size_t)model->n_parts; p++) {
        const struct dense_weights *dense = &layer->intermediate[p];
        enum status status =
            cpu_product(forward, model->h_to_f_part, dense->packed, tile->in.rows, memory->tile);
        if (status != STATUS_OK) return status;
        for (size_t r = 0; r < tile->n_rows; r++) {
            const struct operand_rows to = operands_from(model, memory->feed, r, f);
            model->kernels->of[model->operand].gelu(&(struct gelu_row){
                .result = result_at(memory->tile, r * part),
                .result_scale = scale_of(tile->in, r),
                .channels = dense->channels,
                .n = (int32_t)part,
                .form = model->config.gelu,
                .operand = operands_from(model, to, p, part).rows,
                .operand_scale = to.scales,
            });
        }
    }
    lap(forward, ENCODER_INTERMEDIATE);
    return STATUS_OK;
}

enum status cpu_output(struct cpu_forward *forward, const struct layer_weights *layer,
                       const struct tile *tile) {
    const struct cpu_memory *memory = &forward->memory;
    enum status status = cpu_product(forward, forward->model->f_to_h, layer->output.packed,
                                     memory->feed.rows, memory->tile);
    if (status != STATUS_OK) return status;
    lap(forward, ENCODER_OUTPUT);
    add_norm(forward, tile, memory->feed, &layer->output, &layer->output_norm);
    lap(forward, ENCODER_NORM);
    return STATUS_OK;
}
