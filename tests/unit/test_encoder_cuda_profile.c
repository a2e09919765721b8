// SPDX-License-Identifier: Apache-2.0
//
// The CUDA encoder's account of where a batch's time goes, on fake devices: the batch's logits are
// right, other batches go on afterwards, and whatever call fails in it loses the device as in any
// batch: test_encoder_cuda_profile [SEED]. What a pass leaves marks of, tests/standin/test_bench.py
// looks at.
#include "tests/support/fake_cuda_rig.h"
#include "tests/support/fake_encoder.h"

enum { N_DEVICES = 2, N_SLOTS = 2, N_TITLES = 5 };

static void fill(struct encoder_slot *slot, int32_t ids[N_TITLES][9]) {
    slot->n_titles = 0;
    slot->cu_seqlens[0] = 0;
    for (int32_t i = 0; i < N_TITLES; i++) {
        const int32_t n = 2 + i;
        for (int32_t t = 0; t < n; t++) ids[i][t] = (int32_t)check_below(&rig_random, 30);
        encoder_slot_add(slot, ids[i], n);
    }
}

static void check_logits(const struct encoder_slot *slot, int32_t ids[N_TITLES][9]) {
    for (int32_t i = 0; i < N_TITLES; i++) {
        float wanted[FAKE_LABELS];
        fake_encoder_logits(ids[i], 2 + i, -1, wanted);
        CHECK(memcmp(slot->logits + (size_t)i * FAKE_LABELS, wanted, sizeof wanted) == 0);
    }
}

static enum status profile(struct encoder *encoder, int32_t i, struct error *error) {
    struct encoder_profile found;
    int32_t ids[N_TITLES][9];
    struct encoder_slot *slot = encoder_slot(encoder, i);
    fill(slot, ids);
    const enum status status = encoder_profile_batch(encoder, i, &found, error);
    if (status != STATUS_OK) return status;
    check_logits(slot, ids);
    CHECK(found.seconds[ENCODER_COPY] >= 0);
    return STATUS_OK;
}

static void test_goes_well(void) {
    rig_start((struct fake_cuda_spec){.n_devices = N_DEVICES, .delay_us = 50});
    const struct encoder_cuda_settings settings = rig_settings(N_DEVICES, N_SLOTS, 60);
    struct encoder *encoder = rig_create(&settings);
    struct rig_run run = {.random = {check_next(&rig_random)}, .n_batches = 6};
    struct error error = {""};
    CHECK(encoder->token_tile >= encoder->batch_tokens);
    CHECK_INT(encoder->title_tile, encoder->titles_cap);
    for (int round = 0; round < 3; round++) {
        for (int32_t i = 0; i < encoder->n_slots; i++) {
            CHECK_INT(profile(encoder, i, &error), STATUS_OK);
        }
        rig_use(&run, encoder, N_DEVICES);
    }
    CHECK_STR(error.text, "");
    encoder_destroy(encoder);
    rig_stop();
}

// Calls that device 0 has had when the encoder was there, and when a profile was made.
static int64_t before[FAKE_CALLS], behind[FAKE_CALLS];

static void count_calls(void) {
    rig_start((struct fake_cuda_spec){.n_devices = N_DEVICES});
    const struct encoder_cuda_settings settings = rig_settings(N_DEVICES, N_SLOTS, 60);
    struct encoder *encoder = rig_create(&settings);
    struct error error;
    for (int c = 0; c < FAKE_CALLS; c++) before[c] = fake_cuda_calls(0, (enum fake_call)c);
    must(profile(encoder, 0, &error), &error);
    for (int c = 0; c < FAKE_CALLS; c++) behind[c] = fake_cuda_calls(0, (enum fake_call)c);
    encoder_destroy(encoder);
    rig_stop();
}

// True when it failed in the profile, and not before.
static bool attempt(const struct fake_fault *fault) {
    rig_start((struct fake_cuda_spec){.n_devices = N_DEVICES, .fault = *fault});
    const struct encoder_cuda_settings settings = rig_settings(N_DEVICES, N_SLOTS, 60);
    struct encoder *encoder = NULL;
    struct error error = {""};
    bool failed = false;
    // How often a device is asked is up to chance, so the fault may come earlier.
    if (encoder_create_cuda(rig_model, &settings, &encoder, &error) == STATUS_OK) {
        const bool early = fake_cuda_struck();
        const enum status status = profile(encoder, 0, &error);
        failed = status != STATUS_OK;
        CHECK(early || failed == fake_cuda_struck());
        if (failed) {
            CHECK_INT(status, STATUS_AGAIN);
            rig_check_named(&error, 0);
            // It stays so; its slot, which the device may be reading, as it is. The other one is
            // well.
            struct encoder_profile found;
            CHECK_INT(encoder_profile_batch(encoder, 0, &found, &error), STATUS_AGAIN);
            CHECK_INT(profile(encoder, 1, &error), STATUS_OK);
        }
    }
    encoder_destroy(encoder);
    rig_stop();
    return failed;
}

static void test_failures(void) {
    int n_failed = 0;
    for (int c = 0; c < FAKE_CALLS; c++) {
        for (int64_t nth = before[c] + 1; nth <= behind[c]; nth++) {
            for (int dies = 0; dies < 2; dies++) {
                if (c == FAKE_WORK && dies == 0) continue;
                const struct fake_fault fault = {.call = (enum fake_call)c,
                                                 .nth = nth,
                                                 .trouble = dies ? FAKE_DIES : FAKE_FAILS,
                                                 .code = FAKE_CODE_LAUNCH};
                n_failed += attempt(&fault);
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
