// SPDX-License-Identifier: Apache-2.0
//
// The CUDA encoder's slots and threads on fake devices: test_encoder_cuda [SEED].
#include <pthread.h>

#include "tests/support/fake_cuda_rig.h"

// ---- batches

struct user {
    pthread_t thread;
    struct fake_batches *batches;
    struct check_random random;
    int32_t first, n_slots;  // its slots: every second one from `first`
    const char *wrong;
};

static void read_slot(struct user *user, int32_t slot) {
    const char *wrong;
    struct error error;
    const enum status status = fake_batches_wait(user->batches, slot, &wrong, &error);
    if (status != STATUS_OK) wrong = "a failure";
    if (wrong[0] != '\0') user->wrong = wrong;
}

// In any order.
static void *use_slots(void *argument) {
    struct user *user = argument;
    const unsigned n = (unsigned)(user->n_slots - user->first + 1) / 2;
    for (int step = 0; n > 0 && step < 60; step++) {
        const int32_t slot = user->first + 2 * (int32_t)check_below(&user->random, n);
        if (fake_batches_is_submitted(user->batches, slot)) {
            read_slot(user, slot);
        } else {
            fake_batches_submit(user->batches, slot, &user->random);
        }
    }
    for (int32_t slot = user->first; slot < user->n_slots; slot += 2) {
        if (fake_batches_is_submitted(user->batches, slot)) read_slot(user, slot);
    }
    return NULL;
}

static void two_threads(struct encoder *encoder) {
    struct fake_batches *batches = fake_batches_open(encoder);
    struct user users[2];
    for (int32_t u = 0; u < 2; u++) {
        users[u] = (struct user){.batches = batches,
                                 .random = {check_next(&rig_random)},
                                 .first = u,
                                 .n_slots = encoder->n_slots,
                                 .wrong = ""};
        if (pthread_create(&users[u].thread, NULL, use_slots, &users[u]) != 0) exit(1);
    }
    for (int32_t u = 0; u < 2; u++) {
        pthread_join(users[u].thread, NULL);
        CHECK_STR(users[u].wrong, "");
    }
    fake_batches_close(batches);
}

static void test_batches(void) {
    static const int32_t n_devices[] = {1, 2, 3, 5};
    for (size_t d = 0; d < ARRAY_LEN(n_devices); d++) {
        for (int32_t n_slots = 1; n_slots <= 4; n_slots++) {
            rig_start((struct fake_cuda_spec){.n_devices = n_devices[d], .delay_us = 100});
            const struct encoder_cuda_settings settings = rig_settings(n_devices[d], n_slots, 60);
            struct encoder *encoder = rig_create(&settings);
            struct rig_run run = {.random = {check_next(&rig_random)},
                                  .n_batches = 5 * encoder->n_slots};
            CHECK_INT(encoder->n_slots, n_devices[d] * n_slots);
            rig_use(&run, encoder, n_devices[d]);
            two_threads(encoder);
            encoder_destroy(encoder);
            for (int32_t i = 0; i < n_devices[d]; i++) {
                CHECK(fake_cuda_calls(i, FAKE_LAUNCH) > 2 * n_slots);
            }
            rig_stop();
        }
    }
    CHECK(!encoder_cuda_is_stuck());
}

static void test_empty_batches(void) {
    rig_start((struct fake_cuda_spec){.n_devices = 2});
    const struct encoder_cuda_settings settings = rig_settings(2, 2, 60);
    struct encoder *encoder = rig_create(&settings);
    struct error error = {"untouched"};
    const int64_t n_before = fake_cuda_calls(0, FAKE_LAUNCH) + fake_cuda_calls(1, FAKE_LAUNCH);
    for (int32_t i = 0; i < encoder->n_slots; i++) {
        struct encoder_slot *slot = encoder_slot(encoder, i);
        CHECK_INT(slot->n_titles, 0);
        CHECK_INT(slot->cu_seqlens[0], 0);
        slot->logits[0] = 12345;
        slot->seconds = 5;
        encoder_submit(encoder, i);
    }
    for (int32_t i = 0; i < encoder->n_slots; i++) {
        CHECK_INT(encoder_wait(encoder, i, &error), STATUS_OK);
        CHECK(encoder_slot(encoder, i)->logits[0] == 12345);
        CHECK(encoder_slot(encoder, i)->seconds == 0);
    }
    CHECK_STR(error.text, "untouched");
    CHECK_INT(fake_cuda_calls(0, FAKE_LAUNCH) + fake_cuda_calls(1, FAKE_LAUNCH), n_before);
    encoder_destroy(encoder);
    rig_stop();
}

// Nobody waits for what was submitted.
static void test_destroy_in_flight(void) {
    for (int32_t n_slots = 1; n_slots <= 4; n_slots++) {
        rig_start((struct fake_cuda_spec){.n_devices = 2, .delay_us = 1000});
        const struct encoder_cuda_settings settings = rig_settings(2, n_slots, 60);
        struct encoder *encoder = rig_create(&settings);
        struct fake_batches *batches = fake_batches_open(encoder);
        for (int32_t i = 0; i < encoder->n_slots; i++) {
            fake_batches_submit(batches, i, &rig_random);
        }
        fake_batches_close(batches);
        encoder_destroy(encoder);
        rig_stop();
    }
    CHECK(!encoder_cuda_is_stuck());
}

int main(int argc, char **argv) {
    rig_begin(argc, argv);
    test_empty_batches();
    model_close(rig_model);
    rig_model = fake_batches_model(1);
    test_batches();
    test_destroy_in_flight();
    model_close(rig_model);
    return check_result();
}
