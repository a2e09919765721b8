// SPDX-License-Identifier: Apache-2.0
//
// The CUDA encoder on fake devices of which one hangs: test_encoder_cuda_hangs [SEED]. It does so
// at random calls of every kind, each time in a process of its own, for a thread that hangs cannot
// be ended.
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/fake_cuda_rig.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#if defined(__SANITIZE_THREAD__)
// A process with a thread that hangs leaves without it.
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "report_thread_leaks=0";
}
#endif

// Whether the sanitizer found something that it is still writing about, to end the process then.
static bool is_reporting(void) {
#if defined(__SANITIZE_ADDRESS__)
    return __asan_report_present() != 0;
#else
    return false;
#endif
}

enum { N_DEVICES = 2, N_SLOTS = 2, N_BATCHES = 12, SECONDS_MAX = 10 };

enum phase { CREATING, RUNNING, DESTROYING, PHASES };

static int64_t n_until[PHASES][FAKE_CALLS];  // calls of device 0 up to the end of each
static struct check_random hang_batches;     // the same in every process

static void count(enum phase phase) {
    for (int c = 0; c < FAKE_CALLS; c++) {
        n_until[phase][c] = fake_cuda_calls(0, (enum fake_call)c);
    }
}

static void count_calls(void) {
    const struct encoder_cuda_settings settings = rig_settings(N_DEVICES, N_SLOTS, 60);
    struct rig_run run = {.random = hang_batches, .n_batches = N_BATCHES};
    rig_start((struct fake_cuda_spec){.n_devices = N_DEVICES, .delay_us = 20});
    struct encoder *encoder = rig_create(&settings);
    count(CREATING);
    rig_use(&run, encoder, N_DEVICES);
    count(RUNNING);
    encoder_destroy(encoder);
    count(DESTROYING);
    rig_stop();
}

static void check_soon(double since) {
    CHECK(now_seconds() - since < SECONDS_MAX);
}

// The thread goes on where nobody expects it any more: the model is gone, the encoder too. If it
// was made, no batch goes to the device any more.
static void wake(bool was_made) {
    const int64_t n_copies = fake_cuda_calls(0, FAKE_COPY_IN);
    model_close(rig_model);
    fake_cuda_release();
    usleep(100000);
    while (is_reporting()) pause();
    CHECK_STR(fake_cuda_broken(), "");
    if (was_made) CHECK_INT(fake_cuda_calls(0, FAKE_COPY_IN), n_copies);
}

// How often a query is made is up to the clock, so that which phase it hangs in is, too.
static void hang(const struct fake_fault *fault, enum phase phase) {
    struct encoder *encoder;
    struct error error = {""};
    const struct encoder_cuda_settings settings = rig_settings(N_DEVICES, N_SLOTS, 1);
    struct rig_run run = {.random = hang_batches,
                          .n_batches = N_BATCHES,
                          .may_fail = true,
                          .device = fault->device,
                          .why = "no progress for 1 seconds"};
    const bool is_query = fault->call == FAKE_STREAM_QUERY || fault->call == FAKE_EVENT_QUERY;
    rig_start((struct fake_cuda_spec){.n_devices = N_DEVICES, .delay_us = 20, .fault = *fault});
    const double since = now_seconds();
    const enum status status = encoder_create_cuda(rig_model, &settings, &encoder, &error);
    if (!is_query) CHECK_INT(status, phase == CREATING ? STATUS_AGAIN : STATUS_OK);
    if (status == STATUS_OK) {
        rig_use(&run, encoder, N_DEVICES);
        if (!is_query) CHECK_INT(run.failed, phase == RUNNING);
        encoder_destroy(encoder);
    } else {
        CHECK_INT(status, STATUS_AGAIN);
        CHECK(encoder == NULL);
        rig_check_named(&error, fault->device);
        CHECK_CONTAINS(error.text, run.why);
    }
    check_soon(since);
    if (!is_query) CHECK(fake_cuda_struck());
    CHECK_INT(encoder_cuda_is_stuck(), fake_cuda_struck());
    wake(status == STATUS_OK);
}

// Submitted and never waited for.
static void hang_in_flight(const struct fake_fault *fault) {
    const struct encoder_cuda_settings settings = rig_settings(N_DEVICES, N_SLOTS, 1);
    rig_start((struct fake_cuda_spec){.n_devices = N_DEVICES, .delay_us = 20, .fault = *fault});
    struct encoder *encoder = rig_create(&settings);
    struct fake_batches *batches = fake_batches_open(encoder);
    const double since = now_seconds();
    for (int32_t i = 0; i < encoder->n_slots; i++) {
        do {
            fake_batches_submit(batches, i, &hang_batches);
        } while (fake_batches_titles(batches, i) == 0);
    }
    fake_batches_close(batches);
    encoder_destroy(encoder);
    check_soon(since);
    CHECK(fake_cuda_struck());
    CHECK(encoder_cuda_is_stuck());
    wake(true);
}

// A device that was given up wakes and brings the batch that its slot had before.
static void hang_and_bring(const struct fake_fault *fault) {
    const char *wrong;
    struct error error = {""};
    const struct encoder_cuda_settings settings = rig_settings(N_DEVICES, N_SLOTS, 1);
    rig_start((struct fake_cuda_spec){.n_devices = N_DEVICES, .delay_us = 20, .fault = *fault});
    struct encoder *encoder = rig_create(&settings);
    struct fake_batches *batches = fake_batches_open(encoder);
    for (int i = 0; i < 2; i++) {
        do {
            fake_batches_submit(batches, 0, &hang_batches);
        } while (fake_batches_titles(batches, 0) == 0);
        if (i == 1) {
            fake_cuda_release();
            usleep(50000);
        }
        CHECK_INT(fake_batches_wait(batches, 0, &wrong, &error), STATUS_AGAIN);
        rig_check_named(&error, 0);
    }
    fake_batches_close(batches);
    encoder_destroy(encoder);
    CHECK(encoder_cuda_is_stuck());
    wake(true);
}

static void hang_in_search(const struct fake_fault *fault) {
    static struct cuda_devices found;
    struct error error = {""};
    const double since = now_seconds();
    fake_cuda_start(
        &(struct fake_cuda_spec){.n_devices = N_DEVICES, .fault = *fault, .hides = true});
    CHECK_INT(encoder_cuda_find_devices(1, &found, &error), STATUS_AGAIN);
    CHECK_CONTAINS(error.text, "within 1 seconds");
    CHECK_INT(found.n_devices, 0);
    CHECK(encoder_cuda_is_stuck());
    check_soon(since);
    wake(false);
    CHECK_INT(found.n_devices, 0);
}

enum { PROCESSES = 16, PROCESS_SECONDS_MAX = 60 };

static int n_processes, n_hangs;

static void end_one(void) {
    int result = -1;
    CHECK(wait(&result) > 0);
    CHECK(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    n_processes--;
}

// In a process of its own: at the `nth` of these calls, counted from the begin of the phase.
static void fork_hang(enum fake_call call, enum phase phase, int64_t nth,
                      void (*other)(const struct fake_fault *fault)) {
    const struct fake_fault fault = {
        .call = call,
        .nth = nth + (phase == CREATING ? 0 : n_until[phase - 1][call]),
        .trouble = FAKE_HANGS};
    if (n_processes == PROCESSES) end_one();
    fflush(NULL);
    rig_random.state++;
    const pid_t child = fork();
    if (child == 0) {
        alarm(PROCESS_SECONDS_MAX);
        check_failures = 0;
        if (other == NULL) hang(&fault, phase);
        if (other != NULL) other(&fault);
        if (check_failures > 0) {
            fprintf(stderr, "  when the %lldth %s hangs\n", (long long)fault.nth,
                    fake_call_name(call));
        }
        _exit(check_failures > 0);
    }
    CHECK(child > 0);
    n_processes++;
    n_hangs++;
}

static void test_hangs(void) {
    for (int c = 0; c < FAKE_CALLS; c++) {
        const enum fake_call call = (enum fake_call)c;
        for (enum phase phase = CREATING; phase < PHASES; phase++) {
            const int64_t before = phase == CREATING ? 0 : n_until[phase - 1][call];
            const int64_t n = n_until[phase][call] - before;
            if (n == 0) continue;
            const unsigned below = n < 1000 ? (unsigned)n : 1000;
            fork_hang(call, phase, 1 + check_below(&rig_random, below), NULL);
            if (n > 20) fork_hang(call, phase, 1 + check_below(&rig_random, below), NULL);
        }
    }
    for (unsigned nth = 1; nth <= 4; nth++) {
        fork_hang(FAKE_WORK, RUNNING, nth + check_below(&rig_random, 4), hang_in_flight);
    }
    fork_hang(FAKE_LAUNCH, RUNNING, 2, hang_in_flight);
    fork_hang(FAKE_SECONDS, RUNNING, 1, hang_and_bring);
    fork_hang(FAKE_USE, CREATING, 0, hang_in_search);
    while (n_processes > 0) end_one();
    printf("%d hangs\n", n_hangs);
}

int main(int argc, char **argv) {
    rig_begin(argc, argv);
    hang_batches.state = check_next(&rig_random);
    count_calls();
    test_hangs();
    model_close(rig_model);
    return check_result();
}
