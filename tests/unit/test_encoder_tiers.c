// SPDX-License-Identifier: Apache-2.0
//
// The CPU encoder in bf16 and int8 against a float64 reference with the same roundings, on small
// random models: test_encoder_tiers [SEED]. Models are fresh in every run; the seed that is printed
// replays them.
#include <time.h>

#include "host/encoder/encoder.h"
#include "tests/check.h"
#include "tests/reference/tier_ref.h"
#include "tests/support/must.h"
#include "tests/support/tiny_model.h"

enum { N_MODELS = 8, N_TITLES = 8, MOST_LABELS = 8 };

// A value that lies half way between two that it may be rounded to goes one way in fp32 and the
// other in float64. In one layer that is rare, and most logits agree to fp32's digits; from there
// on each such step moves the values that the next layer rounds, and after three layers the two are
// nearly as far from each other as either is from no rounding at all (the `effect` below).
struct tier {
    const char *name;
    enum cpu_precision precision;
    enum tier_rounding rounding;
};
static const struct tier tiers[] = {{"bf16", CPU_BF16, TIER_BF16}, {"int8", CPU_INT8, TIER_INT8}};

static struct check_random random_state;

static int32_t between(int32_t least, int32_t most) {
    return least + (int32_t)check_below(&random_state, (unsigned)(most - least + 1));
}

static struct model *random_model(int i, int32_t n_layers) {
    static const int32_t head_sizes[] = {3, 8, 16, 32, 64};
    struct tiny_model_spec spec = tiny_model_default();
    const int32_t head_size = head_sizes[check_below(&random_state, ARRAY_LEN(head_sizes))];
    spec.config.n_heads = between((15 + head_size) / head_size, 128 / head_size);
    spec.config.hidden_size = spec.config.n_heads * head_size;
    spec.config.intermediate_size = i % 2 == 0 ? 1536 : 2 * between(8, 100) + 1;
    spec.config.n_layers = n_layers;
    spec.config.n_labels = between(2, MOST_LABELS);
    spec.config.max_positions = between(2, 40);
    spec.dtype = (enum dtype)check_below(&random_state, 3);
    spec.seed = check_next(&random_state);
    struct model *model = tiny_model_open(&spec);
    if (i % 4 == 1) model->config.head_activation = HEAD_RELU;
    if (i % 4 == 2) model->config.gelu = GELU_TANH;
    return model;
}

static void fill_slot(const struct model *model, struct encoder_slot *slot) {
    slot->n_titles = N_TITLES;
    for (int32_t i = 0; i < N_TITLES; i++) {
        const int32_t first = slot->cu_seqlens[i], n = between(1, model->config.max_positions);
        slot->cu_seqlens[i + 1] = first + n;
        for (int32_t t = first; t < first + n; t++) {
            slot->token_ids[t] = between(0, model->config.vocab_size - 1);
        }
    }
}

struct apart {
    double worst, sum, effect, scale;  // of all logits; effect: the roundings'
    int n;
};

// Adds a model's titles to `apart`, in units of its logits' scale.
static void compare(const struct model *model, const struct tier *tier, struct apart *apart) {
    const size_t k = (size_t)model->config.n_labels;
    struct encoder *encoder;
    struct error error;
    const struct encoder_limits limits = {.batch_tokens = N_TITLES * model->config.max_positions,
                                          .n_threads = 1,
                                          .precision = tier->precision};
    must(encoder_create_cpu(model, &limits, &encoder, &error), &error);
    struct encoder_slot *slot = encoder_slot(encoder, 0);
    fill_slot(model, slot);
    encoder_submit(encoder, 0);
    must(encoder_wait(encoder, 0, &error), &error);
    const bool is_int8 = tier->rounding == TIER_INT8;
    struct tier_biases biases = is_int8 ? tier_ref_biases(model) : (struct tier_biases){0};
    double want[N_TITLES * MOST_LABELS], exact[N_TITLES * MOST_LABELS];
    tier_ref_logits(model, tier->rounding, is_int8 ? &biases : NULL, slot->token_ids,
                    slot->cu_seqlens, N_TITLES, want);
    tier_ref_logits(model, TIER_EXACT, NULL, slot->token_ids, slot->cu_seqlens, N_TITLES, exact);
    double scale = 0, worst = 0, sum = 0, effect = 0;
    for (size_t i = 0; i < N_TITLES * k; i++) {
        const double difference = fabs((double)slot->logits[i] - want[i]);
        worst = isnan(difference) ? INFINITY : fmax(worst, difference);
        sum += difference;
        effect += fabs(want[i] - exact[i]);
        scale = fmax(scale, fabs(exact[i]));
    }
    apart->worst = fmax(apart->worst, worst / scale);
    apart->sum += sum / scale;
    apart->effect += effect / scale;
    apart->n += N_TITLES * (int)k;
    tier_ref_biases_free(&biases);
    encoder_destroy(encoder);
}

static void test_refused(const struct tier *tier) {
    struct model *model = random_model(0, 1);
    const struct encoder_limits limits = {
        .batch_tokens = 64, .n_threads = 1, .precision = tier->precision};
    struct encoder_cpu_memory memory;
    struct encoder *encoder;
    struct error error;
    CHECK_INT(encoder_create_cpu(model, &limits, &encoder, &error), STATUS_MODEL);
    CHECK(encoder == NULL);
    CHECK_INT(encoder_cpu_measure(&model->config, &limits, &memory, &error), STATUS_MODEL);
    printf("%s: refused here: %s\n", tier->name, error.text);
    model_close(model);
}

// The mean distance from the reference is at most `mean` of the mean effect of the roundings, the
// worst one `worst` of it.
static void test_tier(const struct tier *tier, int32_t n_layers, double mean, double worst) {
    struct apart apart = {0};
    for (int i = 0; i < N_MODELS; i++) {
        struct model *model = random_model(i, n_layers);
        compare(model, tier, &apart);
        model_close(model);
    }
    const double effect = apart.effect / apart.n;
    printf(
        "%s, %d layers: logits from their reference: mean %.1e, worst %.1e of their scale; the "
        "roundings themselves: mean %.1e\n",
        tier->name, (int)n_layers, apart.sum / apart.n, apart.worst, effect);
    CHECK(effect > 1e-4);
    CHECK(apart.sum / apart.n < mean * effect);
    CHECK(apart.worst < worst * effect);
}

int main(int argc, char **argv) {
    random_state.state = argc > 1 ? strtoull(argv[1], NULL, 0) : (unsigned long long)time(NULL);
    printf("seed %llu\n", random_state.state);
    fflush(stdout);
    CHECK_INT(encoder_cpu_check(CPU_FP32, NULL), STATUS_OK);
    for (size_t t = 0; t < ARRAY_LEN(tiers); t++) {
        if (encoder_cpu_check(tiers[t].precision, NULL) != STATUS_OK) {
            test_refused(&tiers[t]);
            continue;
        }
        test_tier(&tiers[t], 1, 0.1, 6);
        test_tier(&tiers[t], 3, 1, 15);
    }
    return check_result();
}
