// SPDX-License-Identifier: Apache-2.0
//
// How large the CUDA encoder's batches are, and what it refuses, on fake devices:
// test_encoder_cuda_sizes [SEED].
#include "cuda/matmul.h"
#include "cuda/memory_plan.h"
#include "tests/support/fake_cuda_rig.h"

// ---- sizes

static size_t plan_nbytes(const struct encoder_cuda_settings *settings, int32_t n_rows) {
    const struct memory_request request = {.config = &rig_model->config,
                                           .dtype = settings->dtype,
                                           .n_rows = n_rows,
                                           .n_titles = memory_plan_titles(n_rows),
                                           .n_slots = settings->n_slots_per_device,
                                           .scratch_nbytes = MATMUL_WORKSPACE_NBYTES};
    struct memory_plan plan;
    CHECK(memory_plan_make(&request, &plan));
    return plan.nbytes;
}

static void check_encoder(struct encoder *encoder, int32_t batch_tokens, int32_t n_rows) {
    CHECK_INT(encoder->batch_tokens, batch_tokens);
    CHECK_INT(encoder->titles_cap, memory_plan_titles(n_rows));
    CHECK_INT(encoder->n_labels, 5);
    CHECK_INT(encoder->max_length, batch_tokens < 48 ? batch_tokens : 48);
    struct rig_run run = {.random = {check_next(&rig_random)}, .n_batches = 2 * encoder->n_slots};
    rig_use(&run, encoder, encoder->n_slots);
    encoder_destroy(encoder);
}

// Rows are 8 times those of 128-row tiles on a third of 12 multiprocessors where nobody asked.
static void test_sizes(void) {
    static const int32_t asked[][2] = {{0, 4096},    {1, 128},    {47, 128},  {48, 128},
                                       {128, 128},   {129, 256},  {200, 256}, {1000, 1024},
                                       {4096, 4096}, {4097, 4224}};
    rig_start((struct fake_cuda_spec){.n_devices = 1});
    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        struct encoder_cuda_settings settings = rig_settings(1, 2, 60);
        settings.batch_tokens = asked[i][0];
        if (asked[i][0] > 0 && asked[i][0] < 48) settings.max_length = asked[i][0];
        check_encoder(rig_create(&settings), asked[i][0] > 0 ? asked[i][0] : 4096, asked[i][1]);
    }
    struct encoder_cuda_settings settings = rig_settings(1, 0, 60);
    settings.max_length = 5000;  // of titles that this model would not take; rows enough for one
    settings.batch_tokens = 0;
    struct encoder *encoder = rig_create(&settings);
    CHECK_INT(encoder->n_slots, 4);
    check_encoder(encoder, 5120, 5120);
    rig_stop();
}

// Free memory says little: of what is there, the first half, quarter and so on that fits is taken,
// by all devices that of the least.
static void test_memory_gone(void) {
    for (int32_t rows = 4096; rows >= 128; rows /= 2) {
        struct encoder_cuda_settings settings = rig_settings(3, 2, 60);
        settings.batch_tokens = 0;
        struct fake_cuda_spec spec = {.n_devices = 3};
        spec.real_nbytes[check_below(&rig_random, 3)] = plan_nbytes(&settings, rows);
        rig_start(spec);
        check_encoder(rig_create(&settings), rows, rows);
        rig_stop();
    }
    struct encoder_cuda_settings settings = rig_settings(2, 2, 60);
    struct fake_cuda_spec spec = {.n_devices = 2};
    spec.real_nbytes[1] = plan_nbytes(&settings, 128) - 1;
    for (settings.batch_tokens = 0; settings.batch_tokens < 300; settings.batch_tokens += 200) {
        struct encoder *encoder;
        struct error error = {""};
        rig_start(spec);
        CHECK_INT(encoder_create_cuda(rig_model, &settings, &encoder, &error), STATUS_MODEL);
        CHECK(encoder == NULL);
        CHECK_CONTAINS(error.text, "even the smallest batch is too large");
        CHECK_CONTAINS(error.text, "CUDA device 1 (Fake GPU, GPU-00000001-");
        rig_stop();
    }
}

// What it says is free, 85 % of which are taken unasked.
static void test_little_memory(void) {
    struct encoder_cuda_settings settings = rig_settings(2, 2, 60);
    struct fake_cuda_spec spec = {.n_devices = 2};
    struct encoder *encoder;
    struct error error = {""};
    settings.batch_tokens = 0;
    spec.said_nbytes[1] = plan_nbytes(&settings, 1024) * 100 / 85 + 200;
    rig_start(spec);
    check_encoder(rig_create(&settings), 1024, 1024);
    rig_stop();
    spec.said_nbytes[1] = plan_nbytes(&settings, 128) * 100 / 85 - 200;
    rig_start(spec);
    CHECK_INT(encoder_create_cuda(rig_model, &settings, &encoder, &error), STATUS_MODEL);
    CHECK_CONTAINS(error.text, "CUDA device 1 (Fake GPU) has ");
    CHECK_CONTAINS(error.text, "too little for this model");
    CHECK(strstr(error.text, "--max-length") == NULL);
    settings.max_length = 512;
    spec.said_nbytes[1] = plan_nbytes(&settings, 512) * 100 / 85 - 200;
    rig_stop();
    rig_start(spec);
    CHECK_INT(encoder_create_cuda(rig_model, &settings, &encoder, &error), STATUS_MODEL);
    CHECK_CONTAINS(error.text, "a lower --max-length may do");
    rig_stop();
}

// The figure in the refusal can be asked for.
static void test_asked_too_much(void) {
    for (int i = 0; i < 6; i++) {
        struct encoder_cuda_settings settings = rig_settings(2, 1 + i % 4, 60);
        struct fake_cuda_spec spec = {.n_devices = 2};
        struct encoder *encoder;
        struct error error = {""};
        spec.said_nbytes[i % 2] = (size_t)(40 + check_below(&rig_random, 20)) << 20;
        spec.real_nbytes[i % 2] = spec.said_nbytes[i % 2];
        settings.batch_tokens = i == 5 ? INT32_MAX : 200000;
        rig_start(spec);
        CHECK_INT(encoder_create_cuda(rig_model, &settings, &encoder, &error), STATUS_USAGE);
        CHECK_CONTAINS(error.text,
                       i == 5 ? "--batch-tokens 2147483647 " : "--batch-tokens 200000 ");
        CHECK_CONTAINS(error.text, i % 2 == 0 ? "CUDA device 0 " : "CUDA device 1 ");
        const char *figure = strstr(error.text, "the most that fits is ");
        CHECK(figure != NULL);
        if (figure != NULL) {
            settings.batch_tokens = (int32_t)strtol(figure + 22, NULL, 10);
            CHECK(settings.batch_tokens >= 128 && settings.batch_tokens < 200000);
            check_encoder(rig_create(&settings), settings.batch_tokens, settings.batch_tokens);
        }
        rig_stop();
    }
}

// ---- finding and refusing

static void test_find(void) {
    struct cuda_devices found;
    struct error error = {"untouched"};
    for (int32_t n = 0; n <= FAKE_DEVICES_MAX; n += 4) {
        rig_start((struct fake_cuda_spec){.n_devices = n});
        CHECK_INT(encoder_cuda_find_devices(60, &found, &error), STATUS_OK);
        CHECK_INT(found.n_devices, n);
        if (n > 0) CHECK_STR(found.devices[n - 1].uuid, fake_cuda_device(n - 1).uuid);
        rig_stop();
    }
    CHECK_STR(error.text, "untouched");
}

static void refuse(const struct model *asked, const struct encoder_cuda_settings *settings,
                   const char *part, const char *another) {
    struct encoder *encoder;
    struct error error = {""};
    CHECK_INT(encoder_create_cuda(asked, settings, &encoder, &error), STATUS_MODEL);
    CHECK(encoder == NULL);
    CHECK_CONTAINS(error.text, part);
    CHECK_CONTAINS(error.text, another);
}

static void test_refusals(void) {
    struct cuda_device devices[2] = {fake_cuda_device(0), fake_cuda_device(1)};
    struct encoder_cuda_settings settings = rig_settings(2, 2, 60);
    rig_start((struct fake_cuda_spec){.n_devices = 2});
    settings.devices = devices;
    devices[1].major = 7;
    devices[1].minor = 5;
    settings.dtype = DTYPE_BF16;
    refuse(rig_model, &settings, "CUDA device 1 (Fake GPU) has compute capability 7.5", "no bf16");
    CHECK_INT(encoder_cuda_dtype(&devices[1]), DTYPE_F16);
    CHECK_INT(encoder_cuda_dtype(&devices[0]), DTYPE_BF16);
    CHECK(!encoder_cuda_same_kind(&devices[0], &devices[1]));
    settings.dtype = DTYPE_F16;
    check_encoder(rig_create(&settings), 200, 256);
    devices[1].minor = 0;
    for (int dtype = 0; dtype < 3; dtype++) {
        settings.dtype = (enum dtype)dtype;
        refuse(rig_model, &settings, "CUDA device 1 (Fake GPU) has compute capability 7.0", "7.5");
    }
    devices[1] = fake_cuda_device(1);
    CHECK(encoder_cuda_same_kind(&devices[0], &devices[1]));
    static const struct {
        int32_t hidden_size, n_heads, intermediate_size;
        const char *part, *another;
    } shapes[] = {{64, 4, 64, "heads of 32 or 64", "16 wide (64 / 4)"},
                  {32, 1, 64, "hidden size of 64 to 1024", "is 32"},
                  {1088, 17, 64, "hidden size of 64 to 1024", "is 1088"},
                  {64, 2, 66, "multiple of 8", "is 66"}};
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        struct model odd = *rig_model;
        odd.config.hidden_size = shapes[i].hidden_size;
        odd.config.n_heads = shapes[i].n_heads;
        odd.config.intermediate_size = shapes[i].intermediate_size;
        refuse(&odd, &settings, shapes[i].part, shapes[i].another);
    }
    rig_stop();
    rig_start((struct fake_cuda_spec){.n_devices = 2, .no_library = true});
    refuse(rig_model, &settings, "there is no fake library", "");
    rig_stop();
}

int main(int argc, char **argv) {
    rig_begin(argc, argv);
    test_find();
    test_refusals();
    test_sizes();
    test_memory_gone();
    test_little_memory();
    test_asked_too_much();
    model_close(rig_model);
    return check_result();
}
