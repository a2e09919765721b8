// SPDX-License-Identifier: Apache-2.0
//
// The CUDA encoder on fake devices of which one fails: test_encoder_cuda_failures [SEED]. Each kind
// of call is swept: the n-th one fails, for n from a random start in random steps, until a run in
// which so many are never made.
#include "tests/support/fake_cuda_rig.h"

enum { N_DEVICES = 2, N_SLOTS = 2, N_BATCHES = 12 };

static bool is_probing(enum fake_call call) {
    return call == FAKE_USE || call == FAKE_STREAM || call == FAKE_LIBRARY || call == FAKE_MEMORY;
}

static bool is_releasing(enum fake_call call) {
    return call == FAKE_FREE || call == FAKE_PINNED_FREE || call == FAKE_STREAM_DESTROY ||
           call == FAKE_EVENT_DESTROY || call == FAKE_GRAPH_DESTROY || call == FAKE_LIBRARY_CLOSE ||
           call == FAKE_PLAN_DESTROY;
}

static bool is_captured(enum fake_call call) {
    return call == FAKE_CAPTURE || call == FAKE_CAPTURE_END || call == FAKE_PRODUCT ||
           call == FAKE_KERNEL;
}

// Too little memory once is survived by a smaller batch, a capture that fails by a batch without a
// graph, a release that fails is none of ours; all else ends the making.
static void check_not_made(const struct fake_fault *fault, enum status status,
                           const struct error *error) {
    const bool is_memory = fault->code == FAKE_CODE_MEMORY;
    CHECK(fake_cuda_struck());
    if (fault->code == FAKE_CODE_NO_SERVICE) {
        CHECK_INT(status, STATUS_MODEL);
        CHECK_CONTAINS(error->text, "cannot serve");
        return;
    }
    CHECK_INT(status, is_memory ? STATUS_MODEL : STATUS_AGAIN);
    rig_check_named(error, fault->device);
    CHECK_CONTAINS(error->text, is_memory ? "fake code 2" : "fake code 719");
    if (fault->trouble == FAKE_FAILS) {
        CHECK(!is_releasing(fault->call) && fault->call != FAKE_CAPTURE &&
              (!is_memory || is_probing(fault->call)));
    }
}

// From its making to its end. Returns whether the fault came.
static bool attempt(const struct fake_fault *fault) {
    struct encoder *encoder;
    struct error error = {""};
    const struct encoder_cuda_settings settings = rig_settings(N_DEVICES, N_SLOTS, 60);
    rig_start((struct fake_cuda_spec){.n_devices = N_DEVICES, .delay_us = 20, .fault = *fault});
    const enum status status = encoder_create_cuda(rig_model, &settings, &encoder, &error);
    const bool struck_early = fake_cuda_struck();
    const bool is_release = is_releasing(fault->call) && fault->trouble == FAKE_FAILS;
    if (status != STATUS_OK) check_not_made(fault, status, &error);
    if (status == STATUS_OK && fault->trouble == FAKE_FAILS && struck_early) {
        const bool has_graphs = encoder->remark == NULL;
        CHECK(is_release || !has_graphs || fault->code == FAKE_CODE_MEMORY);
        CHECK(has_graphs || is_captured(fault->call));
        CHECK_INT(encoder->batch_tokens, is_release || !has_graphs ? 200 : 128);
    }
    if (status == STATUS_OK) {
        struct rig_run run = {
            .random = {check_next(&rig_random)},
            .n_batches = N_BATCHES,
            .device = fault->device,
            .may_fail = !struck_early || fault->trouble == FAKE_DIES,
            .all_after = !is_release,
            .why = fault->code == FAKE_CODE_MEMORY ? "fake code 2" : "fake code 719"};
        rig_use(&run, encoder, N_DEVICES);
    }
    encoder_destroy(encoder);
    const bool struck = fake_cuda_struck();
    rig_stop();
    return struck;
}

static int64_t n_calls[FAKE_CALLS];  // of a device in a run in which all goes well

static void count_calls(void) {
    const struct encoder_cuda_settings settings = rig_settings(N_DEVICES, N_SLOTS, 60);
    struct rig_run run = {.random = {check_next(&rig_random)}, .n_batches = N_BATCHES};
    rig_start((struct fake_cuda_spec){.n_devices = N_DEVICES, .delay_us = 20});
    struct encoder *encoder = rig_create(&settings);
    rig_use(&run, encoder, N_DEVICES);
    encoder_destroy(encoder);
    for (int c = 0; c < FAKE_CALLS; c++) n_calls[c] = fake_cuda_calls(0, (enum fake_call)c);
    rig_stop();
}

static int sweep(enum fake_call call, enum fake_trouble trouble, int code) {
    const unsigned step = (unsigned)(n_calls[call] / 3 + 1);
    struct fake_fault fault = {.device = (int32_t)check_below(&rig_random, N_DEVICES),
                               .call = call,
                               .nth = 1 + check_below(&rig_random, step),
                               .trouble = trouble,
                               .code = code};
    int n_struck = 0;
    const int n_failures = check_failures;
    while (attempt(&fault) && check_failures == n_failures) {
        fault.nth += 1 + check_below(&rig_random, 2 * step - 1);
        n_struck++;
    }
    if (check_failures > n_failures) {
        fprintf(stderr, "  when the %lldth %s of device %d %s, code %d\n", (long long)fault.nth,
                fake_call_name(call), (int)fault.device, trouble == FAKE_DIES ? "dies" : "fails",
                code);
    }
    return n_struck;
}

// A query of a stream tells of work that failed, so that nothing comes after it; that of an event
// as well, but may be the first to be asked.
static void test_failures(void) {
    int n_struck = 0;
    for (int c = 0; c < FAKE_CALLS; c++) {
        const enum fake_call call = (enum fake_call)c;
        const bool is_query = call == FAKE_STREAM_QUERY || call == FAKE_EVENT_QUERY;
        CHECK(n_calls[call] > 0);
        n_struck += sweep(call, FAKE_DIES, FAKE_CODE_LAUNCH);
        if (call == FAKE_WORK) continue;
        if (call != FAKE_STREAM_QUERY) n_struck += sweep(call, FAKE_FAILS, FAKE_CODE_LAUNCH);
        if (is_query || is_releasing(call)) continue;
        n_struck += sweep(call, FAKE_FAILS, FAKE_CODE_MEMORY);
    }
    // A device that is full stays full.
    static const enum fake_call full[] = {FAKE_USE,  FAKE_ALLOC,       FAKE_PINNED,
                                          FAKE_PLAN, FAKE_CAPTURE_END, FAKE_LAUNCH};
    for (size_t i = 0; i < ARRAY_LEN(full); i++) {
        n_struck += sweep(full[i], FAKE_DIES, FAKE_CODE_MEMORY);
    }
    n_struck += sweep(FAKE_LIBRARY, FAKE_FAILS, FAKE_CODE_NO_SERVICE);
    n_struck += sweep(FAKE_PLAN, FAKE_FAILS, FAKE_CODE_NO_SERVICE);
    printf("%d failures\n", n_struck);
    CHECK(n_struck > 100);
    CHECK(!encoder_cuda_is_stuck());
}

// Too little memory on one device does not hide that another one failed.
static void test_both(void) {
    for (int32_t d = 0; d < N_DEVICES; d++) {
        struct fake_cuda_spec spec = {.n_devices = N_DEVICES,
                                      .fault = {.device = d,
                                                .call = FAKE_PINNED,
                                                .nth = 1,
                                                .trouble = FAKE_FAILS,
                                                .code = FAKE_CODE_LAUNCH}};
        struct encoder *encoder;
        struct error error = {""};
        const struct encoder_cuda_settings settings = rig_settings(N_DEVICES, N_SLOTS, 60);
        spec.real_nbytes[1 - d] = 1;
        rig_start(spec);
        CHECK_INT(encoder_create_cuda(rig_model, &settings, &encoder, &error), STATUS_AGAIN);
        rig_check_named(&error, d);
        CHECK_CONTAINS(error.text, "fake code 719");
        rig_stop();
    }
}

int main(int argc, char **argv) {
    rig_begin(argc, argv);
    count_calls();
    test_failures();
    test_both();
    model_close(rig_model);
    return check_result();
}
