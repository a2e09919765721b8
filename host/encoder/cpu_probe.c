// SPDX-License-Identifier: Apache-2.0
#include "host/encoder/cpu_probe.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "host/encoder/cpu_forward.h"

struct cpu_probe {
    struct cpu_forward *forward;
    struct encoder_slot slot;
    struct tile tile;  // all of it
    float *mean;       // [the wider of H and F]
    double *sum;       // likewise
    int32_t token_ids[PROBE_TOKENS];
    int32_t cu_seqlens[PROBE_TOKENS + 1];
};

static size_t widest(const struct bert_config *config) {
    const int32_t h = config->hidden_size, f = config->intermediate_size;
    return (size_t)(h > f ? h : f);
}

// ---- the titles

// splitmix64
static uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static void make_titles(const struct bert_config *config, struct cpu_probe *probe) {
    static const int32_t lengths[] = {24, 8, 16, 12, 20, 6, 14, 10, 18};
    struct encoder_slot *slot = &probe->slot;
    uint64_t state = 1;
    int32_t n_tokens = 0;
    *slot = (struct encoder_slot){.token_ids = probe->token_ids, .cu_seqlens = probe->cu_seqlens};
    for (int32_t i = 0; n_tokens < PROBE_TOKENS; i++) {
        const int32_t left = PROBE_TOKENS - n_tokens;
        int32_t n = lengths[i % (int32_t)ARRAY_LEN(lengths)];
        n = n < config->max_positions ? n : config->max_positions;
        n_tokens += n < left ? n : left;
        slot->cu_seqlens[++slot->n_titles] = n_tokens;
    }
    for (int32_t t = 0; t < PROBE_TOKENS; t++) {
        slot->token_ids[t] = (int32_t)(next_random(&state) % (uint64_t)config->vocab_size);
    }
}

// ---- life

size_t cpu_probe_nbytes(const struct bert_config *config) {
    return sizeof(struct cpu_probe) + widest(config) * (sizeof(float) + sizeof(double)) +
           cpu_memory_lay_out(config, CPU_INT8, PROBE_TOKENS, 0, NULL);
}

enum status cpu_probe_create(const struct cpu_model *model, struct cpu_probe **out,
                             struct error *error) {
    void *memory;
    *out = NULL;
    assert(model->precision == CPU_INT8 && model->tile_rows == PROBE_TOKENS);
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "made-up titles", error);
    if (status != STATUS_OK) return status;
    struct cpu_probe *probe = memory;
    const size_t n = widest(&model->config);
    status = alloc_array(&memory, n, sizeof *probe->mean, "means", error);
    probe->mean = memory;
    if (status == STATUS_OK) {
        status = alloc_array(&memory, n, sizeof *probe->sum, "means", error);
        probe->sum = memory;
    }
    if (status == STATUS_OK) {
        status = cpu_forward_create(model, PROBE_TOKENS, &probe->forward, error);
    }
    if (status != STATUS_OK) {
        cpu_probe_destroy(probe);
        return status;
    }
    const struct cpu_memory *rows = &probe->forward->memory;
    probe->tile = (struct tile){
        .hidden = rows->hidden, .in = rows->in, .context = rows->context, .n_rows = PROBE_TOKENS};
    make_titles(&model->config, probe);
    cpu_embed(probe->forward, &probe->slot);
    *out = probe;
    return STATUS_OK;
}

void cpu_probe_destroy(struct cpu_probe *probe) {
    if (probe == NULL) return;
    cpu_forward_destroy(probe->forward);
    free(probe->sum);
    free(probe->mean);
    free(probe);
}

// ---- means

const float *cpu_probe_mean(struct cpu_probe *probe, enum probe_input input) {
    if (probe == NULL) return NULL;
    const struct bert_config *config = &probe->forward->model->config;
    const struct operand_rows rows = input == PROBE_HIDDEN    ? probe->tile.in
                                     : input == PROBE_CONTEXT ? probe->tile.context
                                                              : probe->forward->memory.feed;
    const size_t n =
        (size_t)(input == PROBE_FEED ? config->intermediate_size : config->hidden_size);
    size_t n_rows = 0;
    for (size_t i = 0; i < n; i++) probe->sum[i] = 0;
    for (size_t r = 0; r < PROBE_TOKENS; r++) {
        const uint8_t *bytes = (const uint8_t *)rows.rows + r * n;
        const double step = (double)rows.scales[r].step, least = (double)rows.scales[r].least;
        if (!isfinite(step) || !isfinite(least)) continue;
        n_rows++;
        for (size_t i = 0; i < n; i++) probe->sum[i] += least + step * bytes[i];
    }
    const double share = n_rows > 0 ? 1 / (double)n_rows : 0;
    for (size_t i = 0; i < n; i++) probe->mean[i] = (float)(probe->sum[i] * share);
    return probe->mean;
}

// ---- the steps of a layer

// Queries, keys and values of all tokens, as far as they lie side by side.
static struct result_rows projected(const struct cpu_probe *probe, void *results,
                                    const struct dense_weights *dense, size_t width) {
    return (struct result_rows){.rows = results,
                                .stride = width,
                                .scales = probe->tile.in.scales,
                                .channels = dense->channels};
}

static struct result_rows rows_from(struct result_rows rows, size_t first) {
    rows.rows = (const char *)rows.rows + first * rows.stride * sizeof(float);
    rows.scales += first;
    return rows;
}

static void attend(struct cpu_probe *probe, const struct title_rows *all) {
    const struct encoder_slot *slot = &probe->slot;
    for (int32_t i = 0; i < slot->n_titles; i++) {
        const size_t first = (size_t)slot->cu_seqlens[i];
        const int32_t n = slot->cu_seqlens[i + 1] - slot->cu_seqlens[i];
        cpu_attend(probe->forward,
                   &(struct title_rows){.query = rows_from(all->query, first),
                                        .key = rows_from(all->key, first),
                                        .value = rows_from(all->value, first),
                                        .n_keys = n,
                                        .n_queries = n},
                   first);
    }
}

// The last layer has its queries apart from keys and values; here they are wanted of every token,
// as in the others: of first tokens alone there are too few for a mean.
enum status cpu_probe_attention(struct cpu_probe *probe, const struct layer_weights *layer,
                                struct error *error) {
    if (probe == NULL) return STATUS_OK;
    struct cpu_forward *forward = probe->forward;
    const struct cpu_model *model = forward->model;
    const struct cpu_memory *memory = &forward->memory;
    const size_t h = (size_t)model->config.hidden_size;
    const bool last = layer->qkv.packed == NULL;
    const struct dense_weights *dense = last ? &layer->kv : &layer->qkv;
    const size_t width = last ? 2 * h : 3 * h;
    forward->error = error;
    enum status status = cpu_product(forward, last ? model->h_to_2h : model->h_to_3h, dense->packed,
                                     probe->tile.in.rows, memory->window);
    if (status == STATUS_OK && last) {
        status = cpu_product(forward, model->h_to_h, layer->query.packed, probe->tile.in.rows,
                             memory->query);
    }
    if (status != STATUS_OK) return status;
    const struct result_rows rows = projected(probe, memory->window, dense, width);
    const struct title_rows all = {
        .query = last ? projected(probe, memory->query, &layer->query, h) : rows,
        .key = columns_from(&rows, width - 2 * h),
        .value = columns_from(&rows, width - h),
    };
    attend(probe, &all);
    return STATUS_OK;
}

enum status cpu_probe_attention_output(struct cpu_probe *probe, const struct layer_weights *layer,
                                       struct error *error) {
    if (probe == NULL) return STATUS_OK;
    probe->forward->error = error;
    return cpu_attention_output(probe->forward, layer, &probe->tile);
}

enum status cpu_probe_feed(struct cpu_probe *probe, const struct layer_weights *layer,
                           struct error *error) {
    if (probe == NULL) return STATUS_OK;
    probe->forward->error = error;
    return cpu_feed(probe->forward, layer, &probe->tile);
}

enum status cpu_probe_output(struct cpu_probe *probe, const struct layer_weights *layer,
                             struct error *error) {
    if (probe == NULL) return STATUS_OK;
    probe->forward->error = error;
    return cpu_output(probe->forward, layer, &probe->tile);
}
