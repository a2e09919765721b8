// SPDX-License-Identifier: Apache-2.0
//
// The arithmetic of a bench: medians, lengths drawn by lot, operations counted from shapes beside a
// count that walks every layer and every title.
#include "host/bench/flops.h"
#include "host/bench/lengths.h"
#include "host/bench/samples.h"
#include "host/encoder/encoder.h"
#include "tests/check.h"
#include "tests/support/must.h"

static void test_samples(void) {
    struct samples samples = {0};
    struct spread spread = samples_spread(&samples);
    CHECK_NEAR(spread.median + spread.min + spread.max, 0, 0);
    static const double values[] = {5, 1, 4, 2};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) samples_add(&samples, values[i]);
    spread = samples_spread(&samples);
    CHECK_NEAR(spread.median, 3, 0);
    CHECK_NEAR(spread.min, 1, 0);
    CHECK_NEAR(spread.max, 5, 0);
    samples_add(&samples, 100);
    CHECK_NEAR(samples_spread(&samples).median, 4, 0);
    CHECK_NEAR(samples.values[0], 5, 0);  // looking changes nothing
    for (int i = 0; i < 2 * SAMPLES_MAX; i++) samples_add(&samples, 7);
    CHECK_INT(samples.n, SAMPLES_MAX);
}

static struct lengths parse(const char *text) {
    struct lengths lengths;
    struct error error;
    must(lengths_parse(text, &lengths, &error), &error);
    return lengths;
}

static int compare(const void *a, const void *b) {
    return *(const int32_t *)a - *(const int32_t *)b;
}

enum { DRAWN = 20001 };

static void draw(const char *text, uint64_t seed, int32_t max_length, int32_t *out) {
    const struct lengths lengths = parse(text);
    struct bench_random random = {seed};
    for (int i = 0; i < DRAWN; i++) out[i] = lengths_draw(&lengths, &random, max_length);
}

static void test_lengths(void) {
    static int32_t a[DRAWN], b[DRAWN];
    static const struct {
        const char *text;
        int32_t median, p5, p95;  // exp(ln(median) -+ 1.645 sigma)
    } named[] = {{"titles", 17, 7, 39}, {"short", 8, 4, 14}, {"long", 64, 28, 146}};
    for (size_t i = 0; i < ARRAY_LEN(named); i++) {
        draw(named[i].text, 7, 512, a);
        draw(named[i].text, 7, 512, b);
        CHECK(memcmp(a, b, sizeof a) == 0);
        draw(named[i].text, 8, 512, b);
        CHECK(memcmp(a, b, sizeof a) != 0);
        qsort(a, DRAWN, sizeof *a, compare);
        CHECK(a[0] >= 3 && a[DRAWN - 1] <= 512);
        CHECK_NEAR(a[DRAWN / 2], named[i].median, named[i].median > 30 ? 2 : 1);
        CHECK_NEAR(a[DRAWN / 20], named[i].p5, named[i].median > 30 ? 3 : 1);
        CHECK_NEAR(a[DRAWN - DRAWN / 20], named[i].p95, named[i].median > 30 ? 6 : 2);
        draw(named[i].text, 7, 12, a);
        qsort(a, DRAWN, sizeof *a, compare);
        CHECK_INT(a[DRAWN - 1], 12);
    }
    draw("9", 1, 512, a);
    for (int i = 0; i < DRAWN; i++) CHECK_INT(a[i], 9);
    draw("2-5", 1, 512, a);
    int seen[6] = {0};
    for (int i = 0; i < DRAWN; i++) {
        CHECK(a[i] >= 2 && a[i] <= 5);
        seen[a[i]]++;
    }
    for (int n = 2; n <= 5; n++) CHECK_NEAR(seen[n], DRAWN / 4.0, DRAWN / 40.0);
}

static void test_refused_lengths(void) {
    static const char *const wrong[] = {
        "",        "1",  "0",    "-3", "5-",   "5-4",     "3-3x",
        "titles ", "3x", "3--4", "+3", "3-+4", "1000001", "99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct lengths lengths;
        struct error error = {""};
        CHECK_INT(lengths_parse(wrong[i], &lengths, &error), STATUS_USAGE);
        CHECK_CONTAINS(error.text, "--lengths");
    }
}

// ---- operations

// 2 n in out, for every product there is, one title and one layer after the other.
static double count(const struct bert_config *config, const int32_t *cu_seqlens, int32_t n_titles) {
    const double h = config->hidden_size, f = config->intermediate_size, k = config->n_labels;
    double flops = 0;
    for (int32_t i = 0; i < n_titles; i++) {
        const int32_t n = cu_seqlens[i + 1] - cu_seqlens[i];
        for (int32_t l = 0; l < config->n_layers; l++) {
            const bool last = l == config->n_layers - 1;
            for (int32_t t = 0; t < n; t++) {
                flops += 2 * 2 * h * h;  // key and value
                if (last && t > 0) continue;
                flops += 2 * h * h;  // query
                for (int32_t other = 0; other < n; other++) flops += 2 * h + 2 * h;
                flops += 2 * h * h + 2 * h * f + 2 * f * h;
            }
        }
        flops += 2 * h * h + 2 * h * k;
    }
    return flops;
}

static void test_flops(void) {
    struct check_random random = {3};
    for (int round = 0; round < 200; round++) {
        const struct bert_config config = {
            .n_layers = 1 + (int32_t)check_below(&random, 5),
            .hidden_size = 4 + (int32_t)check_below(&random, 60),
            .intermediate_size = 1 + (int32_t)check_below(&random, 99),
            .n_labels = 1 + (int32_t)check_below(&random, 9)};
        const struct encoder encoder = {.token_tile = 1 + (int32_t)check_below(&random, 40),
                                        .title_tile = 1 + (int32_t)check_below(&random, 40)};
        struct flops flops = {0};
        double want = 0;
        uint64_t tokens = 0, titles = 0, token_rows = 0, title_rows = 0;
        for (int batch = 0; batch < 3; batch++) {
            int32_t cu_seqlens[20] = {0};
            const int32_t n = (int32_t)check_below(&random, 20);
            for (int32_t i = 0; i < n; i++) {
                cu_seqlens[i + 1] = cu_seqlens[i] + 1 + (int32_t)check_below(&random, 30);
            }
            flops_add(&flops, &config, &encoder, cu_seqlens, n);
            want += count(&config, cu_seqlens, n);
            tokens += (uint64_t)cu_seqlens[n];
            titles += (uint64_t)n;
            for (int32_t r = 0; r < cu_seqlens[n]; r += encoder.token_tile) {
                token_rows += (uint64_t)encoder.token_tile;
            }
            for (int32_t r = 0; r < n; r += encoder.title_tile) {
                title_rows += (uint64_t)encoder.title_tile;
            }
        }
        CHECK_NEAR(flops.total, want, want * 1e-12);
        CHECK_INT(flops.tokens, tokens);
        CHECK_INT(flops.titles, titles);
        CHECK_INT(flops.token_rows, token_rows);
        CHECK_INT(flops.title_rows, title_rows);
        const double efficiency = flops_padding_efficiency(&flops);
        CHECK(efficiency > 0 && efficiency <= 1);
        const bool whole = token_rows == tokens && title_rows == titles;
        CHECK(whole ? efficiency == 1 : efficiency < 1);
    }
}

// The figures of bert-base-multilingual-cased that everybody can do by hand: 20 tokens a title.
static void test_flops_of_mbert(void) {
    const struct bert_config config = {
        .n_layers = 12, .hidden_size = 768, .intermediate_size = 3072, .n_labels = 8};
    const struct encoder encoder = {.token_tile = 128, .title_tile = 128};
    const int32_t cu_seqlens[] = {0, 20};
    struct flops flops = {0};
    flops_add(&flops, &config, &encoder, cu_seqlens, 1);
    CHECK_NEAR(flops.total * 1e-9, 3.188, 0.001);
    CHECK_NEAR(flops.by_work[ENCODER_ATTENTION] / flops.total, 0.0043, 0.0002);
    CHECK_INT(flops.token_rows, 128);
    CHECK_NEAR(flops_bytes(&config, &encoder, &flops, ENCODER_INTERMEDIATE, 4, 4),
               12 * 4.0 * 768 * 3072 + 12 * 4.0 * 128 * (768 + 3072), 1);
    CHECK_NEAR(flops_bytes(&config, &encoder, &flops, ENCODER_QKV, 4, 4),
               4 * (12 * 3 * 768.0 * 768 + 768.0 * 128 * (4 * 11 + 3 + 2)), 1);
}

int main(void) {
    test_samples();
    test_lengths();
    test_refused_lengths();
    test_flops();
    test_flops_of_mbert();
    return check_result();
}
