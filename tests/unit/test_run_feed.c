// SPDX-License-Identifier: Apache-2.0
//
// What stands beside the model of a pass: operations of a title, the rates it is given, and the
// host that feeds it, each beside figures that were worked out by hand.
#include "cuda/run_model.h"
#include "tests/check.h"

static const struct bert_config base = {.gelu = GELU_ERF,
                                        .vocab_size = 119547,
                                        .max_positions = 512,
                                        .hidden_size = 768,
                                        .intermediate_size = 3072,
                                        .n_layers = 12,
                                        .n_heads = 12,
                                        .n_labels = 8};

// GFLOP a title with all rows and with [CLS] alone in the last layer, and thousands of titles a
// second that these give at 790 and at 1500 T operations/s, worked out by hand.
static void test_titles(void) {
    static const struct {
        int32_t n;
        double all, cls, bf16_all, bf16_cls, fp8_all, fp8_cls;
    } rows[] = {{12, 2.045, 1.915, 386, 413, 734, 783}, {16, 2.729, 2.551, 290, 310, 550, 588},
                {20, 3.413, 3.188, 231, 248, 439, 471}, {25, 4.271, 3.986, 185, 198, 351, 376},
                {32, 5.475, 5.106, 144, 155, 274, 294}, {64, 11.02, 10.27, 72, 77, 136, 146}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const double all = run_title_operations(&base, rows[i].n, true);
        const double cls = run_title_operations(&base, rows[i].n, false);
        CHECK_NEAR(1e-9 * all, rows[i].all, rows[i].n == 64 ? 0.005 : 0.0007);
        CHECK_NEAR(1e-9 * cls, rows[i].cls, rows[i].n == 64 ? 0.005 : 0.0007);
        CHECK_NEAR(790e9 / all, rows[i].bf16_all, 0.51);
        CHECK_NEAR(790e9 / cls, rows[i].bf16_cls, 0.51);
        CHECK_NEAR(1500e9 / all, rows[i].fp8_all, 0.51);
        CHECK_NEAR(1500e9 / cls, rows[i].fp8_cls, 0.51);
    }
}

// What the rates were taken from comes out again.
static void test_sources(void) {
    const struct gpu_rates rates = gpu_expected(gpu_find("H200"));
    static const double fp8[][2] = {
        {512, 800e12}, {1536, 1182e12}, {2048, 1185e12}, {7168, 1377e12}, {16384, 1500e12}};
    CHECK_NEAR(rates.product[RUN_BF16] * 8192 / (8192 + rates.fill[RUN_BF16]), 790e12, 1e6);
    CHECK_NEAR(rates.memory, 4.3e12, 1);
    for (size_t i = 0; i < ARRAY_LEN(fp8); i++) {
        CHECK_NEAR(rates.product[RUN_FP8] * fp8[i][0] / (fp8[i][0] + rates.fill[RUN_FP8]),
                   fp8[i][1], 0.07 * fp8[i][1]);
    }
}

static void test_feed(void) {
    const struct run_host host = {.inflate = 1e-6,
                                  .pack = 1e-8,
                                  .write = 2e-6,
                                  .parse = 3e-6,
                                  .tokenize = 4e-6,
                                  .whole = 2e-5};
    const struct run_feed calm = run_feed_of(&host, 100000);
    CHECK_STR(calm.slowest, "write");
    CHECK_NEAR(calm.most_titles_per_s, 500000, 1e-3);
    CHECK_NEAR(calm.titles_per_s, 100000, 0);
    CHECK_NEAR(calm.cores, 0.1 * 10.01, 1e-9);
    CHECK_NEAR(calm.cores_whole, 2, 1e-9);
    CHECK_NEAR(run_feed_of(&host, 2e6).titles_per_s, 500000, 1e-3);
    const struct run_host measured = run_host_measured();
    CHECK(measured.whole >=
          measured.inflate + measured.pack + measured.write + measured.parse + measured.tokenize);
}

int main(void) {
    test_titles();
    test_sources();
    test_feed();
    return check_result();
}
