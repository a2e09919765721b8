// SPDX-License-Identifier: Apache-2.0
//
// BERT in float64. Letters: n tokens, H hidden size, F feed-forward, D width of a head, K classes.
// Every formula stands above the loop that computes it.
#include "tests/reference/bert_ref.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ref_dense {
    size_t n_in, n_out;
    float *weight;  // [n_out, n_in]
    float *bias;    // [n_out]
};

struct ref_norm {
    float *weight;  // [H]
    float *bias;    // [H]
};

struct ref_layer {
    struct ref_dense query, key, value, attention_output, intermediate, output;
    struct ref_norm attention_norm, output_norm;
};

struct bert_ref {
    const struct model *model;  // for the rows of the embedding tables
    size_t H, F, K, n_heads, n_layers;
    struct ref_norm embedding_norm;
    struct ref_layer *layers;  // [n_layers]
    struct ref_dense pooler, classifier;
};

// ---- weights

static enum status read_tensor(struct tensor tensor, size_t n, float **out, struct error *error) {
    assert(tensor.n_elements == n);
    void *values = NULL;
    enum status status = alloc_array(&values, n, sizeof(float), "reference weights", error);
    if (status != STATUS_OK) return status;
    tensor_read(tensor, 0, n, values);
    *out = values;
    return STATUS_OK;
}

static enum status read_dense(struct dense dense, size_t n_out, size_t n_in, struct ref_dense *out,
                              struct error *error) {
    out->n_in = n_in;
    out->n_out = n_out;
    enum status status = read_tensor(dense.weight, n_out * n_in, &out->weight, error);
    if (status != STATUS_OK) return status;
    return read_tensor(dense.bias, n_out, &out->bias, error);
}

static enum status read_norm(struct layer_norm norm, size_t H, struct ref_norm *out,
                             struct error *error) {
    enum status status = read_tensor(norm.weight, H, &out->weight, error);
    if (status != STATUS_OK) return status;
    return read_tensor(norm.bias, H, &out->bias, error);
}

static enum status read_layer(const struct bert_layer *layer, size_t H, size_t F,
                              struct ref_layer *out, struct error *error) {
    const struct {
        struct dense from;
        size_t n_out, n_in;
        struct ref_dense *to;
    } denses[] = {
        {layer->query, H, H, &out->query},
        {layer->key, H, H, &out->key},
        {layer->value, H, H, &out->value},
        {layer->attention_output, H, H, &out->attention_output},
        {layer->intermediate, F, H, &out->intermediate},
        {layer->output, H, F, &out->output},
    };
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < ARRAY_LEN(denses); i++)
        status = read_dense(denses[i].from, denses[i].n_out, denses[i].n_in, denses[i].to, error);
    if (status == STATUS_OK)
        status = read_norm(layer->attention_norm, H, &out->attention_norm, error);
    if (status == STATUS_OK) status = read_norm(layer->output_norm, H, &out->output_norm, error);
    return status;
}

static enum status read_weights(struct bert_ref *ref, struct error *error) {
    const struct bert_weights *weights = &ref->model->weights;
    void *layers = NULL;
    enum status status =
        alloc_zeroed(&layers, ref->n_layers, sizeof(struct ref_layer), "reference layers", error);
    if (status != STATUS_OK) return status;
    ref->layers = layers;
    for (size_t l = 0; status == STATUS_OK && l < ref->n_layers; l++)
        status = read_layer(&weights->layers[l], ref->H, ref->F, &ref->layers[l], error);
    if (status == STATUS_OK)
        status = read_norm(weights->embedding_norm, ref->H, &ref->embedding_norm, error);
    if (status == STATUS_OK)
        status = read_dense(weights->pooler, ref->H, ref->H, &ref->pooler, error);
    if (status == STATUS_OK)
        status = read_dense(weights->classifier, ref->K, ref->H, &ref->classifier, error);
    return status;
}

enum status bert_ref_open(const struct model *model, struct bert_ref **out, struct error *error) {
    *out = NULL;
    void *memory = NULL;
    enum status status =
        alloc_zeroed(&memory, 1, sizeof(struct bert_ref), "the reference encoder", error);
    if (status != STATUS_OK) return status;
    struct bert_ref *ref = memory;
    ref->model = model;
    ref->H = (size_t)model->config.hidden_size;
    ref->F = (size_t)model->config.intermediate_size;
    ref->K = (size_t)model->config.n_labels;
    ref->n_heads = (size_t)model->config.n_heads;
    ref->n_layers = (size_t)model->config.n_layers;
    status = read_weights(ref, error);
    if (status == STATUS_OK)
        *out = ref;
    else
        bert_ref_close(ref);
    return status;
}

static void free_dense(struct ref_dense *dense) {
    free(dense->weight);
    free(dense->bias);
}

static void free_norm(struct ref_norm *norm) {
    free(norm->weight);
    free(norm->bias);
}

void bert_ref_close(struct bert_ref *ref) {
    if (ref == NULL) return;
    for (size_t l = 0; ref->layers != NULL && l < ref->n_layers; l++) {
        struct ref_layer *layer = &ref->layers[l];
        free_dense(&layer->query);
        free_dense(&layer->key);
        free_dense(&layer->value);
        free_dense(&layer->attention_output);
        free_dense(&layer->intermediate);
        free_dense(&layer->output);
        free_norm(&layer->attention_norm);
        free_norm(&layer->output_norm);
    }
    free(ref->layers);
    free_norm(&ref->embedding_norm);
    free_dense(&ref->pooler);
    free_dense(&ref->classifier);
    free(ref);
}

// ---- the steps

// sum_i w[i] x[i], in four sums so that no addition waits for the one before it.
static double dot(const float *w, const double *x, size_t n) {
    double sums[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t lane = 0; lane < 4; lane++) sums[lane] += (double)w[i + lane] * x[i + lane];
    for (; i < n; i++) sums[0] += (double)w[i] * x[i];
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// y[t, o] = b[o] + sum_i W[o, i] x[t, i]
static void dense(const struct ref_dense *layer, const double *x, size_t n, double *y) {
    for (size_t o = 0; o < layer->n_out; o++) {
        const float *row = layer->weight + o * layer->n_in;
        for (size_t t = 0; t < n; t++)
            y[t * layer->n_out + o] =
                (double)layer->bias[o] + dot(row, x + t * layer->n_in, layer->n_in);
    }
}

// mean = (1/H) sum_i x[i];  var = (1/H) sum_i (x[i] - mean)^2   (biased)
// x[i] = (x[i] - mean) / sqrt(var + eps) * g[i] + b[i]
static void layer_norm(const struct bert_ref *ref, const struct ref_norm *norm, double *x,
                       size_t n) {
    const size_t H = ref->H;
    const double eps = (double)ref->model->config.layer_norm_eps;
    for (size_t t = 0; t < n; t++) {
        double *row = x + t * H;
        double mean = 0, var = 0;
        for (size_t i = 0; i < H; i++) mean += row[i];
        mean /= (double)H;
        for (size_t i = 0; i < H; i++) var += (row[i] - mean) * (row[i] - mean);
        var /= (double)H;
        for (size_t i = 0; i < H; i++)
            row[i] =
                (row[i] - mean) / sqrt(var + eps) * (double)norm->weight[i] + (double)norm->bias[i];
    }
}

// x += table[index]
static void add_row(struct tensor table, size_t index, size_t H, float *row, double *x) {
    tensor_read(table, index * H, H, row);
    for (size_t i = 0; i < H; i++) x[i] += (double)row[i];
}

// x[t] = LayerNorm(word[id_t] + position[t] + type[0]), without the last term where there are none
static void embed(const struct bert_ref *ref, const int32_t *ids, size_t n, float *row, double *x) {
    const struct bert_weights *weights = &ref->model->weights;
    memset(x, 0, n * ref->H * sizeof *x);
    for (size_t t = 0; t < n; t++) {
        add_row(weights->word_embeddings, (size_t)ids[t], ref->H, row, x + t * ref->H);
        add_row(weights->position_embeddings, t, ref->H, row, x + t * ref->H);
        if (weights->token_type_embeddings.n_elements > 0)
            add_row(weights->token_type_embeddings, 0, ref->H, row, x + t * ref->H);
    }
    layer_norm(ref, &ref->embedding_norm, x, n);
}

// p[j] = exp(s[j] - max s) / sum_k exp(s[k] - max s), in place.
static void softmax(double *s, size_t n) {
    double top = s[0], sum = 0;
    for (size_t j = 1; j < n; j++) top = fmax(top, s[j]);
    for (size_t j = 0; j < n; j++) sum += s[j] = exp(s[j] - top);
    for (size_t j = 0; j < n; j++) s[j] /= sum;
}

// For each head, on its D columns of q, k, v [n, H]:
// s[i, j] = q[i] . k[j] / sqrt(D);  p[i] = softmax(s[i]);  context[i] = sum_j p[i, j] v[j]
static void attention(const struct bert_ref *ref, const double *q, const double *k, const double *v,
                      size_t n, double *scores /* [n] */, double *context) {
    const size_t H = ref->H, D = H / ref->n_heads;
    for (size_t head = 0; head < ref->n_heads; head++) {
        for (size_t i = 0; i < n; i++) {
            const double *qi = q + i * H + head * D;
            for (size_t j = 0; j < n; j++) {
                const double *kj = k + j * H + head * D;
                double sum = 0;
                for (size_t d = 0; d < D; d++) sum += qi[d] * kj[d];
                scores[j] = sum / sqrt((double)D);
            }
            softmax(scores, n);
            for (size_t d = 0; d < D; d++) {
                double sum = 0;
                for (size_t j = 0; j < n; j++) sum += scores[j] * v[j * H + head * D + d];
                context[i * H + head * D + d] = sum;
            }
        }
    }
}

// gelu(x) = x/2 (1 + erf(x / sqrt 2)), or x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
static void gelu(enum gelu_form form, double *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const double inner = sqrt(2.0 / acos(-1.0)) * (x[i] + 0.044715 * x[i] * x[i] * x[i]);
        x[i] *= 0.5 * (1.0 + (form == GELU_ERF ? erf(x[i] / sqrt(2.0)) : tanh(inner)));
    }
}

static void add(double *x, const double *y, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] += y[i];
}

// ---- one title

// What a title of n tokens needs, all inside `block`.
struct scratch {
    double *block;
    double *x, *q, *k, *v, *context;  // [n, H]
    double *inner;                    // [n, F]
    double *scores;                   // [n]
    float *row;                       // [H]
};

static enum status scratch_open(const struct bert_ref *ref, size_t n, struct scratch *scratch,
                                struct error *error) {
    const size_t nH = n * ref->H;
    void *block = NULL;
    enum status status = alloc_array(&block, 5 * nH + n * ref->F + n + ref->H, sizeof(double),
                                     "the reference encoder's states", error);
    if (status != STATUS_OK) return status;
    double *at = block;
    *scratch = (struct scratch){.block = at,
                                .x = at,
                                .q = at + nH,
                                .k = at + 2 * nH,
                                .v = at + 3 * nH,
                                .context = at + 4 * nH,
                                .inner = at + 5 * nH,
                                .scores = at + 5 * nH + n * ref->F};
    scratch->row = (float *)(void *)(scratch->scores + n);
    return STATUS_OK;
}

// x = LayerNorm(x + Wo attention(Wq x, Wk x, Wv x));  x = LayerNorm(x + W2 gelu(W1 x))
static void run_layer(const struct bert_ref *ref, const struct ref_layer *layer, size_t n,
                      struct scratch *s) {
    const size_t nH = n * ref->H;
    dense(&layer->query, s->x, n, s->q);
    dense(&layer->key, s->x, n, s->k);
    dense(&layer->value, s->x, n, s->v);
    attention(ref, s->q, s->k, s->v, n, s->scores, s->context);
    dense(&layer->attention_output, s->context, n, s->q);
    add(s->x, s->q, nH);
    layer_norm(ref, &layer->attention_norm, s->x, n);

    dense(&layer->intermediate, s->x, n, s->inner);
    gelu(ref->model->config.gelu, s->inner, n * ref->F);
    dense(&layer->output, s->inner, n, s->q);
    add(s->x, s->q, nH);
    layer_norm(ref, &layer->output_norm, s->x, n);
}

// Leaves the last hidden states in s->x; `hidden` may be NULL.
static void run_encoder(const struct bert_ref *ref, const int32_t *ids, size_t n, double *hidden,
                        struct scratch *s) {
    const size_t nH = n * ref->H;
    embed(ref, ids, n, s->row, s->x);
    if (hidden != NULL) memcpy(hidden, s->x, nH * sizeof(double));
    for (size_t l = 0; l < ref->n_layers; l++) {
        run_layer(ref, &ref->layers[l], n, s);
        if (hidden != NULL) memcpy(hidden + (l + 1) * nH, s->x, nH * sizeof(double));
    }
}

// pooled = activation(Wp x[0] + bp);  logits = Wc pooled + bc
static void run_head(const struct bert_ref *ref, struct scratch *s, double *logits) {
    dense(&ref->pooler, s->x, 1, s->q);
    const bool is_relu = ref->model->config.head_activation == HEAD_RELU;
    for (size_t i = 0; i < ref->H; i++) s->q[i] = is_relu ? fmax(s->q[i], 0.0) : tanh(s->q[i]);
    dense(&ref->classifier, s->q, 1, logits);
}

// `hidden` and `logits`: either may be NULL.
static enum status run(const struct bert_ref *ref, const int32_t *ids, int32_t n, double *hidden,
                       double *logits, struct error *error) {
    assert(n >= 1 && n <= ref->model->config.max_positions);
    for (int32_t t = 0; t < n; t++) assert(ids[t] >= 0 && ids[t] < ref->model->config.vocab_size);
    struct scratch s;
    enum status status = scratch_open(ref, (size_t)n, &s, error);
    if (status != STATUS_OK) return status;
    run_encoder(ref, ids, (size_t)n, hidden, &s);
    if (logits != NULL) run_head(ref, &s, logits);
    free(s.block);
    return STATUS_OK;
}

enum status bert_ref_logits(const struct bert_ref *ref, const int32_t *ids, int32_t n,
                            double *logits, struct error *error) {
    return run(ref, ids, n, NULL, logits, error);
}

enum status bert_ref_hidden(const struct bert_ref *ref, const int32_t *ids, int32_t n,
                            double *hidden, struct error *error) {
    return run(ref, ids, n, hidden, NULL, error);
}

size_t bert_ref_hidden_size(const struct bert_ref *ref, int32_t n) {
    return (ref->n_layers + 1) * (size_t)n * ref->H;
}
