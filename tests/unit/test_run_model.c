// SPDX-License-Identifier: Apache-2.0
//
// The model of the run on a GPU: its sums beside closed formulas, beside figures that were worked
// out by hand before it was written, and how it answers to what it is given.
#include "cuda/run_model.h"

#include "cuda/memory_plan.h"
#include "tests/check.h"
#include "tests/support/must.h"

static const struct bert_config base = {.gelu = GELU_ERF,
                                        .vocab_size = 119547,
                                        .max_positions = 512,
                                        .hidden_size = 768,
                                        .intermediate_size = 3072,
                                        .n_layers = 12,
                                        .n_heads = 12,
                                        .n_labels = 8};

// Rates that are the same for every shape: no waves, no gaps, no cache.
static struct gpu_rates flat(double product, double memory) {
    return (struct gpu_rates){.product = {product, product, product, product},
                              .small_tile = 1,
                              .vector = 1e18,
                              .memory = memory,
                              .pcie = 1e18};
}

static struct run_model asked(const struct gpu_rates *rates, enum run_tier tier, int32_t n_rows,
                              int32_t n_titles, int32_t title_tokens, bool all_e4m3) {
    const struct run_request request = {.config = &base,
                                        .rates = rates,
                                        .tier = tier,
                                        .n_rows = n_rows,
                                        .n_titles = n_titles,
                                        .title_tokens = title_tokens,
                                        .all_e4m3 = all_e4m3};
    struct run_model model;
    CHECK(run_model_make(&request, &model));
    return model;
}

static struct run_model model_of(const struct gpu_rates *rates, enum run_tier tier, int32_t n_rows,
                                 int32_t n_titles, int32_t title_tokens) {
    return asked(rates, tier, n_rows, n_titles, title_tokens, false);
}

static const struct run_step *step_of(const struct run_model *model, const char *name) {
    static const struct run_step none;
    for (int32_t i = 0; i < model->n_steps; i++) {
        if (strcmp(model->steps[i].name, name) == 0) return &model->steps[i];
    }
    CHECK_FAIL("no step %s", name);
    return &none;
}

// ---- sums

static void test_operations(void) {
    const double h = 768, f = 3072, t = 45000, n = 2250, k = 8;
    const struct gpu_rates rates = flat(1e15, 1e12);
    const struct run_model model = model_of(&rates, RUN_BF16, (int32_t)t, (int32_t)n, 20);
    static const char *const of_layer[] = {"qkv", "attention output", "intermediate", "output"};
    double layer = 0, products = 0, seconds = 0, bytes = 0, operations = 0;
    int32_t n_launches = 0;
    for (int i = 0; i < 4; i++) layer += step_of(&model, of_layer[i])->operations / (11 * t);
    CHECK_NEAR(layer, 14.156e6, 0.5e3);  // a token, a layer
    for (int32_t i = 0; i < model.n_steps; i++) {
        const struct run_step *step = &model.steps[i];
        if (step->is_product) products += step->operations;
        seconds += step->seconds;
        bytes += step->bytes;
        operations += step->operations;
        n_launches += step->n_launches;
    }
    // The last layer has keys and values of every token, the rest of each title; then the pooler.
    CHECK_NEAR(products,
               2 * t * 11 * (4 * h * h + 2 * h * f) + 2 * t * 2 * h * h +
                   2 * n * (2 * h * h + 2 * h * f) + 2 * n * h * h,
               1);
    // 4 n H for the two products of attention, and a little for softmax; the classifier in "head".
    CHECK_NEAR(step_of(&model, "attention")->operations, 11 * t * 20 * 4 * h, 0.05 * 7e10);
    CHECK(step_of(&model, "attention")->operations > 11 * t * 20 * 4 * h);
    CHECK(step_of(&model, "head")->operations >= 2 * n * h * k);
    CHECK_NEAR(model.seconds, seconds, 1e-12);
    CHECK_NEAR(model.bytes, bytes, 1);
    CHECK_NEAR(model.operations, operations, 1);
    CHECK_INT(model.n_launches, n_launches);
    CHECK_INT(model.titles, n);
    CHECK_INT(model.tokens, t);
}

// As forward.c enqueues: six launches of attention, two LayerNorms and four products a layer.
static void test_launches(void) {
    const struct gpu_rates rates = flat(1e15, 1e12);
    const int32_t layers = 11, last = 11, ends = 3;  // embed; pooler and head
    CHECK_INT(model_of(&rates, RUN_BF16, 4096, 512, 20).n_launches, layers * 12 + last - 2 + ends);
    CHECK_INT(model_of(&rates, RUN_FP16, 4096, 512, 20).n_launches, layers * 13 + last - 1 + ends);
    // GELU is apart where its product is of e4m3: not in the first layer, nor for [CLS].
    CHECK_INT(model_of(&rates, RUN_FP8, 4096, 512, 20).n_launches,
              layers * 13 - 1 + last - 2 + ends);
    CHECK_INT(asked(&rates, RUN_FP8, 4096, 512, 20, true).n_launches,
              layers * 13 + last - 1 + ends);
}

// ---- bytes and times at flat rates, worked out by hand for titles of 20 tokens

static void test_bytes(void) {
    const struct gpu_rates rates = flat(790e12, 4.3e12);
    const double t = 45000;
    const struct run_model bf16 = model_of(&rates, RUN_BF16, 45000, 2250, 20);
    const struct run_model fp16 = model_of(&rates, RUN_FP16, 45000, 2250, 20);
    const struct run_model fp8 = asked(&rates, RUN_FP8, 45000, 2250, 20, true);
    CHECK_NEAR(step_of(&bf16, "attention")->bytes / (11 * t), 6144, 1);
    CHECK_NEAR(step_of(&bf16, "layer_norm")->bytes / (22 * t), 4608, 1);
    CHECK_NEAR(step_of(&fp16, "gelu")->bytes / (11 * t), 12288, 1);
    CHECK_NEAR(step_of(&fp8, "attention")->bytes / (11 * t), 5376, 5);
    CHECK_NEAR(step_of(&fp8, "layer_norm")->bytes / (22 * t), 5376, 5);
    CHECK_NEAR(step_of(&fp8, "gelu")->bytes / (11 * t), 9216, 5);
    // Nanoseconds a token, over twelve layers.
    const double ns = 1e9 * 12 / 11 / t;
    CHECK_NEAR(ns * step_of(&bf16, "attention")->seconds, 17.1, 0.06);
    CHECK_NEAR(ns * step_of(&bf16, "layer_norm")->seconds, 25.7, 0.06);
    CHECK_NEAR(ns * step_of(&fp16, "gelu")->seconds, 34.3, 0.06);
    CHECK_NEAR(ns * step_of(&fp8, "attention")->seconds, 15.0, 0.06);
    CHECK_NEAR(ns * step_of(&fp8, "layer_norm")->seconds, 30.0, 0.06);
    CHECK_NEAR(ns * step_of(&fp8, "gelu")->seconds, 25.7, 0.06);
}

static void test_composites(void) {
    static const struct {
        enum run_tier tier;
        double rate, us;  // a title
    } rows[] = {{RUN_BF16, 790e12, 4.84},
                {RUN_FP16, 790e12, 5.47},
                {RUN_BF16, 650e12, 5.71},
                {RUN_FP16, 650e12, 6.34},
                {RUN_FP8, 1200e12, 3.97}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct gpu_rates rates = flat(rows[i].rate, 4.3e12);
        const struct run_model model = asked(&rates, rows[i].tier, 180000, 9000, 20, true);
        CHECK_NEAR(1e6 / model.titles_per_s, rows[i].us, 0.015 * rows[i].us);
        CHECK_NEAR(model.tokens_per_s, 20 * model.titles_per_s, 1);
    }
}

// fp8 is what forward.c enqueues: ten of twelve layers have their feed-forward part in e4m3, of
// which each token costs 5380, 9224 and 4612 bytes in the kernels around it, and a little for each
// launch (README.md of cuda).
static void test_fp8(void) {
    struct gpu_rates rates = flat(790e12, 4.3e12);
    const double t = 45000, h = 768, f = 3072;
    rates.product[RUN_FP8] = 2 * 790e12;
    const struct run_model bf16 = model_of(&rates, RUN_BF16, 45000, 2250, 20);
    const struct run_model fp8 = model_of(&rates, RUN_FP8, 45000, 2250, 20);
    CHECK_NEAR(step_of(&fp8, "layer_norm")->bytes / t, 10 * (5380 + 4612) + 2 * 4608, 15);
    CHECK_NEAR(step_of(&fp8, "gelu")->bytes / t, 10 * 9224, 15);
    CHECK_INT(step_of(&fp8, "gelu")->n_launches, 10);
    CHECK_INT(step_of(&fp8, "layer_norm")->n_launches, 22);
    CHECK_NEAR(step_of(&fp8, "intermediate")->seconds, t * 2 * h * f * (1 + 10 / 2.0) / 790e12,
               1e-9);
    CHECK_NEAR(step_of(&fp8, "output")->bytes,
               t * (1 * 2 + 10 * 1) * f + t * 11 * 2 * h + h * f * (2 + 10), 1);
    static const char *const same[] = {
        "embed",     "qkv",        "attention",      "attention output",
        "key_value", "cls output", "cls layer_norm", "pooler"};
    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        CHECK_NEAR(step_of(&fp8, same[i])->seconds, step_of(&bf16, same[i])->seconds, 1e-12);
        CHECK_NEAR(step_of(&fp8, same[i])->bytes, step_of(&bf16, same[i])->bytes, 1e-6);
    }
}

// ---- waves

static void test_waves(void) {
    // Shares on 132 multiprocessors in tiles of 128 by 256, worked out by hand.
    static const struct {
        int32_t n_rows;
        double of[3];  // of products to 768, 2304 and 3072
    } rows[] = {{4096, {0.73, 0.73, 0.97}},
                {5632, {1, 1, 1}},
                {8192, {0.73, 0.87, 0.97}},
                {11264, {1, 1, 1}},
                {65536, {0.97, 1, 0.99}}};
    static const int32_t columns[] = {768, 2304, 3072};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (int c = 0; c < 3; c++) {
            CHECK_NEAR(run_waves_share(rows[i].n_rows, columns[c], 256, 132), rows[i].of[c], 0.005);
        }
    }
    CHECK_NEAR(run_waves_share(129, 768, 128, 132), 12 / 132.0, 1e-12);
    CHECK_NEAR(run_waves_share(129, 768, 128, 0), 1, 0);
    // One row more than whole waves costs a wave: of eight of them, a ninth.
    const struct gpu_rates rates = gpu_expected(gpu_find("H200"));
    const struct run_model even = model_of(&rates, RUN_BF16, 45056, 5632, 20);
    const struct run_model odd = model_of(&rates, RUN_BF16, 45057, 5632, 20);
    const double gap = 11 * rates.gap;
    CHECK_NEAR((step_of(&odd, "attention output")->seconds - gap) /
                   (step_of(&even, "attention output")->seconds - gap),
               9 / 8.0, 1e-9);
    CHECK_INT(run_model_rows(132), 45056);
    CHECK_INT(run_model_rows(2), 1024);
}

// ---- how it answers

static enum run_bound bound(double product, double memory, double gap) {
    struct gpu_rates rates = flat(product, memory);
    rates.gap = gap;
    const struct run_model model = model_of(&rates, RUN_BF16, 4096, 512, 20);
    return step_of(&model, "qkv")->bound;
}

static void test_slow_memory(void) {
    const struct gpu_rates rates = flat(1e15, 1e10);
    const struct run_model model = model_of(&rates, RUN_BF16, 4096, 512, 20);
    for (int32_t i = 0; i < model.n_steps; i++) {
        CHECK_NEAR(model.steps[i].seconds, model.steps[i].bytes / 1e10, 1e-9);
    }
    CHECK_NEAR(step_of(&model, "qkv")->bytes, 11 * 2.0 * (4096 * 768 * 4.0 + 3 * 768 * 768), 1);
}

static void test_monotonic(void) {
    struct gpu_rates rates = gpu_expected(gpu_find("H200"));
    double before = 0;
    for (double memory = 1e9; memory < 1e15; memory *= 2) {
        rates.memory = memory;
        rates.cache = 0;
        const double now = model_of(&rates, RUN_BF16, 45056, 0, 20).titles_per_s;
        CHECK(now >= before);
        before = now;
    }
    before = 0;
    for (double product = 1e9; product < 1e17; product *= 2) {
        rates.product[RUN_FP8] = rates.product[RUN_BF16] = rates.product[RUN_FP16] = product;
        const double now = model_of(&rates, RUN_FP8, 45056, 0, 20).titles_per_s;
        CHECK(now >= before);
        before = now;
    }
}

static void test_cache(void) {
    struct gpu_rates rates = gpu_expected(gpu_find("H200"));
    const struct run_model with = model_of(&rates, RUN_BF16, 5632, 0, 20);
    const struct run_model large = model_of(&rates, RUN_BF16, 45056, 0, 20);
    rates.cache = 0;
    const struct run_model small = model_of(&rates, RUN_BF16, 5632, 0, 20);
    const struct run_model same = model_of(&rates, RUN_BF16, 45056, 0, 20);
    CHECK(step_of(&with, "layer_norm")->seconds < step_of(&small, "layer_norm")->seconds);
    CHECK_NEAR(step_of(&large, "layer_norm")->seconds, step_of(&same, "layer_norm")->seconds, 0);
}

static void test_roofs(void) {
    for (int32_t g = 0; g < gpu_table_n; g++) {
        const struct gpu_facts *facts = &gpu_table[g];
        const struct gpu_rates expected = gpu_expected(facts), roof = gpu_roof(facts);
        CHECK(gpu_find(facts->name) == facts);
        CHECK(expected.is_measured == (strcmp(facts->name, "H200") == 0));
        for (int tier = 0; tier < RUN_TIERS; tier++) {
            const int32_t n_rows = run_model_rows(facts->n_multiprocessors);
            const struct run_request request = {.config = &base,
                                                .rates = &expected,
                                                .tier = (enum run_tier)tier,
                                                .n_rows = n_rows,
                                                .title_tokens = 20};
            struct run_model model;
            CHECK(run_model_make(&request, &model) == (facts->peak[tier] > 0));
            if (!(facts->peak[tier] > 0)) continue;
            const struct run_model peak = model_of(&roof, (enum run_tier)tier, n_rows, 0, 20);
            CHECK(model.titles_per_s < peak.titles_per_s);
            CHECK(model.titles_per_s * run_title_operations(&base, 20, false) < facts->peak[tier]);
        }
    }
    CHECK(gpu_find("h200") == gpu_find("H200") && gpu_find("H2000") == NULL);
}

static void test_refusals(void) {
    const struct gpu_rates rates = gpu_expected(gpu_find("H200"));
    struct bert_config odd = base;
    struct run_request request = {
        .config = &base, .rates = &rates, .tier = RUN_BF16, .n_rows = 4096, .title_tokens = 20};
    struct run_model model;
    CHECK(run_model_make(&request, &model));
    request.title_tokens = 4097;
    CHECK(!run_model_make(&request, &model));
    request.title_tokens = 0;
    CHECK(!run_model_make(&request, &model));
    request.title_tokens = 20;
    request.n_titles = 4097;  // more than rows
    CHECK(!run_model_make(&request, &model));
    request.n_titles = 0;
    odd.n_heads = 16;  // of 48
    request.config = &odd;
    CHECK(!run_model_make(&request, &model));
}

static void test_shapes(void) {
    const struct gpu_rates rates = gpu_expected(gpu_find("H200"));
    // Of short titles no more than there are rows of [CLS]; long ones are cut into several items.
    const struct run_model brief = model_of(&rates, RUN_BF16, 45056, 0, 4);
    CHECK_INT(brief.titles, memory_plan_titles(45056));
    CHECK(brief.tokens < 45056);
    const struct run_model lengthy = model_of(&rates, RUN_BF16, 45056, 0, 512);
    CHECK_INT(lengthy.titles, 88);
    const struct run_model usual = model_of(&rates, RUN_BF16, 45056, 0, 20);
    CHECK(step_of(&lengthy, "attention")->operations >
          20 * step_of(&usual, "attention")->operations);
    struct bert_config one = base;
    one.n_layers = 1;
    const struct run_request request = {
        .config = &one, .rates = &rates, .tier = RUN_BF16, .n_rows = 4096, .title_tokens = 20};
    struct run_model model;
    CHECK(run_model_make(&request, &model));
    CHECK_INT(model.n_launches, 12);
    const struct memory_request memory = {&base, DTYPE_BF16, 45056, 5632, 1, 0};
    struct memory_plan plan;
    CHECK(memory_plan_make(&memory, &plan));
    CHECK_INT(brief.copy_in_nbytes, plan.slot.inputs_nbytes);
    CHECK_INT(brief.copy_out_nbytes, 5632 * 8 * 4);
}

static void test_copies(void) {
    struct gpu_rates rates = gpu_expected(gpu_find("H200"));
    rates.pcie = 1e6;  // now nothing else counts
    const struct run_model model = model_of(&rates, RUN_BF16, 45056, 0, 20);
    CHECK_NEAR(model.copy_seconds, model.copy_in_nbytes / 1e6, 1e-9);
    CHECK_NEAR(model.titles_per_s, model.titles / model.copy_seconds, 1e-6);
}

int main(void) {
    test_operations();
    test_launches();
    test_bytes();
    test_composites();
    test_fp8();
    test_waves();
    CHECK_INT(bound(1e12, 1e12, 0), RUN_BY_PRODUCTS);
    CHECK_INT(bound(1e15, 1e10, 0), RUN_BY_MEMORY);
    CHECK_INT(bound(1e15, 1e12, 1), RUN_BY_GAPS);
    test_slow_memory();
    test_monotonic();
    test_cache();
    test_roofs();
    test_refusals();
    test_shapes();
    test_copies();
    return check_result();
}
