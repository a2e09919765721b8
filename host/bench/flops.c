// SPDX-License-Identifier: Apache-2.0
#include "host/bench/flops.h"

static double tiles(double rows, int32_t tile) {
    const double whole = (double)(uint64_t)(rows / tile);
    return whole * tile < rows ? whole + 1 : whole;
}

// Operations of the products of `t` token rows and `n` [CLS] rows, in out[ENCODER_WORKS].
static void add_products(double out[ENCODER_WORKS], const struct bert_config *config, double t,
                         double n) {
    const double h = config->hidden_size, f = config->intermediate_size;
    const double inner = (config->n_layers - 1) * t;  // rows of all layers but the last
    out[ENCODER_QKV] += 2 * h * h * (3 * inner + 2 * t + n);
    out[ENCODER_ATTENTION_OUTPUT] += 2 * h * h * (inner + n);
    out[ENCODER_INTERMEDIATE] += 2 * h * f * (inner + n);
    out[ENCODER_OUTPUT] += 2 * h * f * (inner + n);
    out[ENCODER_HEAD] += 2 * n * h * (h + config->n_labels);
}

static double sum(const double by_work[ENCODER_WORKS]) {
    double total = 0;
    for (int w = 0; w < ENCODER_WORKS; w++) total += by_work[w];
    return total;
}

void flops_add(struct flops *flops, const struct bert_config *config, const struct encoder *encoder,
               const int32_t *cu_seqlens, int32_t n_titles) {
    const double h = config->hidden_size;
    const int32_t n_tokens = cu_seqlens[n_titles];
    if (n_titles == 0) return;
    double attention = 4 * h * n_tokens;
    for (int32_t i = 0; i < n_titles; i++) {
        const double n = cu_seqlens[i + 1] - cu_seqlens[i];
        attention += (config->n_layers - 1) * 4 * h * n * n;
    }
    const double token_rows = tiles(n_tokens, encoder->token_tile) * encoder->token_tile;
    const double title_rows = tiles(n_titles, encoder->title_tile) * encoder->title_tile;
    double computed[ENCODER_WORKS] = {0};
    add_products(computed, config, token_rows, title_rows);
    flops->executed += sum(computed) + attention;
    add_products(flops->by_work, config, n_tokens, n_titles);
    flops->by_work[ENCODER_ATTENTION] += attention;
    flops->total = sum(flops->by_work);
    flops->tokens += (uint64_t)n_tokens;
    flops->titles += (uint64_t)n_titles;
    flops->token_rows += (uint64_t)token_rows;
    flops->title_rows += (uint64_t)title_rows;
}

double flops_padding_efficiency(const struct flops *flops) {
    return flops->executed > 0 ? flops->total / flops->executed : 1;
}

double flops_bytes(const struct bert_config *config, const struct encoder *encoder,
                   const struct flops *flops, enum encoder_work work, double element_nbytes,
                   double weight_nbytes) {
    const double h = config->hidden_size, f = config->intermediate_size;
    const double inner = config->n_layers - 1;
    const double t = (double)flops->token_rows, n = (double)flops->title_rows;
    const double rows = inner * t + n;  // of what comes once a layer
    const double passes = inner * t / (double)encoder->token_tile + n / (double)encoder->title_tile;
    switch (work) {
        case ENCODER_EMBED:
            return element_nbytes * h * t * 3;
        case ENCODER_QKV:
            return weight_nbytes * h * h * 3 * (inner + 1) * t / encoder->token_tile +
                   element_nbytes * h * (4 * inner * t + 3 * t + 2 * n);
        case ENCODER_ATTENTION:
            return element_nbytes * h * (4 * inner * t + 2 * t + 2 * n);
        case ENCODER_ATTENTION_OUTPUT:
            return weight_nbytes * h * h * passes + element_nbytes * 2 * h * rows;
        case ENCODER_NORM:
            return element_nbytes * 2 * 3 * h * rows;
        case ENCODER_INTERMEDIATE:
        case ENCODER_OUTPUT:
            return weight_nbytes * h * f * passes + element_nbytes * (h + f) * rows;
        case ENCODER_HEAD:
            return weight_nbytes * h * (h + config->n_labels) * n / encoder->title_tile +
                   element_nbytes * 2 * h * n;
        default:
            return 0;
    }
}
