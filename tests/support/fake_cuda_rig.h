// SPDX-License-Identifier: Apache-2.0
//
// What the tests of the CUDA encoder share: an encoder on fake devices, and a run of it in which
// one device may fail. A test program defines its model.
#ifndef WADER_TESTS_SUPPORT_FAKE_CUDA_RIG_H
#define WADER_TESTS_SUPPORT_FAKE_CUDA_RIG_H

#include <time.h>

#include "cuda/encoder_cuda.h"
#include "tests/check.h"
#include "tests/support/fake_batches.h"
#include "tests/support/fake_cuda.h"
#include "tests/support/must.h"

static struct check_random rig_random;
static struct model *rig_model;  // heads of 32, at most 48 tokens a title

// Batches are fresh in every run; PROGRAM SEED replays them, though not who comes first.
static inline void rig_begin(int argc, char **argv) {
    rig_random.state = argc > 1 ? strtoull(argv[1], NULL, 0) : (unsigned long long)time(NULL);
    printf("seed %llu\n", rig_random.state);
    fflush(stdout);
    rig_model = fake_batches_model(2);
}

// Settings of devices 0 to n - 1. The devices live here.
static inline struct encoder_cuda_settings rig_settings(int32_t n_devices, int32_t n_slots,
                                                        int32_t timeout_seconds) {
    static struct cuda_device devices[FAKE_DEVICES_MAX];
    for (int32_t d = 0; d < n_devices; d++) devices[d] = fake_cuda_device(d);
    return (struct encoder_cuda_settings){.devices = devices,
                                          .n_devices = n_devices,
                                          .dtype = (enum dtype)check_below(&rig_random, 3),
                                          .batch_tokens = 200,
                                          .max_length = 48,
                                          .n_slots_per_device = n_slots,
                                          .timeout_seconds = timeout_seconds};
}

static inline void rig_start(struct fake_cuda_spec spec) {
    spec.seed = check_next(&rig_random);
    fake_cuda_start(&spec);
}

// Nothing may be left, no rule may be broken.
static inline void rig_stop(void) {
    char alive[256];
    CHECK_INT(fake_cuda_alive(alive), 0);
    CHECK_STR(alive, "");
    CHECK_STR(fake_cuda_broken(), "");
    fake_cuda_stop();
}

static inline struct encoder *rig_create(const struct encoder_cuda_settings *settings) {
    struct encoder *encoder;
    struct error error;
    must(encoder_create_cuda(rig_model, settings, &encoder, &error), &error);
    return encoder;
}

static inline void rig_check_named(const struct error *error, int32_t device) {
    char name[400];
    const struct cuda_device it = fake_cuda_device(device);
    snprintf(name, sizeof name, "CUDA device %d (%s, %s): ", (int)device, it.name, it.uuid);
    CHECK_CONTAINS(error->text, name);
}

// ---- a run

enum { RIG_SLOTS_MAX = 32 };

struct rig_run {
    struct check_random random;  // of its batches
    int32_t n_batches;
    bool may_fail;  // `device`; the others' batches are all right
    int32_t device;
    bool all_after;   // what is submitted once the fault has come fails
    const char *why;  // stands in the message
    bool failed;      // a batch did; whatever that device gets later does so too
};

// `after`: what is in the slot was submitted when that device could no longer do it. A batch that
// was on its way already may have been done.
static inline void rig_wait(struct rig_run *run, struct fake_batches *batches, int32_t slot,
                            int32_t n_devices, bool after) {
    struct error error = {""};
    const char *wrong;
    const enum status status = fake_batches_wait(batches, slot, &wrong, &error);
    const bool can_fail =
        run->may_fail && slot % n_devices == run->device && fake_batches_titles(batches, slot) > 0;
    CHECK_STR(wrong, "");
    if (status == STATUS_OK) {
        CHECK(!can_fail || !after);
        CHECK_STR(error.text, "");
        return;
    }
    CHECK_INT(status, STATUS_AGAIN);
    CHECK(can_fail);
    rig_check_named(&error, run->device);
    if (run->why != NULL) CHECK_CONTAINS(error.text, run->why);
    run->failed = true;
}

// As the stream does it: a slot is filled when the batch that it held before has been read.
static inline void rig_use(struct rig_run *run, struct encoder *encoder, int32_t n_devices) {
    struct fake_batches *batches = fake_batches_open(encoder);
    bool after[RIG_SLOTS_MAX] = {false};
    const int32_t n_slots = encoder->n_slots;
    for (int32_t b = 0; b < run->n_batches + n_slots; b++) {
        const int32_t slot = b % n_slots;
        if (fake_batches_is_submitted(batches, slot)) {
            rig_wait(run, batches, slot, n_devices, after[slot]);
        }
        if (b >= run->n_batches) continue;
        after[slot] = run->failed || (run->all_after && fake_cuda_struck());
        fake_batches_submit(batches, slot, &run->random);
    }
    fake_batches_close(batches);
}

#endif
