// SPDX-License-Identifier: Apache-2.0
#include "cuda/run_model.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/attention_items.h"
#include "cuda/device_weights.h"
#include "cuda/kernels.h"
#include "cuda/matmul.h"
#include "cuda/memory_plan.h"

enum { TILE_ROWS = 128, LARGE_TILE = 256, SMALL_TILE = 128 };

// A pass being added up.
struct pass {
    const struct run_request *request;
    struct run_model *model;
    enum dtype dtype;  // of what kernels read and write
    int32_t n_titles;  // rows of [CLS]
    bool is_e4m3;      // the feed-forward part of this layer, as the encoder has it
    struct kernel_cost attention, attention_cls;
};

static double gap_of(const struct run_request *request) {
    return request->launches_alone ? request->rates->gap_alone : request->rates->gap;
}

// The step of that name, made where there is none yet.
static struct run_step *step_of(struct pass *pass, const char *name, enum encoder_work work) {
    struct run_model *model = pass->model;
    for (int32_t i = 0; i < model->n_steps; i++) {
        if (strcmp(model->steps[i].name, name) == 0) return &model->steps[i];
    }
    assert(model->n_steps < RUN_STEPS_MAX);
    struct run_step *step = &model->steps[model->n_steps++];
    *step = (struct run_step){.name = name, .work = work, .waves = 1};
    return step;
}

static void add(struct run_step *step, int32_t n_launches, double bytes, double operations,
                double seconds, double gap) {
    step->n_launches += n_launches;
    step->bytes += bytes;
    step->operations += operations;
    step->seconds += seconds + n_launches * gap;
    if (n_launches * gap > seconds) step->bound = RUN_BY_GAPS;
}

// ---- kernels

static double memory_seconds(const struct gpu_rates *rates, double bytes) {
    const bool fits = rates->cache > rates->memory && bytes <= rates->cache_nbytes;
    return bytes / (fits ? rates->cache : rates->memory);
}

// `rate`: operations/s.
static void kernel_at(struct pass *pass, const char *name, enum encoder_work work,
                      int32_t n_launches, struct kernel_cost cost, double rate) {
    const double moving = memory_seconds(pass->request->rates, cost.bytes);
    const double computing = cost.operations / rate;
    struct run_step *step = step_of(pass, name, work);
    step->bound = moving >= computing ? RUN_BY_MEMORY : RUN_BY_VECTORS;
    add(step, n_launches, cost.bytes, cost.operations, fmax(moving, computing),
        gap_of(pass->request));
}

static void kernel(struct pass *pass, const char *name, enum encoder_work work,
                   struct kernel_cost cost) {
    kernel_at(pass, name, work, 1, cost, pass->request->rates->vector);
}

static bool all_e4m3(const struct pass *pass) {
    return pass->request->tier == RUN_FP8 && pass->request->all_e4m3;
}

// What all_e4m3 adds to the bytes of a kernel that writes `n_rows` rows of `columns` for a product:
// another result in 8 bits with a scale a row, `beside` the one in bf16 or in place of it.
static struct kernel_cost quantized(const struct pass *pass, struct kernel_cost cost, double n_rows,
                                    double columns, bool beside) {
    if (!all_e4m3(pass)) return cost;
    cost.bytes += n_rows * (beside ? columns : -columns) + 4 * n_rows;
    return cost;
}

static void embed(struct pass *pass) {
    const int32_t h = pass->request->config->hidden_size;
    const struct kernel_embed args = {
        .dtype = pass->dtype, .n_rows = pass->request->n_rows, .hidden_size = h};
    kernel(pass, "embed", ENCODER_EMBED,
           quantized(pass, kernel_embed_cost(&args), args.n_rows, h, true));
}

static void layer_norm(struct pass *pass, const char *name, int32_t n_rows) {
    static const float bias[1];
    const int32_t h = pass->request->config->hidden_size;
    const struct kernel_layer_norm args = {
        .dtype = pass->dtype, .n_rows = n_rows, .hidden_size = h, .x_bias = bias};
    kernel(pass, name, ENCODER_NORM,
           quantized(pass, kernel_layer_norm_cost(&args), n_rows, h, true));
}

static void gelu(struct pass *pass, const char *name, int32_t n_rows) {
    static const float bias[1];
    const int32_t f = pass->request->config->intermediate_size;
    const struct kernel_gelu args = {.dtype = pass->dtype,
                                     .form = pass->request->config->gelu,
                                     .n_rows = n_rows,
                                     .n_columns = f,
                                     .bias = bias};
    kernel(pass, name, ENCODER_INTERMEDIATE,
           quantized(pass, kernel_gelu_cost(&args), n_rows, f, false));
}

// Behind attention, or behind the feed-forward part, whose result is a product of e4m3 then.
static void layer_norm_e4m3(struct pass *pass, bool behind_feed) {
    static float floats[1];
    const struct kernel_layer_norm_e4m3 args = {.n_rows = pass->request->n_rows,
                                                .hidden_size = pass->request->config->hidden_size,
                                                .row_scales = behind_feed ? floats : NULL,
                                                .column_scales = behind_feed ? floats : NULL,
                                                .values = behind_feed ? NULL : floats,
                                                .scales = behind_feed ? NULL : floats};
    kernel(pass, "layer_norm", ENCODER_NORM, kernel_layer_norm_e4m3_cost(&args));
}

static void gelu_e4m3(struct pass *pass) {
    const struct kernel_gelu_e4m3 args = {.form = pass->request->config->gelu,
                                          .n_rows = pass->request->n_rows,
                                          .n_columns = pass->request->config->intermediate_size};
    kernel(pass, "gelu", ENCODER_INTERMEDIATE, kernel_gelu_e4m3_cost(&args));
}

// The rate of products that are a quarter full: titles fill a part of the tiles of 16 by 8, and
// softmax is not on tensor cores. fp32 attends without them.
static double attention_rate(const struct pass *pass) {
    const struct gpu_rates *rates = pass->request->rates;
    return pass->request->tier == RUN_FP32 ? rates->vector : rates->product[RUN_FP16] / 4;
}

// Attention to a batch of equal titles: of a layer, and of the last one. False without memory.
static bool attention_costs(struct pass *pass) {
    const struct bert_config *config = pass->request->config;
    const int32_t n = (int32_t)pass->model->titles, length = pass->request->title_tokens;
    const size_t cap = attention_items_cap(n * length, n);
    int32_t *cu_seqlens = calloc((size_t)n + 1, sizeof *cu_seqlens);
    struct attention_item *items = calloc(cap > 0 ? cap : 1, sizeof *items);
    int32_t starts[ATTENTION_BUCKETS + 1];
    const bool made = cu_seqlens != NULL && items != NULL;
    struct kernel_attention args = {.dtype = pass->dtype,
                                    .n_heads = config->n_heads,
                                    .head_size = config->hidden_size / config->n_heads,
                                    .items = items,
                                    .starts = starts};
    const struct kernel_attention_cls cls = {.dtype = pass->dtype,
                                             .n_titles = n,
                                             .n_heads = args.n_heads,
                                             .head_size = args.head_size,
                                             .cu_seqlens = cu_seqlens};
    if (made) {
        for (int32_t i = 0; i <= n; i++) cu_seqlens[i] = i * length;
        attention_items_build(cu_seqlens, n, items, starts);
        for (; args.bucket < ATTENTION_BUCKETS; args.bucket++) {
            const struct kernel_cost cost = kernel_attention_cost(&args);
            pass->attention.bytes += cost.bytes;
            pass->attention.operations += cost.operations;
        }
        pass->attention =
            quantized(pass, pass->attention, pass->model->tokens, config->hidden_size, false);
        pass->attention_cls = kernel_attention_cls_cost(&cls);
    }
    free(items);
    free(cu_seqlens);
    return made;
}

static void gather_cls(struct pass *pass) {
    const struct kernel_gather_cls args = {.dtype = pass->dtype,
                                           .n_titles = pass->n_titles,
                                           .hidden_size = pass->request->config->hidden_size};
    kernel(pass, "gather_cls", ENCODER_QKV, kernel_gather_cls_cost(&args));
}

static void head(struct pass *pass) {
    const struct bert_config *config = pass->request->config;
    const struct kernel_head args = {.n_titles = pass->n_titles,
                                     .hidden_size = config->hidden_size,
                                     .n_labels = config->n_labels};
    kernel(pass, "head", ENCODER_HEAD, kernel_head_cost(&args));
}

// ---- products

static double n_tiles(int32_t n_rows, int32_t n_out, int32_t tile_columns) {
    return ceil((double)n_rows / TILE_ROWS) * ceil((double)n_out / tile_columns);
}

double run_waves_share(int32_t n_rows, int32_t n_out, int32_t tile_columns,
                       int32_t n_multiprocessors) {
    const double tiles = n_tiles(n_rows, n_out, tile_columns);
    if (n_multiprocessors == 0 || tiles == 0) return 1;
    return tiles / (ceil(tiles / n_multiprocessors) * n_multiprocessors);
}

static double wave_seconds(const struct gpu_rates *rates, enum run_tier tier, int32_t n_rows,
                           int32_t n_out, int32_t n_in, int32_t tile_columns) {
    const double terms = n_in + rates->fill[tier];
    const double rate = rates->product[tier] * (tile_columns == SMALL_TILE ? rates->small_tile : 1);
    if (rates->n_multiprocessors == 0) return 2.0 * n_rows * n_out * terms / rate;
    const double waves =
        ceil(n_tiles(n_rows, n_out, tile_columns) / (double)rates->n_multiprocessors);
    const double tile = 2.0 * TILE_ROWS * tile_columns * terms;
    return waves * tile * rates->n_multiprocessors / rate;
}

static int32_t best_tile(const struct gpu_rates *rates, enum run_tier tier, int32_t n_out,
                         int32_t n_in) {
    if (tier == RUN_FP32) return SMALL_TILE;
    const int32_t n = MATMUL_REFERENCE_ROWS;
    return wave_seconds(rates, tier, n, n_out, n_in, LARGE_TILE) <=
                   wave_seconds(rates, tier, n, n_out, n_in, SMALL_TILE)
               ? LARGE_TILE
               : SMALL_TILE;
}

static enum run_tier product_tier(const struct pass *pass, enum encoder_work work) {
    const bool is_feed = work == ENCODER_INTERMEDIATE || work == ENCODER_OUTPUT;
    const bool is_e4m3 = all_e4m3(pass) ? work != ENCODER_HEAD : pass->is_e4m3 && is_feed;
    return pass->request->tier == RUN_FP8 && !is_e4m3 ? RUN_BF16 : pass->request->tier;
}

static void product(struct pass *pass, const char *name, enum encoder_work work, int32_t n_rows,
                    int32_t n_out, int32_t n_in) {
    const struct gpu_rates *rates = pass->request->rates;
    const enum run_tier tier = product_tier(pass, work);
    const double element = tier == RUN_FP32 ? 4 : tier == RUN_FP8 ? 1 : 2;
    const double result = tier == RUN_FP32 || work == ENCODER_HEAD ? 4 : 2;  // the pooler's: fp32
    const double rows = n_rows, out = n_out, in = n_in;
    const double bytes = rows * in * element + out * in * element + rows * out * result;
    const int32_t tile = best_tile(rates, tier, n_out, n_in);
    const double computing = wave_seconds(rates, tier, n_rows, n_out, n_in, tile);
    const double moving = memory_seconds(rates, bytes);
    struct run_step *step = step_of(pass, name, work);
    step->is_product = true;
    step->tile_columns = tile;
    step->waves = run_waves_share(n_rows, n_out, tile, rates->n_multiprocessors);
    step->bound = computing >= moving ? RUN_BY_PRODUCTS : RUN_BY_MEMORY;
    add(step, 1, bytes, 2 * rows * out * in, fmax(computing, moving), gap_of(pass->request));
}

// ---- the pass, in the order of forward.c

static void add_norm(struct pass *pass, bool is_cls, bool behind_feed) {
    if (pass->is_e4m3) {
        layer_norm_e4m3(pass, behind_feed);
        return;
    }
    layer_norm(pass, is_cls ? "cls layer_norm" : "layer_norm",
               is_cls ? pass->n_titles : pass->request->n_rows);
}

static void finish_layer(struct pass *pass, bool is_cls) {
    const int32_t h = pass->request->config->hidden_size;
    const int32_t f = pass->request->config->intermediate_size;
    const int32_t n_rows = is_cls ? pass->n_titles : pass->request->n_rows;
    product(pass, is_cls ? "cls attention output" : "attention output", ENCODER_ATTENTION_OUTPUT,
            n_rows, h, h);
    add_norm(pass, is_cls, false);
    product(pass, is_cls ? "cls intermediate" : "intermediate", ENCODER_INTERMEDIATE, n_rows, f, h);
    if (pass->is_e4m3) {
        gelu_e4m3(pass);
    } else if (all_e4m3(pass) || !feed_in_epilogue(pass->dtype, false)) {
        gelu(pass, is_cls ? "cls gelu" : "gelu", n_rows);
    }
    product(pass, is_cls ? "cls output" : "output", ENCODER_OUTPUT, n_rows, h, f);
    add_norm(pass, is_cls, true);
}

static void add_pass(struct pass *pass, int32_t n_e4m3_layers) {
    const struct run_request *request = pass->request;
    const int32_t h = request->config->hidden_size, last = request->config->n_layers - 1;
    embed(pass);
    for (int32_t l = 0; l < last; l++) {
        product(pass, "qkv", ENCODER_QKV, request->n_rows, 3 * h, h);
        kernel_at(pass, "attention", ENCODER_ATTENTION, ATTENTION_BUCKETS, pass->attention,
                  attention_rate(pass));
        pass->is_e4m3 = l >= 1 && l <= n_e4m3_layers;
        finish_layer(pass, false);
    }
    pass->is_e4m3 = false;
    product(pass, "key_value", ENCODER_QKV, request->n_rows, 2 * h, h);
    gather_cls(pass);
    product(pass, "cls query", ENCODER_QKV, pass->n_titles, h, h);
    kernel(pass, "attention_cls", ENCODER_ATTENTION, pass->attention_cls);
    finish_layer(pass, true);
    product(pass, "pooler", ENCODER_HEAD, pass->n_titles, h, h);
    head(pass);
}

static void add_up(struct pass *pass, const struct memory_plan *plan) {
    struct run_model *model = pass->model;
    for (int32_t i = 0; i < model->n_steps; i++) {
        const struct run_step *step = &model->steps[i];
        model->n_launches += step->n_launches;
        model->operations += step->operations;
        model->bytes += step->bytes;
        model->seconds += step->seconds;
    }
    model->gap_seconds = model->n_launches * gap_of(pass->request);
    model->copy_in_nbytes = (double)plan->slot.inputs_nbytes;
    model->copy_out_nbytes = (double)plan->slot.logits_nbytes;
    model->copy_seconds =
        fmax(model->copy_in_nbytes, model->copy_out_nbytes) / pass->request->rates->pcie;
    model->titles_per_s = model->titles / fmax(model->seconds, model->copy_seconds);
    model->tokens_per_s = model->tokens / fmax(model->seconds, model->copy_seconds);
}

bool run_model_make(const struct run_request *request, struct run_model *model) {
    static const enum dtype dtypes[RUN_TIERS] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16, DTYPE_BF16};
    *model = (struct run_model){0};
    struct pass pass = {.request = request,
                        .model = model,
                        .dtype = dtypes[request->tier],
                        .n_titles = request->n_titles > 0 ? request->n_titles
                                                          : memory_plan_titles(request->n_rows)};
    const struct memory_request memory = {
        .config = request->config,
        .dtype = request->tier == RUN_FP8 && !request->all_e4m3 ? DTYPE_E4M3 : pass.dtype,
        .n_rows = request->n_rows,
        .n_titles = pass.n_titles,
        .n_slots = 1};
    struct memory_plan plan;
    if (!(request->rates->product[request->tier] > 0) || request->title_tokens < 1 ||
        request->title_tokens > request->n_rows || !memory_plan_make(&memory, &plan)) {
        return false;
    }
    const int32_t full = request->n_rows / request->title_tokens;
    model->titles = full < pass.n_titles ? full : pass.n_titles;
    model->tokens = model->titles * request->title_tokens;
    if (!attention_costs(&pass)) return false;
    add_pass(&pass, plan.n_e4m3_layers);
    add_up(&pass, &plan);
    return true;
}
