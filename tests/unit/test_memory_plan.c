// SPDX-License-Identifier: Apache-2.0
//
// The layout of a device's memory: every array has its room, no two share any but those that never
// live together, and the most rows that fit are the most: test_memory_plan [SEED].
#include "cuda/memory_plan.h"

#include <time.h>

#include "cuda/attention_items.h"
#include "tests/check.h"

static struct check_random random_state;

static int32_t below(int32_t n) {
    return (int32_t)check_below(&random_state, (unsigned)n);
}

// ---- a layout as a list of stretches, each of which must be its own

struct stretch {
    const char *name;
    size_t at, nbytes;
};

enum { STRETCHES_MAX = 512 };
static struct stretch stretches[STRETCHES_MAX];
static int n_stretches;

static void add(const char *name, size_t at, size_t nbytes) {
    CHECK(n_stretches < STRETCHES_MAX);
    CHECK_INT(at % 256, 0);
    stretches[n_stretches++] = (struct stretch){name, at, nbytes};
}

static void check_stretches(size_t nbytes) {
    for (int i = 0; i < n_stretches; i++) {
        const struct stretch *a = &stretches[i];
        check_count++;
        if (a->at > nbytes || a->nbytes > nbytes - a->at) {
            CHECK_FAIL("%s ends beyond the %zu bytes of the block", a->name, nbytes);
        }
        for (int j = 0; j < i; j++) {
            const struct stretch *b = &stretches[j];
            if (a->at < b->at + b->nbytes && b->at < a->at + a->nbytes) {
                CHECK_FAIL("%s and %s overlap", a->name, b->name);
            }
        }
    }
    n_stretches = 0;
}

static void add_layer(const struct bert_config *config, const struct layer_view *view, size_t e) {
    const struct layer_places *layer = view->places;
    const size_t begin = view->begin, feed = view->is_e4m3 ? 1 : e;
    const size_t h = (size_t)config->hidden_size, f = (size_t)config->intermediate_size;
    add("qkv weight", begin + layer->qkv_weight, 3 * h * h * e);
    add("qkv bias", begin + layer->qkv_bias, 3 * h * e);
    add("attention output weight", begin + layer->attention_output_weight, h * h * e);
    add("attention output bias", begin + layer->attention_output_bias, 4 * h);
    add("attention norm weight", begin + layer->attention_norm_weight, 4 * h);
    add("attention norm bias", begin + layer->attention_norm_bias, 4 * h);
    add("intermediate weight", begin + layer->intermediate_weight, f * h * feed);
    add("intermediate bias", begin + layer->intermediate_bias, 4 * f);
    add("output weight", begin + layer->output_weight, h * f * feed);
    add("output bias", begin + layer->output_bias, 4 * h);
    add("output norm weight", begin + layer->output_norm_weight, 4 * h);
    add("output norm bias", begin + layer->output_norm_bias, 4 * h);
    if (!view->is_e4m3) return;
    add("intermediate scales", begin + layer->intermediate_scales, 4 * f);
    add("output scales", begin + layer->output_scales, 4 * h);
}

static void add_weights(const struct memory_request *request, const struct memory_plan *plan,
                        size_t e) {
    const struct bert_config *config = request->config;
    const bool is_e4m3 = request->dtype == DTYPE_E4M3;
    const size_t h = (size_t)config->hidden_size, k = (size_t)config->n_labels;
    add("words", plan->word_embeddings, (size_t)config->vocab_size * h * e);
    add("positions", plan->position_embeddings, (size_t)config->max_positions * h * 4);
    add("embedding norm weight", plan->embedding_norm_weight, 4 * h);
    add("embedding norm bias", plan->embedding_norm_bias, 4 * h);
    for (int32_t l = 0; l < config->n_layers; l++) {
        const struct layer_view view = memory_plan_layer(plan, l);
        CHECK(view.is_e4m3 == (is_e4m3 && l > 0 && l + 1 < config->n_layers));
        add_layer(config, &view, e);
    }
    add("pooler weight", plan->pooler_weight, h * h * e);
    add("pooler bias", plan->pooler_bias, 4 * h);
    add("classifier weight", plan->classifier_weight, k * h * 4);
    add("classifier bias", plan->classifier_bias, k * 4);
}

static void check_layout(const struct memory_request *request, const struct memory_plan *plan) {
    const struct bert_config *config = request->config;
    const size_t t = (size_t)request->n_rows, n = (size_t)request->n_titles;
    const size_t h = (size_t)config->hidden_size, f = (size_t)config->intermediate_size;
    const size_t e = request->dtype == DTYPE_F32 ? 4 : 2;
    add_weights(request, plan, e);
    check_stretches(plan->weights_nbytes);
    CHECK(plan->hidden >= plan->weights_nbytes);
    add_weights(request, plan, e);
    add("hidden", plan->hidden, t * h * e);
    add("cls", plan->cls, n * h * e);
    add("narrow", plan->narrow, t * h * e);
    add("query", plan->query, n * h * e);
    add("cls context", plan->cls_context, n * h * e);
    add("pooled", plan->pooled, n * h * 4);
    add("scratch", plan->scratch, request->scratch_nbytes);
    if (request->dtype == DTYPE_E4M3) {
        add("values", plan->values, t * (f > h ? f : h));
        add("scales", plan->scales, 4 * t);
    }
    add("slots", plan->slots, (size_t)request->n_slots * plan->slot.nbytes);
    const int n_common = n_stretches;
    add("qkv", plan->wide, t * 3 * h * e);
    add("context", plan->context, t * h * e);
    struct stretch again[STRETCHES_MAX];
    memcpy(again, stretches, sizeof again);
    check_stretches(plan->nbytes);
    memcpy(stretches, again, sizeof again);
    n_stretches = n_common;
    add("feed", plan->wide, t * f * e);
    check_stretches(plan->nbytes);
}

static void check_slot(const struct memory_request *request, const struct slot_places *slot) {
    const size_t t = (size_t)request->n_rows, n = (size_t)request->n_titles;
    CHECK_INT(slot->items_cap, attention_items_cap(request->n_rows, request->n_titles));
    CHECK_INT(slot->nbytes % 256, 0);
    add("token ids", slot->token_ids, 4 * t);
    add("position ids", slot->position_ids, 4 * t);
    add("cu_seqlens", slot->cu_seqlens, 4 * (n + 1));
    add("starts", slot->starts, 4 * (ATTENTION_BUCKETS + 1));
    add("items", slot->items, slot->items_cap * sizeof(struct attention_item));
    const int n_inputs = n_stretches;
    struct stretch inputs[16];
    memcpy(inputs, stretches, (size_t)n_inputs * sizeof *inputs);
    check_stretches(slot->inputs_nbytes);
    memcpy(stretches, inputs, (size_t)n_inputs * sizeof *inputs);
    n_stretches = n_inputs;
    CHECK_INT(slot->logits_nbytes, n * (size_t)request->config->n_labels * 4);
    add("logits", slot->logits, slot->logits_nbytes);
    check_stretches(slot->nbytes);
}

static struct bert_config random_config(void) {
    const int32_t head_size = below(2) == 0 ? 32 : 64;
    const int32_t n_heads = 64 / head_size + below(1024 / head_size - 64 / head_size + 1);
    return (struct bert_config){.vocab_size = 1 + below(5000),
                                .max_positions = 1 + below(512),
                                .type_vocab_size = 2,
                                .hidden_size = n_heads * head_size,
                                .intermediate_size = 8 * (1 + below(600)),
                                .n_layers = 1 + below(12),
                                .n_heads = n_heads,
                                .n_labels = 1 + below(20)};
}

static struct memory_request random_request(const struct bert_config *config) {
    const int32_t n_rows = 1 + below(3000);
    const enum dtype dtype = (enum dtype)below(4);
    const bool is_taken = memory_plan_check(config, dtype, NULL) == STATUS_OK;
    return (struct memory_request){.config = config,
                                   .dtype = is_taken ? dtype : DTYPE_BF16,
                                   .n_rows = n_rows,
                                   .n_titles = 1 + below(n_rows),
                                   .n_slots = 1 + below(9),
                                   .scratch_nbytes = (size_t)below(100000)};
}

static void test_random(void) {
    for (int i = 0; i < 300; i++) {
        const struct bert_config config = random_config();
        const struct memory_request request = random_request(&config);
        struct memory_plan plan;
        CHECK(memory_plan_make(&request, &plan));
        check_layout(&request, &plan);
        check_slot(&request, &plan.slot);
    }
}

// The most rows that fit do, and a quantum more does not.
static void test_rows(void) {
    for (int i = 0; i < 300; i++) {
        const struct bert_config config = random_config();
        struct memory_request request = random_request(&config);
        struct memory_plan plan;
        CHECK(memory_plan_make(&request, &plan));
        const size_t room = plan.weights_nbytes + check_next(&random_state) % (64U << 20);
        const int32_t quantum = 1 + below(256), rows_max = quantum * (1 + below(100));
        const int32_t rows = memory_plan_rows(&request, room, quantum, rows_max);
        CHECK_INT(rows % quantum, 0);
        CHECK(rows >= 0 && rows <= rows_max);
        for (int more = rows > 0 ? 0 : 1; more < 2; more++) {
            request.n_rows = rows + more * quantum;
            request.n_titles = memory_plan_titles(request.n_rows);
            if (more == 1 && request.n_rows > rows_max) break;
            CHECK(memory_plan_make(&request, &plan));
            CHECK(more == 0 ? plan.nbytes <= room : plan.nbytes > room);
        }
    }
    CHECK_INT(memory_plan_titles(1), 1);
    CHECK_INT(memory_plan_titles(8), 1);
    CHECK_INT(memory_plan_titles(17), 2);
    CHECK_INT(memory_plan_titles(45056), 5632);
}

// bert-base-multilingual-cased by hand: its matrices, and what is small beside them.
static void test_mbert(void) {
    const struct bert_config config = {.vocab_size = 119547,
                                       .max_positions = 512,
                                       .type_vocab_size = 2,
                                       .hidden_size = 768,
                                       .intermediate_size = 3072,
                                       .n_layers = 12,
                                       .n_heads = 12,
                                       .n_labels = 8};
    struct memory_request request = {
        .config = &config, .dtype = DTYPE_BF16, .n_rows = 45056, .n_titles = 5632, .n_slots = 3};
    struct memory_plan plan, e4m3;
    CHECK(memory_plan_make(&request, &plan));
    const size_t matrices =
        119547U * 768U + 12U * (4U * 768U * 768U + 2U * 768U * 3072U) + 768U * 768U;
    CHECK(plan.weights_nbytes > 2 * matrices + 512U * 768U * 4U);
    CHECK(plan.weights_nbytes < 2 * matrices + 512U * 768U * 4U + (1U << 20));
    const size_t rows = 45056U * 768U * 2U;  // hidden, narrow, and four for wide
    CHECK(plan.nbytes - plan.weights_nbytes > 6 * rows);
    CHECK(plan.nbytes - plan.weights_nbytes < 7 * rows);
    request.dtype = DTYPE_E4M3;  // a byte less for each of ten layers' feed-forward weights
    CHECK(memory_plan_make(&request, &e4m3));
    CHECK_INT(e4m3.n_e4m3_layers, 10);
    CHECK_INT(plan.weights_nbytes - e4m3.weights_nbytes,
              10U * (2U * 768U * 3072U - 4U * (768U + 3072U)));
    CHECK_INT((e4m3.nbytes - e4m3.weights_nbytes) - (plan.nbytes - plan.weights_nbytes),
              45056U * (3072U + 4U));
}

static void refuses(struct bert_config config, enum dtype dtype, const char *what) {
    struct error error;
    struct memory_plan plan;
    const struct memory_request request = {
        .config = &config, .dtype = dtype, .n_rows = 64, .n_titles = 8, .n_slots = 1};
    CHECK_INT(memory_plan_check(&config, dtype, &error), STATUS_MODEL);
    CHECK_CONTAINS(error.text, what);
    CHECK(!memory_plan_make(&request, &plan));
}

static void test_refusals(void) {
    struct bert_config good = {.vocab_size = 100,
                               .max_positions = 64,
                               .type_vocab_size = 2,
                               .hidden_size = 64,
                               .intermediate_size = 128,
                               .n_layers = 2,
                               .n_heads = 1,
                               .n_labels = 3};
    CHECK_INT(memory_plan_check(&good, DTYPE_F32, NULL), STATUS_OK);
    struct bert_config bad = good;
    bad.n_heads = 4;
    refuses(bad, DTYPE_F32, "16 wide (64 / 4)");
    bad = good;
    bad.hidden_size = 32;
    refuses(bad, DTYPE_F32, "this model's is 32");
    bad.hidden_size = 1088;
    bad.n_heads = 17;
    refuses(bad, DTYPE_F32, "this model's is 1088");
    bad = good;
    bad.intermediate_size = 132;
    refuses(bad, DTYPE_F32, "this model's is 132");
    refuses(good, DTYPE_E4M3, "this model has 2; give --precision bf16");
    bad.n_layers = 3;
    bad.intermediate_size = 136;
    refuses(bad, DTYPE_E4M3, "multiple of 16 and at most 4096, this model's is 136");
    bad.intermediate_size = 4112;
    refuses(bad, DTYPE_E4M3, "this model's is 4112");
    bad.intermediate_size = 4096;
    CHECK_INT(memory_plan_check(&bad, DTYPE_E4M3, NULL), STATUS_OK);

    const struct memory_request fine = {
        .config = &good, .n_rows = 64, .n_titles = 64, .n_slots = 1};
    struct memory_plan plan;
    CHECK(memory_plan_make(&fine, &plan));
    struct memory_request request = fine;
    request.n_rows = 0;
    CHECK(!memory_plan_make(&request, &plan));
    request = fine;
    request.n_titles = 65;
    CHECK(!memory_plan_make(&request, &plan));
    request = fine;
    request.n_slots = 0;
    CHECK(!memory_plan_make(&request, &plan));
    request = fine;
    request.scratch_nbytes = SIZE_MAX - 1000;
    CHECK(!memory_plan_make(&request, &plan));
    CHECK_INT(memory_plan_rows(&request, SIZE_MAX, 16, INT32_MAX), 0);
    CHECK_INT(memory_plan_rows(&fine, 1000, 16, INT32_MAX), 0);
}

int main(int argc, char **argv) {
    random_state.state = argc > 1 ? strtoull(argv[1], NULL, 10) : (unsigned long long)time(NULL);
    printf("seed %llu\n", random_state.state);
    test_random();
    test_rows();
    test_mbert();
    test_refusals();
    return check_result();
}
