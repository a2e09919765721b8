// SPDX-License-Identifier: Apache-2.0
#include "cuda/memory_plan.h"

#include "cuda/attention_items.h"

enum { ALIGNMENT = 256, TITLE_TOKENS_MEAN_MIN = 8 };

// Hands out room, one array after the other. Once a sum does not fit a size_t, nothing does.
struct layout {
    size_t nbytes;
    bool overflowed;
};

static size_t place(struct layout *layout, size_t rows, size_t columns, size_t element_nbytes) {
    const size_t at = layout->nbytes;
    size_t n, nbytes, end;
    const bool fits = size_mul(rows, columns, &n) && size_mul(n, element_nbytes, &nbytes) &&
                      size_add(nbytes, ALIGNMENT - 1, &nbytes) &&
                      size_add(at, nbytes / ALIGNMENT * ALIGNMENT, &end);
    if (fits) {
        layout->nbytes = end;
    } else {
        layout->overflowed = true;
    }
    return at;
}

static size_t element_nbytes(enum dtype dtype) {
    return dtype == DTYPE_F32 ? sizeof(float) : 2;  // of activations
}

static void place_layer(const struct memory_request *request, struct layout *layout, bool is_e4m3,
                        struct layer_places *layer) {
    const size_t h = (size_t)request->config->hidden_size;
    const size_t f = (size_t)request->config->intermediate_size;
    const size_t element = element_nbytes(request->dtype), feed = is_e4m3 ? 1 : element;
    layer->qkv_weight = place(layout, 3 * h, h, element);
    layer->qkv_bias = place(layout, 3, h, element);
    layer->attention_output_weight = place(layout, h, h, element);
    layer->attention_output_bias = place(layout, 1, h, sizeof(float));
    layer->attention_norm_weight = place(layout, 1, h, sizeof(float));
    layer->attention_norm_bias = place(layout, 1, h, sizeof(float));
    layer->intermediate_weight = place(layout, f, h, feed);
    layer->intermediate_bias = place(layout, 1, f, sizeof(float));
    layer->output_weight = place(layout, h, f, feed);
    layer->output_bias = place(layout, 1, h, sizeof(float));
    layer->output_norm_weight = place(layout, 1, h, sizeof(float));
    layer->output_norm_bias = place(layout, 1, h, sizeof(float));
    layer->intermediate_scales = is_e4m3 ? place(layout, 1, f, sizeof(float)) : 0;
    layer->output_scales = is_e4m3 ? place(layout, 1, h, sizeof(float)) : 0;
}

static void place_layers(const struct memory_request *request, struct layout *layout, int32_t n,
                         bool is_e4m3, struct plan_layers *layers) {
    struct layout layer = {0};
    place_layer(request, &layer, is_e4m3, &layers->layer);
    layers->layer_nbytes = layer.nbytes;
    layers->begin = place(layout, (size_t)n, layer.nbytes, 1);
    layout->overflowed = layout->overflowed || layer.overflowed;
}

static void place_weights(const struct memory_request *request, struct layout *layout,
                          struct memory_plan *plan) {
    const struct bert_config *config = request->config;
    const size_t h = (size_t)config->hidden_size, k = (size_t)config->n_labels;
    const size_t element = element_nbytes(request->dtype);
    plan->word_embeddings = place(layout, (size_t)config->vocab_size, h, element);
    plan->position_embeddings = place(layout, (size_t)config->max_positions, h, sizeof(float));
    plan->embedding_norm_weight = place(layout, 1, h, sizeof(float));
    plan->embedding_norm_bias = place(layout, 1, h, sizeof(float));
    plan->n_e4m3_layers = request->dtype == DTYPE_E4M3 ? config->n_layers - 2 : 0;
    place_layers(request, layout, config->n_layers - plan->n_e4m3_layers, false, &plan->layers);
    place_layers(request, layout, plan->n_e4m3_layers, true, &plan->e4m3_layers);
    plan->pooler_weight = place(layout, h, h, element);
    plan->pooler_bias = place(layout, 1, h, sizeof(float));
    plan->classifier_weight = place(layout, k, h, sizeof(float));
    plan->classifier_bias = place(layout, 1, k, sizeof(float));
    plan->weights_nbytes = layout->nbytes;
}

static void place_activations(const struct memory_request *request, struct layout *layout,
                              struct memory_plan *plan) {
    const size_t t = (size_t)request->n_rows, n = (size_t)request->n_titles;
    const size_t h = (size_t)request->config->hidden_size;
    const size_t f = (size_t)request->config->intermediate_size;
    const size_t element = element_nbytes(request->dtype);
    plan->hidden = place(layout, t, h, element);
    plan->cls = place(layout, n, h, element);
    plan->wide = place(layout, t, 3 * h, element);
    plan->context = place(layout, t, h, element);
    // feed [T, F] begins where qkv does; what it needs beyond the context comes behind.
    const size_t there = layout->nbytes - plan->wide;
    struct layout feed = {0};
    place(&feed, t, f, element);
    if (feed.nbytes > there) place(layout, feed.nbytes - there, 1, 1);
    plan->narrow = place(layout, t, h, element);
    plan->query = place(layout, n, h, element);
    plan->cls_context = place(layout, n, h, element);
    plan->pooled = place(layout, n, h, sizeof(float));
    const bool has_e4m3 = plan->n_e4m3_layers > 0;
    plan->values = has_e4m3 ? place(layout, t, h > f ? h : f, 1) : 0;
    plan->scales = has_e4m3 ? place(layout, t, 1, sizeof(float)) : 0;
    plan->scratch = place(layout, request->scratch_nbytes, 1, 1);
    layout->overflowed = layout->overflowed || feed.overflowed;
}

static void place_slot(const struct memory_request *request, struct layout *layout,
                       struct slot_places *slot) {
    const size_t t = (size_t)request->n_rows, n = (size_t)request->n_titles;
    slot->token_ids = place(layout, t, 1, sizeof(int32_t));
    slot->position_ids = place(layout, t, 1, sizeof(int32_t));
    slot->cu_seqlens = place(layout, n + 1, 1, sizeof(int32_t));
    slot->starts = place(layout, ATTENTION_BUCKETS + 1, 1, sizeof(int32_t));
    slot->items_cap = attention_items_cap(request->n_rows, request->n_titles);
    slot->items = place(layout, slot->items_cap, 1, sizeof(struct attention_item));
    slot->inputs_nbytes = layout->nbytes;
    slot->logits = place(layout, n, (size_t)request->config->n_labels, sizeof(float));
    slot->logits_nbytes = n * (size_t)request->config->n_labels * sizeof(float);
    slot->nbytes = layout->nbytes;
}

// What e4m3 asks for beyond what bf16 does.
static enum status check_e4m3(const struct bert_config *config, struct error *error) {
    if (config->n_layers < 3) {
        return error_set(error, STATUS_MODEL,
                         "fp8 leaves the first and the last layer in bf16, and this model has %d; "
                         "give --precision bf16",
                         (int)config->n_layers);
    }
    if (config->intermediate_size % 16 != 0 || config->intermediate_size > 4096) {
        return error_set(error, STATUS_MODEL,
                         "fp8 takes a feed-forward size that is a multiple of 16 and at most 4096, "
                         "this model's is %d; give --precision bf16",
                         (int)config->intermediate_size);
    }
    return STATUS_OK;
}

enum status memory_plan_check(const struct bert_config *config, enum dtype dtype,
                              struct error *error) {
    const int32_t h = config->hidden_size, head_size = h / config->n_heads;
    if (head_size != 32 && head_size != 64) {
        return error_set(error, STATUS_MODEL,
                         "the CUDA kernels take attention heads of 32 or 64, this model's are %d "
                         "wide (%d / %d)",
                         (int)head_size, (int)h, (int)config->n_heads);
    }
    if (h < 64 || h > 1024 || h % 32 != 0) {
        return error_set(error, STATUS_MODEL,
                         "the CUDA kernels take a hidden size of 64 to 1024 that is a multiple of "
                         "32, this model's is %d",
                         (int)h);
    }
    if (config->intermediate_size % 8 != 0) {
        return error_set(error, STATUS_MODEL,
                         "the CUDA kernels take a feed-forward size that is a multiple of 8, this "
                         "model's is %d",
                         (int)config->intermediate_size);
    }
    return dtype == DTYPE_E4M3 ? check_e4m3(config, error) : STATUS_OK;
}

bool memory_plan_make(const struct memory_request *request, struct memory_plan *plan) {
    *plan = (struct memory_plan){0};
    if (memory_plan_check(request->config, request->dtype, NULL) != STATUS_OK ||
        request->n_rows < 1 || request->n_titles < 1 || request->n_titles > request->n_rows ||
        request->n_slots < 1) {
        return false;
    }
    struct layout layout = {0}, slot = {0};
    place_weights(request, &layout, plan);
    place_activations(request, &layout, plan);
    place_slot(request, &slot, &plan->slot);
    plan->slots = place(&layout, (size_t)request->n_slots, slot.nbytes, 1);
    plan->nbytes = layout.nbytes;
    return !layout.overflowed && !slot.overflowed;
}

int32_t memory_plan_titles(int32_t n_rows) {
    return n_rows > TITLE_TOKENS_MEAN_MIN ? n_rows / TITLE_TOKENS_MEAN_MIN : 1;
}

int32_t memory_plan_rows(const struct memory_request *request, size_t room_nbytes, int32_t quantum,
                         int32_t rows_max) {
    int32_t fits = 0, too_many = rows_max / quantum + 1;  // in quanta
    while (too_many - fits > 1) {
        const int32_t middle = fits + (too_many - fits) / 2;
        struct memory_request asked = *request;
        struct memory_plan plan;
        asked.n_rows = middle * quantum;
        asked.n_titles = memory_plan_titles(asked.n_rows);
        const bool enough = memory_plan_make(&asked, &plan) && plan.nbytes <= room_nbytes;
        *(enough ? &fits : &too_many) = middle;
    }
    return fits * quantum;
}
