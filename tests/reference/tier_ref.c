// SPDX-License-Identifier: Apache-2.0
//
// Letters: n tokens, H hidden size, F feed-forward, D width of a head, K classes.
#include "tests/reference/tier_ref.h"

#include <math.h>
#include <string.h>

#include "tests/support/must.h"

struct tier_ref {
    const struct model *model;
    enum tier_rounding rounding;
    size_t n, H, F;
    double *x, *q, *k, *v, *context, *inner;  // [n, H], the last [n, F]
};

// ---- roundings

static double to_bf16(double x) {
    int exponent;
    const double fraction = frexp(x, &exponent);  // in [1/2, 1): 8 bits of it are kept
    return ldexp(nearbyint(ldexp(fraction, 8)), exponent - 8);
}

static void round_weights(enum tier_rounding rounding, double *w, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(w[i]));
    // In fp32, as weights stored in 16 bits lie between two values often enough.
    const float per_step = 127.0F / (float)most;
    for (size_t i = 0; i < n; i++) {
        if (rounding == TIER_BF16) w[i] = to_bf16(w[i]);
        if (rounding == TIER_INT8) w[i] = nearbyintf((float)w[i] * per_step) * most / 127;
    }
}

static void round_inputs(enum tier_rounding rounding, double *x, size_t n) {
    double least = x[0], most = x[0];
    for (size_t i = 0; i < n; i++) {
        least = fmin(least, x[i]);
        most = fmax(most, x[i]);
    }
    const double step = (most - least) / 255;
    for (size_t i = 0; i < n; i++) {
        if (rounding == TIER_BF16) x[i] = to_bf16(x[i]);
        if (rounding == TIER_INT8) x[i] = least + step * nearbyint((x[i] - least) / step);
    }
}

// ---- the steps

static double *doubles(size_t n) {
    return must_zeroed(n, sizeof(double));
}

// Elements [first, first + n) of a tensor.
static double *values(struct tensor tensor, size_t first, size_t n) {
    float *floats = must_zeroed(n, sizeof *floats);
    double *out = doubles(n);
    tensor_read(tensor, first, n, floats);
    for (size_t i = 0; i < n; i++) out[i] = (double)floats[i];
    free(floats);
    return out;
}

// y[t, o] = b[o] + sum_i W[o, i] x[t, i]
static void dense(const struct dense *layer, enum tier_rounding rounding, const double *x, size_t n,
                  size_t n_in, size_t n_out, double *y) {
    double *bias = values(layer->bias, 0, n_out), *rounded = doubles(n * n_in);
    memcpy(rounded, x, n * n_in * sizeof *rounded);
    for (size_t t = 0; t < n; t++) round_inputs(rounding, rounded + t * n_in, n_in);
    for (size_t o = 0; o < n_out; o++) {
        double *w = values(layer->weight, o * n_in, n_in);
        round_weights(rounding, w, n_in);
        for (size_t t = 0; t < n; t++) {
            double sum = bias[o];
            for (size_t i = 0; i < n_in; i++) sum += w[i] * rounded[t * n_in + i];
            y[t * n_out + o] = sum;
        }
        free(w);
    }
    free(rounded);
    free(bias);
}

// x[t] = LayerNorm(x[t] + y[t])
static void add_norm(const struct tier_ref *ref, const struct layer_norm *norm, const double *y) {
    const size_t H = ref->H;
    double *g = values(norm->weight, 0, H), *b = values(norm->bias, 0, H);
    for (size_t t = 0; t < ref->n; t++) {
        double *row = ref->x + t * H, mean = 0, variance = 0;
        for (size_t i = 0; i < H; i++) mean += (row[i] += y[t * H + i]) / (double)H;
        for (size_t i = 0; i < H; i++) variance += pow(row[i] - mean, 2) / (double)H;
        const double deviation = sqrt(variance + (double)ref->model->config.layer_norm_eps);
        for (size_t i = 0; i < H; i++) row[i] = (row[i] - mean) / deviation * g[i] + b[i];
    }
    free(b);
    free(g);
}

static void embed(const struct tier_ref *ref, const int32_t *ids) {
    const struct bert_weights *weights = &ref->model->weights;
    const size_t H = ref->H;
    double *positions = doubles(ref->n * H);
    for (size_t t = 0; t < ref->n; t++) {
        double *word = values(weights->word_embeddings, (size_t)ids[t] * H, H);
        double *position = values(weights->position_embeddings, t * H, H);
        memcpy(ref->x + t * H, word, H * sizeof *word);
        memcpy(positions + t * H, position, H * sizeof *position);
        free(position);
        free(word);
        if (weights->token_type_embeddings.n_elements == 0) continue;
        double *type = values(weights->token_type_embeddings, 0, H);
        for (size_t i = 0; i < H; i++) positions[t * H + i] += type[i];
        free(type);
    }
    add_norm(ref, &weights->embedding_norm, positions);
    free(positions);
}

// context[i] = sum_j softmax_j(q[i] . k[j] / sqrt(D)) v[j], head by head
static void attend(const struct tier_ref *ref) {
    const size_t H = ref->H, n = ref->n, D = H / (size_t)ref->model->config.n_heads;
    double *p = doubles(n);
    for (size_t at = 0; at < H; at += D) {
        for (size_t i = 0; i < n; i++) {
            double total = 0, top = -INFINITY;
            for (size_t j = 0; j < n; j++) {
                p[j] = 0;
                for (size_t d = at; d < at + D; d++) p[j] += ref->q[i * H + d] * ref->k[j * H + d];
                p[j] /= sqrt((double)D);
                top = fmax(top, p[j]);
            }
            for (size_t j = 0; j < n; j++) total += p[j] = exp(p[j] - top);
            for (size_t d = at; d < at + D; d++) {
                double sum = 0;
                for (size_t j = 0; j < n; j++) sum += p[j] / total * ref->v[j * H + d];
                ref->context[i * H + d] = sum;
            }
        }
    }
    free(p);
}

static double gelu(enum gelu_form form, double x) {
    if (form == GELU_ERF) return x / 2 * (1 + erf(x / sqrt(2)));
    return x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}

static void run_layer(const struct tier_ref *ref, const struct bert_layer *layer) {
    const size_t n = ref->n, H = ref->H, F = ref->F;
    const enum tier_rounding rounding = ref->rounding;
    dense(&layer->query, rounding, ref->x, n, H, H, ref->q);
    dense(&layer->key, rounding, ref->x, n, H, H, ref->k);
    dense(&layer->value, rounding, ref->x, n, H, H, ref->v);
    attend(ref);
    dense(&layer->attention_output, rounding, ref->context, n, H, H, ref->q);
    add_norm(ref, &layer->attention_norm, ref->q);
    dense(&layer->intermediate, rounding, ref->x, n, H, F, ref->inner);
    for (size_t i = 0; i < n * F; i++) {
        ref->inner[i] = gelu(ref->model->config.gelu, ref->inner[i]);
    }
    dense(&layer->output, rounding, ref->inner, n, F, H, ref->q);
    add_norm(ref, &layer->output_norm, ref->q);
}

void tier_ref_logits(const struct model *model, enum tier_rounding rounding, const int32_t *ids,
                     int32_t n_tokens, double *logits) {
    const struct bert_config *config = &model->config;
    const size_t n = (size_t)n_tokens, H = (size_t)config->hidden_size;
    const size_t F = (size_t)config->intermediate_size;
    double *block = doubles(n * (5 * H + F)), *at = block;
    struct tier_ref ref = {.model = model, .rounding = rounding, .n = n, .H = H, .F = F};
    double **arrays[] = {&ref.x, &ref.q, &ref.k, &ref.v, &ref.context};
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++, at += n * H) *arrays[i] = at;
    ref.inner = at;
    embed(&ref, ids);
    for (int32_t l = 0; l < config->n_layers; l++) run_layer(&ref, &model->weights.layers[l]);
    dense(&model->weights.pooler, TIER_EXACT, ref.x, 1, H, H, ref.q);
    for (size_t i = 0; i < H; i++) {
        ref.q[i] = config->head_activation == HEAD_TANH ? tanh(ref.q[i]) : fmax(ref.q[i], 0.0);
    }
    dense(&model->weights.classifier, TIER_EXACT, ref.q, 1, H, (size_t)config->n_labels, logits);
    free(block);
}
