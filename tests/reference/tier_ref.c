// SPDX-License-Identifier: Apache-2.0
//
// Letters: n tokens of all titles, H hidden size, F feed-forward, D width of a head, K classes.
#include "tests/reference/tier_ref.h"

#include <math.h>
#include <string.h>

#include "tests/support/must.h"

struct tier_ref {
    const struct model *model;
    enum tier_rounding rounding;
    const struct tier_biases *biases;  // NULL: the model's
    bool corrects;                     // and writes them, part by part
    const size_t *begins;              // [n_titles + 1], each title's first token
    size_t n_titles, n, H, F;
    double *block;
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

static double *means_of(const double *x, size_t n, size_t n_in) {
    double *means = doubles(n_in);
    for (size_t t = 0; t < n; t++) {
        for (size_t i = 0; i < n_in; i++) means[i] += x[t * n_in + i] / (double)n;
    }
    return means;
}

// In four sums, which a processor can work on at the same time.
static double dot(const double *a, const double *b, size_t n) {
    double sums[4] = {0};
    for (size_t i = 0; i < n; i++) sums[i % 4] += a[i] * b[i];
    return sums[0] + sums[1] + sums[2] + sums[3];
}

struct part {
    const struct dense *layer;
    double *corrected;  // biases that stand for the layer's own, or NULL
    size_t n_in, n_out;
};

// y[t, o] = b[o] + sum_i W[o, i] x[t, i]
static void dense(const struct tier_ref *ref, enum tier_rounding rounding, const struct part *part,
                  const double *x, size_t n, double *y) {
    const size_t n_in = part->n_in, n_out = part->n_out;
    double *own = values(part->layer->bias, 0, n_out), *rounded = doubles(n * n_in);
    double *bias = part->corrected != NULL ? part->corrected : own;
    if (part->corrected != NULL && ref->corrects) memcpy(bias, own, n_out * sizeof *bias);
    memcpy(rounded, x, n * n_in * sizeof *rounded);
    for (size_t t = 0; t < n; t++) round_inputs(rounding, rounded + t * n_in, n_in);
    double *means = means_of(rounded, n, n_in);
    for (size_t o = 0; o < n_out; o++) {
        double *exact = values(part->layer->weight, o * n_in, n_in);
        double *w = values(part->layer->weight, o * n_in, n_in);
        round_weights(rounding, w, n_in);
        for (size_t i = 0; ref->corrects && i < n_in; i++) {
            bias[o] -= (w[i] - exact[i]) * means[i];  // what rounding adds to the mean of y
        }
        for (size_t t = 0; t < n; t++) {
            y[t * n_out + o] = bias[o] + dot(w, rounded + t * n_in, n_in);
        }
        free(w);
        free(exact);
    }
    free(means);
    free(rounded);
    free(own);
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
    for (size_t t = 0, title = 0; t < ref->n; t++) {
        if (t == ref->begins[title + 1]) title++;
        double *word = values(weights->word_embeddings, (size_t)ids[t] * H, H);
        double *position = values(weights->position_embeddings, (t - ref->begins[title]) * H, H);
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

// context[i] = sum_j softmax_j(q[i] . k[j] / sqrt(D)) v[j] over tokens [first, end), head by head
static void attend(const struct tier_ref *ref, size_t first, size_t end) {
    const size_t H = ref->H, D = H / (size_t)ref->model->config.n_heads;
    double *p = doubles(end);
    for (size_t at = 0; at < H; at += D) {
        for (size_t i = first; i < end; i++) {
            double total = 0, top = -INFINITY;
            for (size_t j = first; j < end; j++) {
                p[j] = 0;
                for (size_t d = at; d < at + D; d++) p[j] += ref->q[i * H + d] * ref->k[j * H + d];
                p[j] /= sqrt((double)D);
                top = fmax(top, p[j]);
            }
            for (size_t j = first; j < end; j++) total += p[j] = exp(p[j] - top);
            for (size_t d = at; d < at + D; d++) {
                double sum = 0;
                for (size_t j = first; j < end; j++) sum += p[j] / total * ref->v[j * H + d];
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

static void run_part(const struct tier_ref *ref, int32_t l, enum tier_part which, const double *x,
                     double *y) {
    const struct bert_layer *layer = &ref->model->weights.layers[l];
    const struct dense *parts[] = {&layer->query,        &layer->key,
                                   &layer->value,        &layer->attention_output,
                                   &layer->intermediate, &layer->output};
    const struct part part = {
        .layer = parts[which],
        .corrected = ref->biases != NULL ? ref->biases->parts[l * TIER_PARTS + (int)which] : NULL,
        .n_in = which == TIER_OUTPUT ? ref->F : ref->H,
        .n_out = which == TIER_FEED ? ref->F : ref->H};
    dense(ref, ref->rounding, &part, x, ref->n, y);
}

static void run_layer(const struct tier_ref *ref, int32_t l) {
    const struct bert_layer *layer = &ref->model->weights.layers[l];
    run_part(ref, l, TIER_QUERY, ref->x, ref->q);
    run_part(ref, l, TIER_KEY, ref->x, ref->k);
    run_part(ref, l, TIER_VALUE, ref->x, ref->v);
    for (size_t i = 0; i < ref->n_titles; i++) attend(ref, ref->begins[i], ref->begins[i + 1]);
    run_part(ref, l, TIER_CONTEXT, ref->context, ref->q);
    add_norm(ref, &layer->attention_norm, ref->q);
    run_part(ref, l, TIER_FEED, ref->x, ref->inner);
    for (size_t i = 0; i < ref->n * ref->F; i++) {
        ref->inner[i] = gelu(ref->model->config.gelu, ref->inner[i]);
    }
    run_part(ref, l, TIER_OUTPUT, ref->inner, ref->q);
    add_norm(ref, &layer->output_norm, ref->q);
}

// The hidden states of all layers, in ref->x.
static void run(struct tier_ref *ref, const int32_t *ids) {
    const struct bert_config *config = &ref->model->config;
    ref->n = ref->begins[ref->n_titles];
    ref->H = (size_t)config->hidden_size;
    ref->F = (size_t)config->intermediate_size;
    ref->block = doubles(ref->n * (5 * ref->H + ref->F));
    double *at = ref->block;
    double **arrays[] = {&ref->x, &ref->q, &ref->k, &ref->v, &ref->context};
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++, at += ref->n * ref->H) *arrays[i] = at;
    ref->inner = at;
    embed(ref, ids);
    for (int32_t l = 0; l < config->n_layers; l++) run_layer(ref, l);
}

// The first tokens' hidden states, in `cls`: all that the head sees.
static void classify(struct tier_ref *ref, double *cls, double *pooled, double *logits) {
    const struct bert_config *config = &ref->model->config;
    const size_t H = ref->H, N = ref->n_titles;
    const struct part pooler = {.layer = &ref->model->weights.pooler, .n_in = H, .n_out = H};
    const struct part classifier = {
        .layer = &ref->model->weights.classifier, .n_in = H, .n_out = (size_t)config->n_labels};
    for (size_t i = 0; i < N; i++) {
        memcpy(cls + i * H, ref->x + ref->begins[i] * H, H * sizeof *cls);
    }
    dense(ref, TIER_EXACT, &pooler, cls, N, pooled);
    for (size_t i = 0; i < N * H; i++) {
        pooled[i] = config->head_activation == HEAD_TANH ? tanh(pooled[i]) : fmax(pooled[i], 0.0);
    }
    dense(ref, TIER_EXACT, &classifier, pooled, N, logits);
}

void tier_ref_logits(const struct model *model, enum tier_rounding rounding,
                     const struct tier_biases *biases, const int32_t *ids,
                     const int32_t *cu_seqlens, int32_t n_titles, double *logits) {
    const size_t N = (size_t)n_titles;
    size_t *begins = must_zeroed(N + 1, sizeof *begins);
    for (size_t i = 0; i <= N; i++) begins[i] = (size_t)cu_seqlens[i];
    struct tier_ref ref = {
        .model = model, .rounding = rounding, .biases = biases, .begins = begins, .n_titles = N};
    run(&ref, ids);
    classify(&ref, ref.q, ref.k, logits);
    free(ref.block);
    free(begins);
}

// ---- the correction of biases

enum { MADE_UP_TOKENS = 128 };

static uint64_t mix(uint64_t z) {  // of splitmix64
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

struct tier_biases tier_ref_biases(const struct model *model) {
    static const size_t lengths[] = {24, 8,  16, 12, 20,
                                     6,  14, 10, 18};  // they add up to the tokens
    const struct bert_config *config = &model->config;
    struct tier_biases biases = {.n = (size_t)config->n_layers * TIER_PARTS};
    int32_t ids[MADE_UP_TOKENS];
    size_t begins[MADE_UP_TOKENS + 1] = {0}, n = 0;
    biases.parts = must_zeroed(biases.n, sizeof *biases.parts);
    for (size_t i = 0; i < biases.n; i++) {
        biases.parts[i] = doubles((size_t)(i % TIER_PARTS == TIER_FEED ? config->intermediate_size
                                                                       : config->hidden_size));
    }
    for (; begins[n] < MADE_UP_TOKENS; n++) {
        const double most = fmin((double)lengths[n % ARRAY_LEN(lengths)], config->max_positions);
        begins[n + 1] = (size_t)fmin((double)begins[n] + most, MADE_UP_TOKENS);
    }
    for (uint64_t t = 0; t < MADE_UP_TOKENS; t++) {
        ids[t] = (int32_t)(mix((t + 1) * 0x9e3779b97f4a7c15U + 1) % (uint64_t)config->vocab_size);
    }
    struct tier_ref ref = {.model = model,
                           .rounding = TIER_INT8,
                           .biases = &biases,
                           .corrects = true,
                           .begins = begins,
                           .n_titles = n};
    run(&ref, ids);
    free(ref.block);
    return biases;
}

void tier_ref_biases_free(struct tier_biases *biases) {
    for (size_t i = 0; i < biases->n; i++) free(biases->parts[i]);
    free(biases->parts);
}
