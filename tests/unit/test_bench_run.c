// SPDX-License-Identifier: Apache-2.0
//
// A bench as a whole, on a small model: what it counts, not how quick anything is. And the pieces
// that it is made of: a crew of threads, an encoder that computes nothing, the encoder's account of
// where its time goes: test_bench_run GOLDEN_DIR.
#include <stdatomic.h>

#include "host/bench/bench.h"
#include "host/bench/crew.h"
#include "host/bench/null_encoder.h"
#include "host/bench/verdict.h"
#include "tests/check.h"
#include "tests/support/must.h"
#include "tests/support/temp_dir.h"

enum { MAX_LENGTH = 40, N_TITLES = 1500 };

static struct model *model;
static struct tokenizer *tokenizer;
static struct corpus corpus;

// ---- crew

struct roll {
    atomic_int n[4];
};

static void answer(void *context, int32_t i) {
    struct roll *roll = context;
    atomic_fetch_add(&roll->n[i], 1);
}

static void test_crew(void) {
    struct crew *crew;
    struct error error;
    struct roll roll = {0};
    must(crew_create(4, &crew, &error), &error);
    for (int round = 0; round < 300; round++) {
        CHECK(crew_run(crew, 1 + round % 4, answer, &roll) >= 0);
    }
    CHECK_INT(roll.n[0], 300);
    CHECK_INT(roll.n[1], 225);
    CHECK_INT(roll.n[2], 150);
    CHECK_INT(roll.n[3], 75);
    crew_destroy(crew);
    crew_destroy(NULL);
}

// ---- encoders

static struct encoder *open_encoder(int32_t n_threads) {
    struct encoder *encoder;
    struct error error;
    const struct encoder_limits limits = {.batch_tokens = 600, .n_threads = n_threads};
    must(encoder_create_cpu(model, &limits, &encoder, &error), &error);
    return encoder;
}

static void fill(struct encoder *encoder, int32_t slot) {
    struct encoder_slot *batch = encoder_slot(encoder, slot);
    batch->n_titles = 0;
    batch->cu_seqlens[0] = 0;
    for (size_t i = 0; i < 20; i++) {
        encoder_slot_add(batch, corpus.token_ids + corpus.cu_seqlens[i], corpus_length(&corpus, i));
    }
}

static void test_profile(void) {
    struct encoder *encoder = open_encoder(1);
    struct encoder_profile profile;
    struct error error;
    fill(encoder, 0);
    fill(encoder, 1);
    encoder_submit(encoder, 0);
    must(encoder_wait(encoder, 0, &error), &error);
    for (int round = 0; round < 2; round++) {
        const double begin = now_seconds();
        must(encoder_profile_batch(encoder, 1, &profile, &error), &error);
        const double took = now_seconds() - begin;
        const struct encoder_slot *a = encoder_slot(encoder, 0), *b = encoder_slot(encoder, 1);
        CHECK(memcmp(a->logits, b->logits, 20 * (size_t)encoder->n_labels * sizeof(float)) == 0);
        double sum = 0;
        for (int w = 0; w < ENCODER_WORKS; w++) {
            CHECK(w == ENCODER_COPY ? profile.seconds[w] == 0 : profile.seconds[w] > 0);
            sum += profile.seconds[w];
        }
        CHECK(sum <= took);
    }
    encoder_slot(encoder, 1)->n_titles = 0;
    must(encoder_profile_batch(encoder, 1, &profile, &error), &error);
    encoder_destroy(encoder);
}

static void test_null_encoder(void) {
    struct encoder *like = open_encoder(2), *encoder;
    struct error error;
    struct encoder_profile profile;
    must(null_encoder_create(like, &encoder, &error), &error);
    CHECK_INT(encoder->n_slots, like->n_slots);
    CHECK_INT(encoder->titles_cap, like->titles_cap);
    CHECK_INT(encoder->n_labels, like->n_labels);
    fill(encoder, 1);
    encoder_submit(encoder, 1);
    must(encoder_wait(encoder, 1, &error), &error);
    const float *logits = encoder_slot(encoder, 1)->logits;
    const size_t k = (size_t)encoder->n_labels;
    for (size_t i = 0; i < k * (size_t)encoder->titles_cap; i++) CHECK(isfinite(logits[i]));
    CHECK(memcmp(logits, logits + k, k * sizeof *logits) != 0);
    CHECK_INT(encoder_profile_batch(encoder, 1, &profile, &error), STATUS_MODEL);
    encoder_destroy(encoder);
    encoder_destroy(like);
}

// ---- all of it

static struct bench_settings settings_of(struct encoder *encoder, int32_t n_threads,
                                         const struct record_format *input) {
    return (struct bench_settings){
        .model = model,
        .tokenizer = tokenizer,
        .encoder = encoder,
        .corpus = &corpus,
        .row_format = {.input = input, .labels = model->labels, .n_labels = model->config.n_labels},
        .precision = "fp32",
        .max_length = MAX_LENGTH,
        .n_threads = n_threads,
        .n_tokenizers = n_threads,
        .n_tokenizers_max = 8,
        .n_workers = n_threads,
        .repeats = 2,
        .seconds = 0.3,
    };
}

static void check_stage(const struct bench_stage *stage, bool has_ceiling) {
    CHECK(stage->is_measured);
    CHECK(stage->rate.min > 0 && stage->rate.min <= stage->rate.median);
    CHECK(stage->rate.median <= stage->rate.max && isfinite(stage->rate.max));
    CHECK(stage->titles_per_s > 0 && stage->tokens_per_s >= 2 * stage->titles_per_s);
    CHECK((stage->ceiling_name != NULL) == has_ceiling);
    if (has_ceiling) CHECK_NEAR(stage->share, stage->rate.median / stage->ceiling, 1e-9);
    CHECK(has_ceiling ? stage->share > 0 : stage->share == 0);
}

static void test_run(int32_t n_threads) {
    struct encoder *encoder = open_encoder(n_threads);
    const struct bench_settings settings = settings_of(encoder, n_threads, &corpus.format);
    struct bench_result *result = must_zeroed(1, sizeof *result);
    struct error error;
    must(bench_run(&settings, result, &error), &error);
    CHECK_INT(result->n_rounds, 2);
    for (int id = 0; id < STAGES; id++) {
        const bool alone = id == STAGE_TOKENIZE_1 || id == STAGE_ENCODE_1;
        if (alone && n_threads == 1) {
            CHECK(!result->stages[id].is_measured);
            continue;
        }
        check_stage(&result->stages[id], true);
        const bool several = id == STAGE_TOKENIZE || id == STAGE_ENCODE || id == STAGE_HOST ||
                             id == STAGE_END_TO_END;
        const int32_t alone_or_packed = id == STAGE_WRITE ? 1 + OUTPUT_PACKERS : 1;
        CHECK_INT(result->stages[id].n_threads, several ? n_threads : alone_or_packed);
    }
    // The corpus, and what the encoder was given of it.
    const struct bench_stage *tokenize = &result->stages[STAGE_TOKENIZE];
    CHECK_NEAR(tokenize->tokens_per_s / tokenize->titles_per_s,
               (double)corpus.n_tokens / (double)corpus.n_titles, 1e-6);
    CHECK(result->run_titles >= 1 && result->run_titles <= corpus.n_titles);
    const uint64_t expected =
        result->flops.titles < corpus.n_titles ? result->flops.titles : corpus.n_titles;
    CHECK_INT(result->run_titles, expected);
    CHECK_INT(result->flops.token_rows % (uint64_t)encoder->token_tile, 0);
    CHECK(result->host_ns > 0 && result->run_seconds > 0 && result->seconds > 0);
    CHECK(result->busy.encode > 0 && result->has_profile);
    CHECK_NEAR(result->mfu, result->stages[STAGE_ENCODE].share, 0);
    CHECK(result->ceilings.has_gemm && result->ceilings.gemm.n == 2);
    encoder_destroy(encoder);
    free(result);
}

// Round figures in, words out.
static void test_verdict(void) {
    struct encoder *encoder = open_encoder(2);
    struct bench_settings settings = settings_of(encoder, 2, &corpus.format);
    struct bench_result *result = must_zeroed(1, sizeof *result);
    struct verdict verdict;
    struct buffer bound = {0}, lift = {0};
    static const double rates[STAGES] = {
        [STAGE_INFLATE] = 5e5, [STAGE_PARSE] = 1e6,    [STAGE_TOKENIZE] = 2e6,
        [STAGE_PACK] = 1e8,    [STAGE_ENCODE] = 100,   [STAGE_WRITE] = 4e5,
        [STAGE_HOST] = 3e5,    [STAGE_END_TO_END] = 98};
    static const char *const names[STAGES] = {"inflate", "parse",     "tokenize_1", "tokenize",
                                              "pack",    "encode_1",  "encode",     "write",
                                              "host",    "end_to_end"};
    for (int id = 0; id < STAGES; id++) {
        result->stages[id] = (struct bench_stage){.name = names[id],
                                                  .n_threads = id == STAGE_TOKENIZE ? 2 : 1,
                                                  .titles_per_s = rates[id]};
    }
    result->stages[STAGE_ENCODE].share = 0.93;
    result->stages[STAGE_END_TO_END].share = 0.98;
    result->host_ns = 2500;
    result->flops = (struct flops){.total = 95, .executed = 100};
    verdict_of(&settings, result, &verdict);
    CHECK_INT(verdict.bound, STAGE_ENCODE);
    CHECK_INT(verdict.second, STAGE_WRITE);
    CHECK_NEAR(verdict.margin, 4000, 1e-6);
    CHECK_NEAR(verdict.cores_per_100k, 0.25, 1e-9);
    CHECK_NEAR(verdict.cores_per_worker, 0, 0);
    verdict_bound(&settings, result, &verdict, &bound);
    verdict_lift(&settings, result, &verdict, &lift);
    buffer_add(&bound, "", 1);
    buffer_add(&lift, "", 1);
    CHECK_CONTAINS(bound.bytes, "encode bounds the run: 100 titles/s");
    CHECK_CONTAINS(bound.bytes, "write, the next, has 400,000 (4,000 times)");
    CHECK_CONTAINS(lift.bytes, "93 % of the products' ceiling in fp32, so little is left");

    // Below its ceiling: what the profile says of products and the rest.
    result->stages[STAGE_ENCODE].share = 0.5;
    result->has_profile = result->ceilings.has_gemm = true;
    samples_add(&result->ceilings.gemm, 1000);
    result->profile[ENCODER_QKV].median = 3;
    result->profile_flops.by_work[ENCODER_QKV] = 2400;
    result->profile[ENCODER_ATTENTION].median = 0.75;
    result->profile[ENCODER_NORM].median = 0.25;
    verdict_of(&settings, result, &verdict);
    CHECK_NEAR(verdict.products_share, 0.8, 1e-9);
    CHECK_NEAR(verdict.rest_share, 0.25, 1e-9);
    buffer_clear(&lift);
    verdict_lift(&settings, result, &verdict, &lift);
    buffer_add(&lift, "", 1);
    CHECK_CONTAINS(lift.bytes,
                   "its products reach 80 %, and 25 % of its time goes to the rest, "
                   "attention before all (19 %)");

    settings.is_cuda = true;
    result->stages[STAGE_ENCODE].titles_per_s = 8e5;
    verdict_of(&settings, result, &verdict);
    CHECK_INT(verdict.bound, STAGE_WRITE);
    CHECK_INT(verdict.second, STAGE_INFLATE);
    CHECK_NEAR(verdict.cores_per_worker, 1.0, 1e-9);  // 2,500 ns x 400,000 titles/s a GPU
    buffer_clear(&lift);
    verdict_lift(&settings, result, &verdict, &lift);
    buffer_add(&lift, "", 1);
    CHECK_CONTAINS(lift.bytes, "--shard");
    // 1 / (1 / 2e6 + 1 / (2 x 1e6)): tokenizer threads parse as well.
    CHECK_NEAR(bench_stage_titles_per_s(result, STAGE_TOKENIZE), 1e6, 1e-3);
    buffer_free(&bound);
    buffer_free(&lift);
    free(result);
    encoder_destroy(encoder);
}

int main(int argc, char **argv) {
    char dir[TEMP_PATH_MAX];
    struct error error;
    CHECK(argc == 2);
    must(path_join(dir, sizeof dir, argv[1], "bert_small", &error), &error);
    must(model_open(dir, NULL, &model, &error), &error);
    must(tokenizer_open(dir, &tokenizer, &error), &error);
    struct corpus_recipe recipe = {.lengths_name = "titles", .seed = 1, .n_titles = N_TITLES};
    must(lengths_parse("titles", &recipe.lengths, &error), &error);
    must(corpus_make(&recipe, tokenizer, MAX_LENGTH, &corpus, &error), &error);
    test_crew();
    test_profile();
    test_null_encoder();
    test_run(1);
    test_run(3);
    test_verdict();
    corpus_free(&corpus);
    tokenizer_close(tokenizer);
    model_close(model);
    return check_result();
}
