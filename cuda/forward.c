// SPDX-License-Identifier: Apache-2.0
#include "cuda/forward.h"

#include <assert.h>
#include <string.h>

#include "cuda/attention_items.h"
#include "cuda/device_weights.h"
#include "cuda/kernels.h"
#include "cuda/runtime.h"

// A pass being enqueued. After the first failure nothing more is.
struct pass {
    const struct forward *forward;
    const char *slot;  // on the device
    enum dtype dtype;  // of activations
    struct CUstream_st *stream;
    int code;
};

static void *at(const struct pass *pass, size_t offset) {
    return pass->forward->block + offset;
}

static const void *input(const struct pass *pass, size_t offset) {
    return pass->slot + offset;
}

// `work` ends here.
static void mark(struct pass *pass, enum encoder_work work) {
    struct forward_marks *marks = pass->forward->marks;
    if (marks == NULL || pass->code != 0) return;
    assert(marks->n < marks->cap);
    marks->works[marks->n] = work;
    pass->code = gpu_event_record(marks->events[marks->n++], pass->stream);
}

static void product(struct pass *pass, struct matmul *matmul, size_t x, size_t weight,
                    const void *bias, size_t y) {
    if (pass->code != 0) return;
    pass->code = matmul_run(matmul, at(pass, x), at(pass, weight), bias, at(pass, y), pass->stream);
}

#define ENQUEUE(pass, kernel, ...)                                            \
    do {                                                                      \
        const struct kernel args_ = {__VA_ARGS__};                            \
        if ((pass)->code == 0) (pass)->code = kernel(&args_, (pass)->stream); \
    } while (0)

static void embed(struct pass *pass) {
    const struct forward *forward = pass->forward;
    const struct memory_plan *plan = &forward->plan;
    ENQUEUE(pass, kernel_embed, .dtype = pass->dtype, .n_rows = forward->n_rows,
            .hidden_size = forward->config->hidden_size, .eps = forward->config->layer_norm_eps,
            .token_ids = input(pass, plan->slot.token_ids),
            .position_ids = input(pass, plan->slot.position_ids),
            .word = at(pass, plan->word_embeddings),
            .position = at(pass, plan->position_embeddings),
            .weight = at(pass, plan->embedding_norm_weight),
            .bias = at(pass, plan->embedding_norm_bias), .out = at(pass, plan->hidden));
    mark(pass, ENCODER_EMBED);
}

static void attend(struct pass *pass) {
    const struct forward *forward = pass->forward;
    const struct memory_plan *plan = &forward->plan;
    for (int32_t b = 0; b < ATTENTION_BUCKETS; b++) {
        ENQUEUE(pass, kernel_attention, .dtype = pass->dtype, .n_heads = forward->config->n_heads,
                .head_size = forward->config->hidden_size / forward->config->n_heads,
                .scale = device_weights_scale(forward->config), .bucket = b,
                .items_cap = (int32_t)plan->slot.items_cap,
                .n_multiprocessors = forward->n_multiprocessors, .qkv = at(pass, plan->wide),
                .items = input(pass, plan->slot.items), .starts = input(pass, plan->slot.starts),
                .context = at(pass, plan->context));
    }
    mark(pass, ENCODER_ATTENTION);
}

// hidden = LayerNorm(narrow + bias + hidden), for `n_rows` rows.
static void add_norm(struct pass *pass, int32_t n_rows, size_t hidden, size_t bias,
                     size_t norm_weight, size_t norm_bias) {
    const struct forward *forward = pass->forward;
    ENQUEUE(pass, kernel_layer_norm, .dtype = pass->dtype, .n_rows = n_rows,
            .hidden_size = forward->config->hidden_size, .eps = forward->config->layer_norm_eps,
            .x = at(pass, forward->plan.narrow), .x_bias = at(pass, bias),
            .residual = at(pass, hidden), .weight = at(pass, norm_weight),
            .bias = at(pass, norm_bias), .out = at(pass, hidden));
    mark(pass, ENCODER_NORM);
}

// The feed-forward part on rows of `hidden`, with its LayerNorm.
static void feed(struct pass *pass, const struct layer_view *view, bool is_cls) {
    const struct forward *forward = pass->forward;
    const struct memory_plan *plan = &forward->plan;
    const struct layer_places *layer = view->places;
    const struct forward_matmuls *m = &forward->matmuls;
    const int32_t n_rows = is_cls ? forward->n_titles : forward->n_rows;
    const size_t hidden = is_cls ? plan->cls : plan->hidden, begin = view->begin;
    const bool in_epilogue = feed_in_epilogue(pass->dtype, false);
    product(pass, is_cls ? m->cls_intermediate : m->intermediate, hidden,
            begin + layer->intermediate_weight,
            in_epilogue ? at(pass, begin + layer->intermediate_bias) : NULL, plan->wide);
    if (!in_epilogue) {
        ENQUEUE(pass, kernel_gelu, .dtype = pass->dtype, .form = forward->config->gelu,
                .n_rows = n_rows, .n_columns = forward->config->intermediate_size,
                .bias = at(pass, begin + layer->intermediate_bias), .x = at(pass, plan->wide));
    }
    mark(pass, ENCODER_INTERMEDIATE);
    product(pass, is_cls ? m->cls_output : m->output, plan->wide, begin + layer->output_weight,
            NULL, plan->narrow);
    mark(pass, ENCODER_OUTPUT);
    add_norm(pass, n_rows, hidden, begin + layer->output_bias, begin + layer->output_norm_weight,
             begin + layer->output_norm_bias);
}

// hidden = LayerNorm(narrow + bias + hidden) for all rows, `narrow` a product of e4m3 or the rows
// wanted as an operand of one.
static void add_norm_e4m3(struct pass *pass, const struct layer_view *view, bool is_product) {
    const struct forward *forward = pass->forward;
    const struct memory_plan *plan = &forward->plan;
    const struct layer_places *layer = view->places;
    const size_t begin = view->begin;
    float *scales = at(pass, plan->scales);
    ENQUEUE(pass, kernel_layer_norm_e4m3, .n_rows = forward->n_rows,
            .hidden_size = forward->config->hidden_size, .eps = forward->config->layer_norm_eps,
            .x = at(pass, plan->narrow), .row_scales = is_product ? scales : NULL,
            .column_scales = is_product ? at(pass, begin + layer->output_scales) : NULL,
            .x_bias =
                at(pass, begin + (is_product ? layer->output_bias : layer->attention_output_bias)),
            .residual = at(pass, plan->hidden),
            .weight = at(pass, begin + (is_product ? layer->output_norm_weight
                                                   : layer->attention_norm_weight)),
            .bias = at(pass,
                       begin + (is_product ? layer->output_norm_bias : layer->attention_norm_bias)),
            .out = at(pass, plan->hidden), .values = is_product ? NULL : at(pass, plan->values),
            .scales = is_product ? NULL : scales);
    mark(pass, ENCODER_NORM);
}

// The same as `feed`, in e4m3, of all rows, whose values and scales are there.
static void feed_e4m3(struct pass *pass, const struct layer_view *view) {
    const struct forward *forward = pass->forward;
    const struct memory_plan *plan = &forward->plan;
    const struct layer_places *layer = view->places;
    const struct forward_matmuls *m = &forward->matmuls;
    const size_t begin = view->begin;
    product(pass, m->e4m3_intermediate, plan->values, begin + layer->intermediate_weight, NULL,
            plan->wide);
    ENQUEUE(pass, kernel_gelu_e4m3, .form = forward->config->gelu, .n_rows = forward->n_rows,
            .n_columns = forward->config->intermediate_size, .x = at(pass, plan->wide),
            .row_scales = at(pass, plan->scales),
            .column_scales = at(pass, begin + layer->intermediate_scales),
            .bias = at(pass, begin + layer->intermediate_bias), .values = at(pass, plan->values),
            .scales = at(pass, plan->scales));
    mark(pass, ENCODER_INTERMEDIATE);
    product(pass, m->e4m3_output, plan->values, begin + layer->output_weight, NULL, plan->narrow);
    mark(pass, ENCODER_OUTPUT);
    add_norm_e4m3(pass, view, true);
}

// What follows attention, for all rows or for those of [CLS], which are never in e4m3.
static void finish_layer(struct pass *pass, const struct layer_view *view, bool is_cls) {
    const struct forward *forward = pass->forward;
    const struct memory_plan *plan = &forward->plan;
    const struct layer_places *layer = view->places;
    const struct forward_matmuls *m = &forward->matmuls;
    const size_t begin = view->begin;
    product(pass, is_cls ? m->cls_attention_output : m->attention_output,
            is_cls ? plan->cls_context : plan->context, begin + layer->attention_output_weight,
            NULL, plan->narrow);
    mark(pass, ENCODER_ATTENTION_OUTPUT);
    if (view->is_e4m3) {
        add_norm_e4m3(pass, view, false);
        feed_e4m3(pass, view);
        return;
    }
    add_norm(pass, is_cls ? forward->n_titles : forward->n_rows, is_cls ? plan->cls : plan->hidden,
             begin + layer->attention_output_bias, begin + layer->attention_norm_weight,
             begin + layer->attention_norm_bias);
    feed(pass, view, is_cls);
}

// The classifier sees [CLS] alone: keys and values of every row, the rest of each title's first.
// The weight's first H rows are the query's, the other 2H those of key and value (fold.h).
static void last_layer(struct pass *pass, const struct layer_view *view) {
    const struct forward *forward = pass->forward;
    const struct memory_plan *plan = &forward->plan;
    const size_t h = (size_t)forward->config->hidden_size;
    const size_t element = pass->dtype == DTYPE_F32 ? sizeof(float) : 2;
    const size_t weight = view->begin + view->places->qkv_weight;
    product(pass, forward->matmuls.key_value, plan->hidden, weight + h * h * element, NULL,
            plan->wide);
    ENQUEUE(pass, kernel_gather_cls, .dtype = pass->dtype, .n_titles = forward->n_titles,
            .hidden_size = forward->config->hidden_size,
            .cu_seqlens = input(pass, plan->slot.cu_seqlens), .hidden = at(pass, plan->hidden),
            .cls = at(pass, plan->cls));
    product(pass, forward->matmuls.cls_query, plan->cls, weight,
            at(pass, view->begin + view->places->qkv_bias), plan->query);
    mark(pass, ENCODER_QKV);
    ENQUEUE(pass, kernel_attention_cls, .dtype = pass->dtype, .n_titles = forward->n_titles,
            .n_heads = forward->config->n_heads,
            .head_size = forward->config->hidden_size / forward->config->n_heads,
            .scale = device_weights_scale(forward->config),
            .cu_seqlens = input(pass, plan->slot.cu_seqlens), .query = at(pass, plan->query),
            .key_value = at(pass, plan->wide), .context = at(pass, plan->cls_context));
    mark(pass, ENCODER_ATTENTION);
    finish_layer(pass, view, true);
}

static void classify(struct pass *pass, int32_t slot) {
    const struct forward *forward = pass->forward;
    const struct memory_plan *plan = &forward->plan;
    product(pass, forward->matmuls.pooler, plan->cls, plan->pooler_weight, NULL, plan->pooled);
    ENQUEUE(pass, kernel_head, .activation = forward->config->head_activation,
            .n_titles = forward->n_titles, .hidden_size = forward->config->hidden_size,
            .n_labels = forward->config->n_labels, .x = at(pass, plan->pooled),
            .x_bias = at(pass, plan->pooler_bias), .weight = at(pass, plan->classifier_weight),
            .bias = at(pass, plan->classifier_bias),
            .logits = at(pass, plan->slots + (size_t)slot * plan->slot.nbytes + plan->slot.logits));
    mark(pass, ENCODER_HEAD);
}

int forward_enqueue(const struct forward *forward, int32_t slot, struct CUstream_st *stream) {
    const struct memory_plan *plan = &forward->plan;
    struct pass pass = {.forward = forward,
                        .slot = forward->block + plan->slots + (size_t)slot * plan->slot.nbytes,
                        .dtype = activation_dtype(forward->dtype),
                        .stream = stream};
    const int32_t last = forward->config->n_layers - 1;
    embed(&pass);
    for (int32_t l = 0; l <= last; l++) {
        const struct layer_view view = memory_plan_layer(plan, l);
        if (l == last) {
            last_layer(&pass, &view);
            break;
        }
        product(&pass, forward->matmuls.qkv, plan->hidden, view.begin + view.places->qkv_weight,
                at(&pass, view.begin + view.places->qkv_bias), plan->wide);
        mark(&pass, ENCODER_QKV);
        attend(&pass);
        finish_layer(&pass, &view, false);
    }
    classify(&pass, slot);
    return pass.code;
}

void forward_prepare(const struct forward *forward, int32_t n_titles, void *pinned) {
    const struct slot_places *places = &forward->plan.slot;
    char *slot = pinned;
    int32_t *token_ids = (int32_t *)(void *)(slot + places->token_ids);
    int32_t *cu_seqlens = (int32_t *)(void *)(slot + places->cu_seqlens);
    const int32_t n_tokens = cu_seqlens[n_titles];
    memset(token_ids + n_tokens, 0, (size_t)(forward->n_rows - n_tokens) * sizeof *token_ids);
    for (int32_t i = n_titles + 1; i <= forward->n_titles; i++) cu_seqlens[i] = n_tokens;
    attention_positions(cu_seqlens, n_titles, forward->n_rows,
                        (int32_t *)(void *)(slot + places->position_ids));
    attention_items_build(cu_seqlens, n_titles,
                          (struct attention_item *)(void *)(slot + places->items),
                          (int32_t *)(void *)(slot + places->starts));
}

enum status forward_create(struct forward *forward, struct matmul_context *context, int *code,
                           struct error *error) {
    const int32_t h = forward->config->hidden_size, f = forward->config->intermediate_size;
    const int32_t t = forward->n_rows, n = forward->n_titles;
    const enum dtype dtype = activation_dtype(forward->dtype);
    const bool has_e4m3 = forward->plan.n_e4m3_layers > 0;
    const enum matmul_epilogue feed =
        feed_in_epilogue(dtype, false) ? MATMUL_BIAS_GELU : MATMUL_PLAIN;
    struct forward_matmuls *m = &forward->matmuls;
    const struct {
        struct matmul **out;
        int32_t n_rows;
        struct matmul_shape shape;
    } wanted[] = {
        {&m->qkv, t, {3 * h, h, dtype, dtype, MATMUL_BIAS}},
        {&m->key_value, t, {2 * h, h, dtype, dtype, MATMUL_PLAIN}},
        {&m->attention_output, t, {h, h, dtype, dtype, MATMUL_PLAIN}},
        {&m->intermediate, t, {f, h, dtype, dtype, feed}},
        {&m->output, t, {h, f, dtype, dtype, MATMUL_PLAIN}},
        {&m->cls_query, n, {h, h, dtype, dtype, MATMUL_BIAS}},
        {&m->cls_attention_output, n, {h, h, dtype, dtype, MATMUL_PLAIN}},
        {&m->cls_intermediate, n, {f, h, dtype, dtype, feed}},
        {&m->cls_output, n, {h, f, dtype, dtype, MATMUL_PLAIN}},
        {&m->pooler, n, {h, h, dtype, DTYPE_F32, MATMUL_PLAIN}},
        {&m->e4m3_intermediate, t, {f, h, DTYPE_E4M3, DTYPE_BF16, MATMUL_PLAIN}},
        {&m->e4m3_output, t, {h, f, DTYPE_E4M3, DTYPE_BF16, MATMUL_PLAIN}},
    };
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        if (wanted[i].shape.dtype == DTYPE_E4M3 && !has_e4m3) continue;
        enum status status =
            matmul_create(context, &wanted[i].shape, wanted[i].n_rows, wanted[i].out, code, error);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

void forward_destroy(struct forward *forward) {
    struct forward_matmuls *m = &forward->matmuls;
    struct matmul *all[] = {
        m->qkv,        m->key_value, m->attention_output,     m->intermediate,
        m->output,     m->cls_query, m->cls_attention_output, m->cls_intermediate,
        m->cls_output, m->pooler,    m->e4m3_intermediate,    m->e4m3_output};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) matmul_destroy(all[i]);
    *m = (struct forward_matmuls){0};
}
