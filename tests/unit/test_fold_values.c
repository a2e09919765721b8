// SPDX-License-Identifier: Apache-2.0
//
// Folded weights number by number, against what fold.h says of each: test_fold_values [SEED].
// Models are fresh in every run. test_fold.c proves that the algebra is right.
#include <time.h>

#include "tests/check.h"
#include "tests/support/must.h"
#include "tests/support/tiny_model.h"
#include "weights/dtype.h"
#include "weights/fold.h"

static struct check_random random_state;

// bo + Wo bv in extended precision. What is allowed: half a float's last place, at most 2^-24 of
// the value, and double's rounding of the sums, 2^-53 of the largest possible for each term.
static void check_value_bias(const struct bert_layer *layer, size_t h, const float *got) {
    float *values = must_zeroed(h * h + 2 * h, sizeof *values);
    float *value_bias = values + h * h, *bias = value_bias + h;
    tensor_read(layer->attention_output.weight, 0, h * h, values);
    tensor_read(layer->value.bias, 0, h, value_bias);
    tensor_read(layer->attention_output.bias, 0, h, bias);
    for (size_t o = 0; o < h; o++) {
        long double want = (long double)bias[o], sizes = fabsl(want);
        for (size_t i = 0; i < h; i++) {
            const long double term = (long double)values[o * h + i] * (long double)value_bias[i];
            want += term;
            sizes += fabsl(term);
        }
        const double allowed =
            0x1p-24 * (double)fabsl(want) + (double)(h + 1) * 0x1p-53 * (double)sizes;
        CHECK_NEAR(got[o], (double)want, allowed);
    }
    free(values);
}

// Every element of [query * power; key; value], as they come out of the model.
static void check_stack(const struct bert_layer *layer, size_t h, float power,
                        const struct folded_layer *folded) {
    const struct tensor weights[] = {layer->query.weight, layer->key.weight, layer->value.weight};
    float value;
    for (size_t i = 0; i < 3 * h * h; i++) {
        tensor_read(weights[i / (h * h)], i % (h * h), 1, &value);
        CHECK(folded->qkv_weight[i] == (i < h * h ? value * power : value));
    }
    for (size_t i = 0; i < 3 * h; i++) {
        if (i < h) tensor_read(layer->query.bias, i, 1, &value);
        CHECK(folded->qkv_bias[i] == (i < h ? value * power : 0));
    }
}

static void check_positions(const struct model *model) {
    const size_t h = (size_t)model->config.hidden_size, p = (size_t)model->config.max_positions;
    float *got, position, type;
    struct error error;
    must(fold_positions(&model->config, &model->weights, &got, &error), &error);
    for (size_t i = 0; i < p * h; i++) {
        tensor_read(model->weights.position_embeddings, i, 1, &position);
        tensor_read(model->weights.token_type_embeddings, i % h, 1, &type);
        CHECK(got[i] == (float)((double)position + (double)type));
    }
    free(got);
}

static void check_layer(const struct bert_config *config, const struct bert_layer *layer) {
    const size_t h = (size_t)config->hidden_size;
    const int32_t head_size = config->hidden_size / config->n_heads;
    const float power = fold_power(head_size);
    struct folded_layer folded;
    struct error error = {"untouched"};
    must(fold_layer(config, layer, &folded, &error), &error);
    CHECK_STR(error.text, "untouched");
    check_stack(layer, h, power, &folded);
    check_value_bias(layer, h, folded.attention_output_bias);
    // A float's rounding, 2^-25 of what is from 1/2 to 1.
    CHECK_NEAR((double)folded.scale * (double)power * sqrt(head_size), 1, 0x1p-24);
    CHECK(folded.scale > 0.5F && folded.scale <= 1);
    if (head_size == 64) CHECK(folded.scale == 1);
    if (head_size == 32) CHECK(folded.scale == (float)sqrt(0.5));
    folded_layer_free(&folded);
    CHECK(folded.qkv_weight == NULL && folded.qkv_bias == NULL);
    CHECK(folded.attention_output_bias == NULL);
}

// Heads of many sizes, weights of all formats, at any address.
static void test_values(void) {
    static const int32_t head_sizes[] = {1, 2, 3, 4, 8, 15, 16, 17, 31, 32, 33, 48, 64, 65};
    for (size_t i = 0; i < 3 * ARRAY_LEN(head_sizes); i++) {
        const int32_t head_size = head_sizes[i / 3];
        struct tiny_model_spec spec = tiny_model_default();
        spec.config.n_heads = head_size < 16 ? 16 / head_size + 1 : 2;
        spec.config.hidden_size = spec.config.n_heads * head_size;
        spec.dtype = (enum dtype)(i % 3);
        spec.misaligned = check_below(&random_state, 2) == 1;
        spec.seed = check_next(&random_state);
        struct model *model = tiny_model_open(&spec);
        for (int32_t l = 0; l < spec.config.n_layers; l++) {
            check_layer(&spec.config, &model->weights.layers[l]);
        }
        check_positions(model);
        model_close(model);
    }
}

static void test_powers(void) {
    CHECK(fold_power(64) == 0.125F);
    CHECK(fold_power(32) == 0.25F);
    CHECK(fold_power(INT32_MAX) == 0x1p-15F);
    for (int32_t d = 1; d <= 5000; d++) {
        const double power = (double)fold_power(d), wanted = 1 / sqrt(d);
        int exponent;
        CHECK(frexp(power, &exponent) == 0.5);
        CHECK(power >= wanted && power / 2 < wanted);
    }
}

// What fold.h says of fp16: a half times the power is that half again when the power is undone, but
// below 2^-14, where up to 2^-25 is lost.
static void test_half_subnormals(void) {
    const float power = fold_power(64);
    long n_rounded = 0;
    for (unsigned i = 0; i < 0x7C00; i++) {
        uint16_t half = (uint16_t)i;
        float value, scaled, back;
        f16_to_float(&half, 1, &value);
        scaled = value * power;
        float_to_f16(&scaled, 1, &half);
        f16_to_float(&half, 1, &back);
        CHECK_NEAR(back, scaled, scaled < 0x1p-14F ? 0x1p-25 : 0);
        n_rounded += back != scaled;
    }
    CHECK(n_rounded > 0);
}

// More elements than memory has bytes: refused before anything is read, with nothing left behind.
static void test_no_memory(void) {
    const struct bert_config config = {
        .hidden_size = INT32_MAX, .n_heads = 1, .max_positions = INT32_MAX};
    const struct bert_layer layer = {0};
    struct folded_layer folded = {.scale = 3};
    struct error error = {""};
    CHECK_INT(fold_layer(&config, &layer, &folded, &error), STATUS_IO);
    CHECK_CONTAINS(error.text, "query, key and value");
    CHECK(folded.qkv_weight == NULL && folded.qkv_bias == NULL);
    CHECK(folded.attention_output_bias == NULL && folded.scale == 0);
    folded_layer_free(&folded);
}

int main(int argc, char **argv) {
    random_state.state = argc > 1 ? strtoull(argv[1], NULL, 0) : (unsigned long long)time(NULL);
    printf("seed %llu\n", random_state.state);
    test_powers();
    test_half_subnormals();
    test_no_memory();
    test_values();
    return check_result();
}
