// SPDX-License-Identifier: Apache-2.0
//
// The forward pass of one packed batch on one thread. A layer is one sweep over the batch's tiles:
// queries, keys and values of a tile; attention for the titles that are complete by then; what
// follows attention for the tiles that are complete by then. So what a tile's products leave is
// used while it is still in the cache. cpu_model.h has the letters and the arrays.
#include <stdlib.h>
#include <string.h>

#include "host/encoder/cpu_forward.h"

enum status cpu_forward_create(const struct cpu_model *model, int32_t batch_tokens,
                               struct cpu_forward **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "a forward pass", error);
    if (status != STATUS_OK) return status;
    struct cpu_forward *forward = memory;
    forward->model = model;

    const size_t nbytes = cpu_memory_lay_out(&model->config, model->precision, batch_tokens,
                                             model->scratch_nbytes, NULL);
    // calloc hands out a block of this size as pages that cost nothing until they are touched.
    // Zeroed, because rows past a batch's last token must hold finite numbers from the start.
    status = alloc_zeroed(&forward->memory.block, nbytes, 1,
                          "a batch; try a smaller --batch-tokens", error);
    if (status != STATUS_OK) {
        free(forward);
        return status;
    }
    cpu_memory_lay_out(&model->config, model->precision, batch_tokens, model->scratch_nbytes,
                       &forward->memory);
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
    free(forward->memory.block);
    free(forward);
}

// ---- layers

// How far a layer has come in its sweep over the batch.
struct sweep {
    const struct encoder_slot *slot;
    int32_t n_tokens;
    size_t width;      // of a row of the window
    int32_t held;      // the first row in the window: that of the first title not attended to
    int32_t ready;     // rows before this one are in the window, or were
    int32_t title;     // the first one not attended to
    int32_t finished;  // rows before this one are through
};

static struct sweep sweep_of(const struct encoder_slot *slot, size_t width) {
    return (struct sweep){
        .slot = slot, .n_tokens = slot->cu_seqlens[slot->n_titles], .width = width};
}

// The next tile's queries, keys and values (or the two latter).
static enum status fill_window(struct cpu_forward *forward, struct sweep *sweep,
                               const struct gemm *gemm, const struct dense_weights *dense) {
    const struct cpu_model *model = forward->model;
    const size_t kept = (size_t)(sweep->ready - sweep->held);
    const struct operand_rows in = operands_from(model, forward->memory.in, (size_t)sweep->ready,
                                                 (size_t)model->config.hidden_size);
    enum status status = cpu_product(forward, gemm, dense->packed, in.rows,
                                     result_at(forward->memory.window, kept * sweep->width));
    sweep->ready += model->tile_rows;
    if (sweep->ready > sweep->n_tokens) sweep->ready = sweep->n_tokens;
    return status;
}

// Whether there is a title whose rows are all ready; it is then `*title`.
static bool next_title(struct cpu_forward *forward, const struct sweep *sweep,
                       const struct dense_weights *dense, struct title_rows *title) {
    const int32_t *seqlens = sweep->slot->cu_seqlens;
    if (sweep->title == sweep->slot->n_titles || seqlens[sweep->title + 1] > sweep->ready) {
        return false;
    }
    const size_t h = (size_t)forward->model->config.hidden_size;
    const int32_t first = seqlens[sweep->title], n = seqlens[sweep->title + 1] - first;
    const struct operand_rows in =
        operands_from(forward->model, forward->memory.in, (size_t)first, h);
    const struct result_rows rows = {
        .rows = result_at(forward->memory.window, (size_t)(first - sweep->held) * sweep->width),
        .stride = sweep->width,
        .scales = in.scales,
        .channels = dense->channels,
    };
    // Keys and values stand last, queries before them, where they are there.
    *title = (struct title_rows){.query = rows,
                                 .key = columns_from(&rows, sweep->width - 2 * h),
                                 .value = columns_from(&rows, sweep->width - h),
                                 .n_keys = n,
                                 .n_queries = n};
    return true;
}

// Moves the rows of the title that is not complete yet to the window's beginning.
static void slide_window(struct cpu_forward *forward, struct sweep *sweep) {
    const int32_t first = sweep->slot->cu_seqlens[sweep->title];
    const size_t row_nbytes = sweep->width * sizeof(float);
    char *window = forward->memory.window;
    if (first > sweep->held && first < sweep->ready) {
        memmove(window, window + (size_t)(first - sweep->held) * row_nbytes,
                (size_t)(sweep->ready - first) * row_nbytes);
    }
    sweep->held = first;
}

static enum status finish_rows(struct cpu_forward *forward, const struct layer_weights *layer,
                               struct tile all, int32_t first, int32_t n_rows) {
    const struct cpu_model *model = forward->model;
    const size_t h = (size_t)model->config.hidden_size;
    const struct tile tile = {
        .hidden = all.hidden + (size_t)first * h,
        .in = operands_from(model, all.in, (size_t)first, h),
        .context = operands_from(model, all.context, (size_t)first, h),
        .n_rows = (size_t)(n_rows < model->tile_rows ? n_rows : model->tile_rows),
    };
    enum status status = cpu_attention_output(forward, layer, &tile);
    if (status == STATUS_OK) status = cpu_feed(forward, layer, &tile);
    return status == STATUS_OK ? cpu_output(forward, layer, &tile) : status;
}

static enum status run_layer(struct cpu_forward *forward, const struct layer_weights *layer,
                             const struct encoder_slot *slot) {
    const struct cpu_model *model = forward->model;
    const struct cpu_memory *memory = &forward->memory;
    const struct tile all = {
        .hidden = memory->hidden, .in = memory->in, .context = memory->context};
    struct sweep sweep = sweep_of(slot, 3 * (size_t)model->config.hidden_size);
    struct title_rows title;
    while (sweep.finished < sweep.n_tokens) {
        enum status status = fill_window(forward, &sweep, model->h_to_3h, &layer->qkv);
        if (status != STATUS_OK) return status;
        lap(forward, ENCODER_QKV);
        for (; next_title(forward, &sweep, &layer->qkv, &title); sweep.title++) {
            cpu_attend(forward, &title, (size_t)slot->cu_seqlens[sweep.title]);
        }
        slide_window(forward, &sweep);
        lap(forward, ENCODER_ATTENTION);
        while (sweep.finished < sweep.n_tokens &&
               (sweep.finished + model->tile_rows <= sweep.held || sweep.held == sweep.n_tokens)) {
            status =
                finish_rows(forward, layer, all, sweep.finished, sweep.n_tokens - sweep.finished);
            if (status != STATUS_OK) return status;
            sweep.finished += model->tile_rows;
        }
    }
    return STATUS_OK;
}

// The rows of [CLS], which are all that the last layer has queries for.
static enum status query_cls(struct cpu_forward *forward, const struct layer_weights *layer,
                             const struct encoder_slot *slot) {
    const struct cpu_model *model = forward->model;
    const struct cpu_memory *memory = &forward->memory;
    const size_t h = (size_t)model->config.hidden_size;
    for (size_t i = 0; i < (size_t)slot->n_titles; i++) {
        const size_t row = (size_t)slot->cu_seqlens[i];
        memcpy(memory->cls + i * h, memory->hidden + row * h, h * sizeof(float));
        if (model->operand == OPERAND_F32) continue;
        const struct operand_rows from = operands_from(model, memory->in, row, h);
        const struct operand_rows to = operands_from(model, memory->cls_in, i, h);
        memcpy(to.rows, from.rows, h * operand_size(model->operand));
        if (to.scales != NULL) *to.scales = *from.scales;
    }
    for (int32_t i = 0; i < slot->n_titles; i += model->tile_rows) {
        enum status status = cpu_product(forward, model->h_to_h, layer->query.packed,
                                         operands_from(model, memory->cls_in, (size_t)i, h).rows,
                                         result_at(memory->query, (size_t)i * h));
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

// The classifier sees [CLS] alone, so the last layer needs keys and values of every row, but the
// rest only of each title's first. Leaves the final hidden states of [CLS] in `cls`.
static enum status run_last_layer(struct cpu_forward *forward, const struct layer_weights *layer,
                                  const struct encoder_slot *slot) {
    const struct cpu_model *model = forward->model;
    const struct cpu_memory *memory = &forward->memory;
    const size_t h = (size_t)model->config.hidden_size;
    const struct tile all = {
        .hidden = memory->cls, .in = memory->cls_in, .context = memory->context};
    struct sweep sweep = sweep_of(slot, 2 * h);
    struct title_rows title;
    enum status status = query_cls(forward, layer, slot);
    while (status == STATUS_OK && sweep.title < slot->n_titles) {
        status = fill_window(forward, &sweep, model->h_to_2h, &layer->kv);
        if (status != STATUS_OK) return status;
        lap(forward, ENCODER_QKV);
        for (; next_title(forward, &sweep, &layer->kv, &title); sweep.title++) {
            const size_t row = (size_t)sweep.title;
            title.n_queries = 1;
            title.query =
                (struct result_rows){.rows = result_at(memory->query, row * h),
                                     .stride = h,
                                     .scales = operands_from(model, memory->cls_in, row, h).scales,
                                     .channels = layer->query.channels};
            cpu_attend(forward, &title, row);
        }
        slide_window(forward, &sweep);
        lap(forward, ENCODER_ATTENTION);
    }
    for (int32_t i = 0; status == STATUS_OK && i < slot->n_titles; i += model->tile_rows) {
        status = finish_rows(forward, layer, all, i, slot->n_titles - i);
    }
    return status;
}

// ---- the head

// In place: tile = relu(tile); NaN stays NaN, so that the title gets no label.
static void relu_tile(float *tile, size_t n) {
    for (size_t i = 0; i < n; i++) tile[i] = tile[i] < 0.0f ? 0.0f : tile[i];
}

// logits = activation(cls Wp^T + bp) Wc^T + bc, in fp32 in every tier
static enum status classify(struct cpu_forward *forward, struct encoder_slot *slot) {
    const struct cpu_model *model = forward->model;
    const struct cpu_memory *memory = &forward->memory;
    const size_t h = (size_t)model->config.hidden_size, k = (size_t)model->config.n_labels;
    const size_t rows = (size_t)model->tile_rows;
    for (size_t first = 0; first < (size_t)slot->n_titles; first += rows) {
        enum status status = cpu_product(forward, model->h_to_h_head, model->pooler,
                                         memory->cls + first * h, memory->tile);
        if (status != STATUS_OK) return status;
        if (model->config.head_activation == HEAD_RELU) relu_tile(memory->tile, rows * h);
        status =
            cpu_product(forward, model->h_to_k, model->classifier, memory->tile, memory->logits);
        if (status != STATUS_OK) return status;
        size_t n = (size_t)slot->n_titles - first;
        if (n > rows) n = rows;
        memcpy(slot->logits + first * k, memory->logits, n * k * sizeof(float));
    }
    lap(forward, ENCODER_HEAD);
    return STATUS_OK;
}

enum status cpu_forward_run(struct cpu_forward *forward, struct encoder_slot *slot,
                            struct error *error) {
    const struct cpu_model *model = forward->model;
    const int32_t last = model->config.n_layers - 1;
    forward->error = error;
    if (slot->n_titles == 0) return STATUS_OK;
    cpu_embed(forward, slot);
    lap(forward, ENCODER_EMBED);
    for (int32_t l = 0; l < last; l++) {
        enum status status = run_layer(forward, &model->layers[l], slot);
        if (status != STATUS_OK) return status;
    }
    enum status status = run_last_layer(forward, &model->layers[last], slot);
    return status == STATUS_OK ? classify(forward, slot) : status;
}

enum status cpu_forward_profile(struct cpu_forward *forward, struct encoder_slot *slot,
                                struct encoder_profile *profile, struct error *error) {
    forward->profile = profile;
    forward->lap = now_seconds();
    enum status status = cpu_forward_run(forward, slot, error);
    forward->profile = NULL;
    return status;
}
