// SPDX-License-Identifier: Apache-2.0
//
// Folded weights against the float64 reference: test_fold [SEED]. For each piece of algebra a
// second model is made whose tensors are what fold.c gave; the reference must see no difference.
// What the reference has no place for (a scale of its own) is undone by powers of two, which are
// exact.
#include "weights/fold.h"

#include <assert.h>
#include <time.h>

#include "tests/check.h"
#include "tests/reference/bert_ref.h"
#include "tests/support/must.h"
#include "tests/support/tiny_model.h"

// Models on grids (below) fold without rounding: what is left is float64's own, at most
// 1e-14 in 2880 models.
#define EXACT 1e-12
// With weights of all 24 bits, bo + Wo bv and the positions are rounded by 2^-24 of their size. The
// LayerNorm that follows divides by their spread, which is of that size too, so hidden states are
// off by a few 2^-24 in each of two layers, and the logits by a few times that of the largest one:
// 2^-21.7 at most in 2880 models.
#define ROUNDED 0x1p-19
// What a mistake costs at least (in 2880 models: 3e-3), so that one cannot hide.
#define PLAIN 1e-4

enum { N_MODELS = 24, N_TITLES = 5, MOST_LABELS = 8 };

static struct check_random random_state;

static int32_t between(int32_t least, int32_t most) {
    return least + (int32_t)check_below(&random_state, (unsigned)(most - least + 1));
}

// ---- models whose tensors can be changed

enum { ARRAYS_MAX = 64 };

struct changed {
    struct model model;  // everything that was not changed is the other model's
    void *arrays[ARRAYS_MAX];
    size_t n_arrays;
};

static void *keep(struct changed *changed, void *memory) {
    assert(changed->n_arrays < ARRAYS_MAX);
    return changed->arrays[changed->n_arrays++] = memory;
}

static struct changed change(const struct model *from) {
    struct changed changed = {.model = *from};
    struct bert_weights *weights = &changed.model.weights;
    const size_t n_layers = (size_t)from->config.n_layers;
    weights->layers = keep(&changed, must_zeroed(n_layers, sizeof *weights->layers));
    memcpy(weights->layers, from->weights.layers, n_layers * sizeof *weights->layers);
    return changed;
}

static void changed_free(struct changed *changed) {
    for (size_t i = 0; i < changed->n_arrays; i++) free(changed->arrays[i]);
}

// Gives the tensor an array of its own with the same values, to be written to.
static float *values_of(struct changed *changed, struct tensor *tensor) {
    float *values = keep(changed, must_zeroed(tensor->n_elements, sizeof *values));
    tensor_read(*tensor, 0, tensor->n_elements, values);
    *tensor = (struct tensor){values, tensor->n_elements, DTYPE_F32};
    return values;
}

static void put(struct changed *changed, struct tensor *tensor, const float *values) {
    memcpy(values_of(changed, tensor), values, tensor->n_elements * sizeof *values);
}

static void scale(struct changed *changed, struct tensor *tensor, float by) {
    float *values = values_of(changed, tensor);
    for (size_t i = 0; i < tensor->n_elements; i++) values[i] *= by;
}

// Multiples of `step`; 0 keeps all bits.
static void to_grid(struct changed *changed, struct tensor *tensor, double step) {
    float *values = values_of(changed, tensor);
    for (size_t i = 0; step > 0 && i < tensor->n_elements; i++) {
        values[i] = (float)(step * nearbyint((double)values[i] / step));
    }
}

static void enlarge(struct changed *changed, struct tensor *tensor, float most, double step) {
    float *values = values_of(changed, tensor);
    for (size_t i = 0; i < tensor->n_elements; i++) {
        values[i] = most * (float)((double)(check_next(&random_state) >> 40) * 0x1p-23 - 1);
    }
    to_grid(changed, tensor, step);
}

// Biases far larger than any checkpoint's. On a grid of the sizes here bo + Wo bv is a multiple of
// 2^-12 below 2^8, so that a float holds it, and so are the positions with the type added.
static struct changed large_biases(const struct model *from, bool on_grid) {
    struct changed changed = change(from);
    struct bert_weights *weights = &changed.model.weights;
    const double coarse = on_grid ? 0x1p-4 : 0, fine = on_grid ? 0x1p-8 : 0;
    for (int32_t l = 0; l < from->config.n_layers; l++) {
        struct bert_layer *layer = &weights->layers[l];
        enlarge(&changed, &layer->query.bias, 1, 0);
        enlarge(&changed, &layer->key.bias, 4, 0);
        enlarge(&changed, &layer->value.bias, 4, coarse);
        enlarge(&changed, &layer->attention_output.bias, 4, coarse);
        to_grid(&changed, &layer->attention_output.weight, fine);
    }
    to_grid(&changed, &weights->position_embeddings, fine);
    to_grid(&changed, &weights->token_type_embeddings, fine);
    return changed;
}

static struct tiny_model_spec random_spec(int which) {
    static const int32_t head_sizes[] = {64, 32, 64, 32, 1, 2, 3, 4, 8, 15, 16, 17, 31, 33, 48, 65};
    struct tiny_model_spec spec = tiny_model_default();
    const int32_t head_size = head_sizes[which % (int)ARRAY_LEN(head_sizes)];
    spec.config.n_heads =
        between((15 + head_size) / head_size, head_size < 50 ? 96 / head_size : 3);
    spec.config.hidden_size = spec.config.n_heads * head_size;
    spec.config.intermediate_size = between(8, 100);
    spec.config.n_labels = between(2, MOST_LABELS);
    spec.config.type_vocab_size = between(1, 2);
    spec.dtype = (enum dtype)check_below(&random_state, 3);
    spec.misaligned = check_below(&random_state, 2) == 1;
    spec.seed = check_next(&random_state);
    return spec;
}

// The largest difference of two models' logits over some titles, in units of the largest logit.
static double apart(const struct model *a, const struct model *b) {
    const struct model *const models[] = {a, b};
    double logits[2][N_TITLES][MOST_LABELS], difference = 0, largest = 0;
    struct error error;
    for (int m = 0; m < 2; m++) {
        struct check_random same = {7};
        struct bert_ref *ref;
        must(bert_ref_open(models[m], &ref, &error), &error);
        for (int i = 0; i < N_TITLES; i++) {
            const int32_t n = 2 + 5 * i;
            int32_t ids[2 + 5 * N_TITLES];
            for (int32_t t = 0; t < n; t++) {
                ids[t] = (int32_t)check_below(&same, (unsigned)a->config.vocab_size);
            }
            must(bert_ref_logits(ref, ids, n, logits[m][i], &error), &error);
        }
        bert_ref_close(ref);
    }
    for (int i = 0; i < N_TITLES; i++) {
        for (int32_t k = 0; k < a->config.n_labels; k++) {
            const double d = fabs(logits[0][i][k] - logits[1][i][k]);
            difference = isnan(d) ? INFINITY : fmax(difference, d);
            largest = fmax(largest, fabs(logits[0][i][k]));
        }
    }
    return difference / largest;
}

// ---- pieces, each alone

enum piece {
    KEY_BIAS = 1,
    VALUE_BIAS = 2,
    QUERY_POWER = 4,
    POSITIONS = 8,
    ALL = 15,
};

// The model with some pieces taken from the folded weights.
static struct changed take(const struct model *from, int pieces) {
    struct changed changed = change(from);
    struct bert_weights *weights = &changed.model.weights;
    const struct bert_config *config = &from->config;
    const size_t h = (size_t)config->hidden_size;
    const float power = fold_power(config->hidden_size / config->n_heads);
    struct error error;
    for (int32_t l = 0; l < config->n_layers; l++) {
        struct bert_layer *layer = &weights->layers[l];
        struct folded_layer folded;
        must(fold_layer(config, &from->weights.layers[l], &folded, &error), &error);
        if (pieces & KEY_BIAS) put(&changed, &layer->key.bias, folded.qkv_bias + h);
        if (pieces & VALUE_BIAS) {
            put(&changed, &layer->value.bias, folded.qkv_bias + 2 * h);
            put(&changed, &layer->attention_output.bias, folded.attention_output_bias);
        }
        if (pieces & QUERY_POWER) {
            put(&changed, &layer->query.weight, folded.qkv_weight);
            put(&changed, &layer->query.bias, folded.qkv_bias);
            scale(&changed, &layer->key.weight, 1 / power);
            scale(&changed, &layer->key.bias, 1 / power);
        }
        folded_layer_free(&folded);
    }
    if (pieces & POSITIONS) {
        float *positions;
        must(fold_positions(config, &from->weights, &positions, &error), &error);
        put(&changed, &weights->position_embeddings, positions);
        scale(&changed, &weights->token_type_embeddings, 0);
        free(positions);
    }
    return changed;
}

static double apart_with(const struct model *from, int pieces) {
    struct changed changed = take(from, pieces);
    const double difference = apart(from, &changed.model);
    changed_free(&changed);
    return difference;
}

// A step that is left out or done by half: the reference sees each.
static void check_mistakes(const struct model *from) {
    for (int mistake = 0; mistake < 4; mistake++) {
        struct changed changed = change(from);
        struct bert_layer *layer = &changed.model.weights.layers[0];
        if (mistake == 0) scale(&changed, &layer->query.bias, 0.5F);
        if (mistake == 1) scale(&changed, &layer->query.weight, 2);
        if (mistake == 2) scale(&changed, &layer->value.bias, 0);
        if (mistake == 3) scale(&changed, &changed.model.weights.token_type_embeddings, 0);
        const double difference = apart(from, &changed.model);
        check_count++;
        if (!(difference > PLAIN)) CHECK_FAIL("mistake %d costs only %g", mistake, difference);
        changed_free(&changed);
    }
}

static void test_algebra(void) {
    double worst = 0, worst_rounded = 0;
    for (int i = 0; i < N_MODELS; i++) {
        const struct tiny_model_spec spec = random_spec(i);
        struct model *tiny = tiny_model_open(&spec);
        struct changed on_grid = large_biases(tiny, true), any = large_biases(tiny, false);
        const int each[] = {KEY_BIAS, VALUE_BIAS, POSITIONS, ALL};
        for (size_t p = 0; p < ARRAY_LEN(each); p++) {
            const double difference = apart_with(&on_grid.model, each[p]);
            CHECK_NEAR(difference, 0, EXACT);
            worst = fmax(worst, difference);
        }
        CHECK(apart_with(&any.model, QUERY_POWER) == 0);
        const double difference = apart_with(&any.model, ALL);
        CHECK_NEAR(difference, 0, ROUNDED);
        worst_rounded = fmax(worst_rounded, difference);
        check_mistakes(&on_grid.model);
        changed_free(&any);
        changed_free(&on_grid);
        model_close(tiny);
    }
    printf("%d models: logits within %.1e of their scale, %.1e where a float rounds\n", N_MODELS,
           worst, worst_rounded);
}

int main(int argc, char **argv) {
    random_state.state = argc > 1 ? strtoull(argv[1], NULL, 0) : (unsigned long long)time(NULL);
    printf("seed %llu\n", random_state.state);
    test_algebra();
    return check_result();
}
