// SPDX-License-Identifier: Apache-2.0
//
// What large products reach on fake devices, whose products compute nothing: every device has its
// share, batches go on afterwards, and whatever call fails loses the device, or, where memory is
// short, leaves out a shape: test_encoder_cuda_products [SEED]. tests/standin/test_bench.py has
// products that compute.
#include "tests/support/fake_cuda_rig.h"

enum { N_DEVICES = 2, N_SLOTS = 2 };

static enum status measure(struct encoder *encoder, struct error *error) {
    struct encoder_products products;
    const enum status status = encoder_measure_products(encoder, 1e-9, &products, error);
    if (status != STATUS_OK) return status;
    if (products.flops_per_s > 0) {
        CHECK(isfinite(products.flops_per_s));
        CHECK_INT(products.n_rows, encoder->token_tile);
        CHECK_INT(products.n_in, 256);
        CHECK(products.n_out == 256 || products.n_out == 4 * 256);
    }
    return STATUS_OK;
}

static void test_goes_well(void) {
    rig_start((struct fake_cuda_spec){.n_devices = N_DEVICES, .delay_us = 50});
    const struct encoder_cuda_settings settings = rig_settings(N_DEVICES, N_SLOTS, 60);
    struct encoder *encoder = rig_create(&settings);
    struct rig_run run = {.random = {check_next(&rig_random)}, .n_batches = 6};
    struct error error = {""};
    for (int round = 0; round < 3; round++) {
        struct encoder_products products;
        int64_t before[N_DEVICES];
        for (int32_t d = 0; d < N_DEVICES; d++) before[d] = fake_cuda_calls(d, FAKE_PRODUCT);
        CHECK_INT(measure(encoder, &error), STATUS_OK);
        for (int32_t d = 0; d < N_DEVICES; d++) {
            CHECK(fake_cuda_calls(d, FAKE_PRODUCT) - before[d] >= 6);
        }
        must(encoder_measure_products(encoder, 1e-9, &products, &error), &error);
        CHECK(products.flops_per_s > 0);
        rig_use(&run, encoder, N_DEVICES);
    }
    CHECK_STR(error.text, "");
    encoder_destroy(encoder);
    rig_stop();
}

// Calls that device 0 has had when the encoder was there, and when products were measured.
static int64_t before[FAKE_CALLS], behind[FAKE_CALLS];

static void count_calls(void) {
    rig_start((struct fake_cuda_spec){.n_devices = N_DEVICES});
    const struct encoder_cuda_settings settings = rig_settings(N_DEVICES, N_SLOTS, 60);
    struct encoder *encoder = rig_create(&settings);
    struct error error;
    for (int c = 0; c < FAKE_CALLS; c++) before[c] = fake_cuda_calls(0, (enum fake_call)c);
    must(measure(encoder, &error), &error);
    for (int c = 0; c < FAKE_CALLS; c++) behind[c] = fake_cuda_calls(0, (enum fake_call)c);
    encoder_destroy(encoder);
    rig_stop();
}

// True when it failed in the products, and not before.
static bool attempt(const struct fake_fault *fault) {
    rig_start((struct fake_cuda_spec){.n_devices = N_DEVICES, .fault = *fault});
    const struct encoder_cuda_settings settings = rig_settings(N_DEVICES, N_SLOTS, 60);
    struct encoder *encoder = NULL;
    struct error error = {""};
    bool failed = false;
    // How often a device is asked is up to chance, so the fault may come earlier.
    if (encoder_create_cuda(rig_model, &settings, &encoder, &error) == STATUS_OK) {
        const bool early = fake_cuda_struck();
        const enum status status = measure(encoder, &error);
        failed = status != STATUS_OK;
        CHECK(early || fault->code == FAKE_CODE_MEMORY || failed == fake_cuda_struck());
        if (failed) {
            CHECK_INT(status, STATUS_AGAIN);
            rig_check_named(&error, 0);
            // It stays so, and does not wait for the device that is well, which goes on.
            CHECK_INT(measure(encoder, &error), STATUS_AGAIN);
            struct rig_run run = {
                .random = {check_next(&rig_random)}, .n_batches = 6, .may_fail = true};
            rig_use(&run, encoder, N_DEVICES);
        }
    }
    encoder_destroy(encoder);
    rig_stop();
    return failed;
}

// Memory that is short for one of the shapes, or for both, is no failure. 0, for the count.
static int without_memory(int64_t nth) {
    const struct fake_fault fault = {
        .call = FAKE_ALLOC, .nth = nth, .trouble = FAKE_FAILS, .code = FAKE_CODE_MEMORY};
    CHECK(!attempt(&fault));
    return 0;
}

static void test_failures(void) {
    int n_failed = 0;
    for (int c = 0; c < FAKE_CALLS; c++) {
        if (c == FAKE_FREE || c == FAKE_PINNED_FREE || c == FAKE_EVENT_DESTROY ||
            c == FAKE_PLAN_DESTROY) {
            continue;  // what is measured by then holds
        }
        for (int64_t nth = before[c] + 1; nth <= behind[c]; nth++) {
            for (int dies = 0; dies < 2; dies++) {
                if (c == FAKE_WORK && dies == 0) continue;
                const struct fake_fault fault = {.call = (enum fake_call)c,
                                                 .nth = nth,
                                                 .trouble = dies ? FAKE_DIES : FAKE_FAILS,
                                                 .code = FAKE_CODE_LAUNCH};
                n_failed += attempt(&fault);
                if (c == FAKE_ALLOC && dies == 0) n_failed += without_memory(nth);
            }
        }
    }
    printf("%d failures\n", n_failed);
    CHECK(n_failed > 30);
    CHECK(!encoder_cuda_is_stuck());
}

int main(int argc, char **argv) {
    rig_begin(argc, argv);
    test_goes_well();
    count_calls();
    test_failures();
    model_close(rig_model);
    return check_result();
}
