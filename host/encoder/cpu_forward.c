// SPDX-License-Identifier: Apache-2.0
//
// The forward pass of one packed batch on one thread.
//
// Letters: T token rows (rounded up to whole tiles), N titles (likewise), R rows of a tile, H
// hidden size, F feed-forward size, K labels. The working memory is one block, laid out once:
//   hidden [T, H]  qkv [T, 3H]  context [T, H]     the batch between the products
//   feed [R, F]  tile [R, H]                       one tile inside the feed-forward part
//   cls [N, H]  query [N, H]  logits [R, K]        the last layer and the head, [CLS] rows only
//   scores, gemm                                   scratch of attention and of the products
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/encoder/cpu_model.h"

struct cpu_forward {
    const struct cpu_model *model;
    struct gemm_stream *stream;
    void *block;
    float *hidden, *qkv, *context, *feed, *tile, *cls, *query, *logits, *scores, *gemm;
    struct error *error;  // of the run in progress
};

static size_t whole_tiles(int32_t n_rows) {
    return ((size_t)n_rows + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
}

enum { N_REGIONS = 10, FLOATS_PER_LINE = 16 };

// The regions' sizes in floats, each rounded up to a cache line, in the order of the picture above.
static size_t lay_out(const struct bert_config *config, int32_t batch_tokens,
                      size_t gemm_scratch_nbytes, size_t sizes[N_REGIONS]) {
    const size_t h = (size_t)config->hidden_size, f = (size_t)config->intermediate_size;
    const size_t t = whole_tiles(batch_tokens), n = whole_tiles(titles_cap_of(batch_tokens));
    const int32_t longest =
        config->max_positions < batch_tokens ? config->max_positions : batch_tokens;
    const size_t scores = attention_scratch_len(longest, config->hidden_size / config->n_heads);
    const size_t wanted[N_REGIONS] = {
        t * h,         t * 3 * h,
        t * h,         TILE_ROWS * f,
        TILE_ROWS * h, n * h,
        n * h,         TILE_ROWS * (size_t)config->n_labels,
        scores,        gemm_scratch_nbytes / sizeof(float) + 1,
    };
    size_t total = 0;
    for (int i = 0; i < N_REGIONS; i++) {
        sizes[i] = (wanted[i] + FLOATS_PER_LINE - 1) / FLOATS_PER_LINE * FLOATS_PER_LINE;
        total += sizes[i];
    }
    return total;
}

size_t cpu_forward_nbytes(const struct bert_config *config, int32_t batch_tokens) {
    size_t sizes[N_REGIONS];
    return lay_out(config, batch_tokens, 0, sizes) * sizeof(float);
}

enum status cpu_forward_create(const struct cpu_model *model, int32_t batch_tokens,
                               struct cpu_forward **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "a forward pass", error);
    if (status != STATUS_OK) return status;
    struct cpu_forward *forward = memory;
    forward->model = model;

    size_t sizes[N_REGIONS];
    size_t total = lay_out(&model->config, batch_tokens, model->scratch_nbytes, sizes);
    // calloc hands out a block of this size as pages that cost nothing until they are touched.
    // Zeroed, because rows past a batch's last token must hold finite numbers from the start.
    status = alloc_zeroed(&forward->block, total + FLOATS_PER_LINE, sizeof(float),
                          "a batch; try a smaller --batch-tokens", error);
    if (status != STATUS_OK) {
        free(forward);
        return status;
    }
    const uintptr_t line = FLOATS_PER_LINE * sizeof(float);
    float **regions[N_REGIONS] = {
        &forward->hidden, &forward->qkv,   &forward->context, &forward->feed,   &forward->tile,
        &forward->cls,    &forward->query, &forward->logits,  &forward->scores, &forward->gemm};
    float *at = (float *)(((uintptr_t)forward->block + line - 1) / line * line);
    for (int i = 0; i < N_REGIONS; i++) {
        *regions[i] = at;
        at += sizes[i];
    }
    status = gemm_stream_create(model->engine, &forward->stream, error);
    if (status != STATUS_OK) {
        cpu_forward_destroy(forward);
        return status;
    }
    *out = forward;
    return STATUS_OK;
}

void cpu_forward_destroy(struct cpu_forward *forward) {
    if (forward == NULL) return;
    gemm_stream_destroy(forward->stream);
    free(forward->block);
    free(forward);
}

static enum status product(struct cpu_forward *forward, const struct gemm *gemm,
                           const struct gemm_weights *weights, const float *x, float *y) {
    return gemm_run(gemm, weights, forward->stream, x, y, forward->gemm, forward->error);
}

// The same for all tiles of a batch: x [n_rows, n_in] to y [n_rows, n_out].
static enum status product_tiles(struct cpu_forward *forward, const struct gemm *gemm,
                                 const struct gemm_weights *weights, int32_t n_rows, const float *x,
                                 size_t n_in, float *y, size_t n_out) {
    for (size_t row = 0; row < (size_t)n_rows; row += TILE_ROWS) {
        enum status status = product(forward, gemm, weights, x + row * n_in, y + row * n_out);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static void add_norm_row(const struct cpu_model *model, const struct norm_weights *norm,
                         const float *a, float *out) {
    model->kernels->add_layer_norm(a, out, norm->weight, norm->bias, model->config.layer_norm_eps,
                                   model->config.hidden_size, out);
}

// hidden[t] = LayerNorm(word + position + type)
static void embed(struct cpu_forward *forward, const struct encoder_slot *slot) {
    const struct cpu_model *model = forward->model;
    const size_t h = (size_t)model->config.hidden_size;
    for (int32_t i = 0; i < slot->n_titles; i++) {
        const int32_t first = slot->cu_seqlens[i], end = slot->cu_seqlens[i + 1];
        for (int32_t t = first; t < end; t++) {
            const int32_t id = slot->token_ids[t];
            assert(id >= 0 && id < model->config.vocab_size);
            float *row = forward->hidden + (size_t)t * h;
            tensor_read(model->word_embeddings, (size_t)id * h, h, row);
            add_norm_row(model, &model->embedding_norm,
                         model->position_embeddings + (size_t)(t - first) * h, row);
        }
    }
}

// All heads of one title. `n_queries` is the title's length, or 1 where only [CLS] is wanted.
static void attend(struct cpu_forward *forward, const float *query, size_t query_stride,
                   const float *key, const float *value, size_t stride, int32_t n_keys,
                   int32_t n_queries, float *out) {
    const struct bert_config *config = &forward->model->config;
    const int32_t head_size = config->hidden_size / config->n_heads;
    for (int32_t a = 0; a < config->n_heads; a++) {
        const size_t at = (size_t)a * (size_t)head_size;
        forward->model->kernels->attention(&(struct attention_head){
            .query = query + at,
            .key = key + at,
            .value = value + at,
            .out = out + at,
            .query_stride = query_stride,
            .key_stride = stride,
            .value_stride = stride,
            .out_stride = (size_t)config->hidden_size,
            .n_queries = n_queries,
            .n_keys = n_keys,
            .head_size = head_size,
            .scale = 1.0f / sqrtf((float)head_size),
            .scratch = forward->scores,
        });
    }
}

// What follows attention, for `n_rows` rows, tile by tile:
//   hidden = LayerNorm(hidden + context Wo^T + bo)
//   hidden = LayerNorm(hidden + GELU(hidden Wi^T + bi) Wf^T + bf)
static enum status finish_layer(struct cpu_forward *forward, const struct layer_weights *layer,
                                int32_t n_rows, const float *context, float *hidden) {
    const struct cpu_model *model = forward->model;
    const size_t h = (size_t)model->config.hidden_size;
    for (size_t first = 0; first < (size_t)n_rows; first += TILE_ROWS) {
        float *rows = hidden + first * h;
        enum status status = product(forward, model->h_to_h, layer->attention_output,
                                     context + first * h, forward->tile);
        if (status != STATUS_OK) return status;
        for (size_t r = 0; r < TILE_ROWS; r++) {
            add_norm_row(model, &layer->attention_norm, forward->tile + r * h, rows + r * h);
        }
        status = product(forward, model->h_to_f_gelu, layer->intermediate, rows, forward->feed);
        if (status != STATUS_OK) return status;
        status = product(forward, model->f_to_h, layer->output, forward->feed, forward->tile);
        if (status != STATUS_OK) return status;
        for (size_t r = 0; r < TILE_ROWS; r++) {
            add_norm_row(model, &layer->output_norm, forward->tile + r * h, rows + r * h);
        }
    }
    return STATUS_OK;
}

static enum status run_layer(struct cpu_forward *forward, const struct layer_weights *layer,
                             const struct encoder_slot *slot) {
    const size_t h = (size_t)forward->model->config.hidden_size;
    const int32_t n_tokens = slot->cu_seqlens[slot->n_titles];
    enum status status = product_tiles(forward, forward->model->h_to_3h, layer->qkv, n_tokens,
                                       forward->hidden, h, forward->qkv, 3 * h);
    if (status != STATUS_OK) return status;
    for (int32_t i = 0; i < slot->n_titles; i++) {
        const size_t first = (size_t)slot->cu_seqlens[i];
        const int32_t n = slot->cu_seqlens[i + 1] - slot->cu_seqlens[i];
        const float *qkv = forward->qkv + first * 3 * h;
        attend(forward, qkv, 3 * h, qkv + h, qkv + 2 * h, 3 * h, n, n,
               forward->context + first * h);
    }
    return finish_layer(forward, layer, n_tokens, forward->context, forward->hidden);
}

// The classifier sees [CLS] alone, so the last layer needs keys and values of every row, but the
// rest only of each title's first. Leaves the final hidden states of [CLS] in `cls`.
static enum status run_last_layer(struct cpu_forward *forward, const struct layer_weights *layer,
                                  const struct encoder_slot *slot) {
    const struct cpu_model *model = forward->model;
    const size_t h = (size_t)model->config.hidden_size;
    const int32_t n_tokens = slot->cu_seqlens[slot->n_titles], n_titles = slot->n_titles;
    for (int32_t i = 0; i < n_titles; i++) {
        memcpy(forward->cls + (size_t)i * h, forward->hidden + (size_t)slot->cu_seqlens[i] * h,
               h * sizeof(float));
    }
    enum status status = product_tiles(forward, model->h_to_2h, layer->kv, n_tokens,
                                       forward->hidden, h, forward->qkv, 2 * h);
    if (status != STATUS_OK) return status;
    status = product_tiles(forward, model->h_to_h, layer->query, n_titles, forward->cls, h,
                           forward->query, h);
    if (status != STATUS_OK) return status;
    for (int32_t i = 0; i < n_titles; i++) {
        const float *kv = forward->qkv + (size_t)slot->cu_seqlens[i] * 2 * h;
        attend(forward, forward->query + (size_t)i * h, h, kv, kv + h, 2 * h,
               slot->cu_seqlens[i + 1] - slot->cu_seqlens[i], 1, forward->context + (size_t)i * h);
    }
    return finish_layer(forward, layer, n_titles, forward->context, forward->cls);
}

// In place: tile = relu(tile); NaN stays NaN, so that the title gets no label.
static void relu_tile(float *tile, size_t n) {
    for (size_t i = 0; i < n; i++) tile[i] = tile[i] < 0.0f ? 0.0f : tile[i];
}

// logits = activation(cls Wp^T + bp) Wc^T + bc
static enum status classify(struct cpu_forward *forward, struct encoder_slot *slot) {
    const struct cpu_model *model = forward->model;
    const size_t h = (size_t)model->config.hidden_size, k = (size_t)model->config.n_labels;
    for (size_t first = 0; first < (size_t)slot->n_titles; first += TILE_ROWS) {
        enum status status = product(forward, model->h_to_h_head, model->pooler,
                                     forward->cls + first * h, forward->tile);
        if (status != STATUS_OK) return status;
        if (model->config.head_activation == HEAD_RELU) relu_tile(forward->tile, TILE_ROWS * h);
        status = product(forward, model->h_to_k, model->classifier, forward->tile, forward->logits);
        if (status != STATUS_OK) return status;
        size_t n = (size_t)slot->n_titles - first;
        if (n > TILE_ROWS) n = TILE_ROWS;
        memcpy(slot->logits + first * k, forward->logits, n * k * sizeof(float));
    }
    return STATUS_OK;
}

enum status cpu_forward_run(struct cpu_forward *forward, struct encoder_slot *slot,
                            struct error *error) {
    const struct cpu_model *model = forward->model;
    const int32_t last = model->config.n_layers - 1;
    forward->error = error;
    if (slot->n_titles == 0) return STATUS_OK;
    embed(forward, slot);
    for (int32_t l = 0; l < last; l++) {
        enum status status = run_layer(forward, &model->layers[l], slot);
        if (status != STATUS_OK) return status;
    }
    enum status status = run_last_layer(forward, &model->layers[last], slot);
    return status == STATUS_OK ? classify(forward, slot) : status;
}
