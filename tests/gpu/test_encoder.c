// SPDX-License-Identifier: Apache-2.0
//
// The encoder on CUDA devices: logits beside the float64 reference and the CPU encoder's, and the
// same bits whatever the batch, its size, the slots, the number of devices and the run:
// test_gpu_encoder [--small] [SEED]. Models and titles are fresh in every run; the seed that is
// printed replays them. --small is for a device that is emulated, where a batch of dummies takes as
// long as one of tokens: fewer models, titles, sizes and batches.
#include <time.h>

#include "cuda/encoder_cuda.h"
#include "tests/check.h"
#include "tests/reference/bert_ref.h"
#include "tests/support/must.h"
#include "tests/support/tiny_model.h"

enum { N_TITLES = 120, N_REFERENCE = 10, TIMEOUT_SECONDS = 60, TOKENS_MAX = 200, SLOTS_MAX = 256 };

// Of the logits' scale: those of tests/simt/test_forward.c, and in fp32, where sums are not the
// reference's, that of tests/unit/test_encoder.c.
static const double tolerance[] = {
    [DTYPE_F32] = 1e-5, [DTYPE_F16] = 1e-2, [DTYPE_BF16] = 8e-2, [DTYPE_E4M3] = 0.3};

static struct check_random random_state;
static struct cuda_devices devices;
static bool is_small;
static int32_t n_titles = N_TITLES;

static int32_t between(int32_t least, int32_t most) {
    return least + (int32_t)check_below(&random_state, (unsigned)(most - least + 1));
}

struct titles {
    int32_t n_tokens[N_TITLES];
    int32_t ids[N_TITLES][TOKENS_MAX];
    size_t n_labels;
};

// Some at the limits of attention's buckets, most as short as titles are; [0, N_REFERENCE) go to
// the reference.
static struct titles *make_titles(const struct bert_config *config) {
    static const int32_t limits[] = {1, 2, 16, 17, 32, 33, 48, 49, 64, 65, 127, 128, 129};
    struct titles *titles = must_zeroed(1, sizeof *titles);
    titles->n_labels = (size_t)config->n_labels;
    const int32_t longest = config->max_positions < TOKENS_MAX ? config->max_positions : TOKENS_MAX;
    for (int32_t i = 0; i < n_titles; i++) {
        const int32_t special = i - N_REFERENCE;
        int32_t n = between(2, 40);
        if (special >= 0 && special < (int32_t)ARRAY_LEN(limits)) n = limits[special];
        if (special == (int32_t)ARRAY_LEN(limits)) n = longest;
        titles->n_tokens[i] = n < longest ? n : longest;
        for (int32_t t = 0; t < titles->n_tokens[i]; t++) {
            titles->ids[i][t] = between(0, config->vocab_size - 1);
        }
    }
    return titles;
}

// ---- titles through an encoder

struct batch {
    int32_t first, n;  // of the order
};

// Takes up to n_most titles from order[first] on, as far as they fit.
static struct batch submit(struct encoder *encoder, int32_t i, const struct titles *titles,
                           const int32_t *order, int32_t first, int32_t n_most) {
    struct encoder_slot *slot = encoder_slot(encoder, i);
    struct batch batch = {first, 0};
    slot->cu_seqlens[0] = 0;
    while (first + batch.n < n_titles && batch.n < n_most && batch.n < encoder->titles_cap) {
        const int32_t which = order[first + batch.n], at = slot->cu_seqlens[batch.n];
        if (at + titles->n_tokens[which] > encoder->batch_tokens) break;
        memcpy(slot->token_ids + at, titles->ids[which],
               (size_t)titles->n_tokens[which] * sizeof(int32_t));
        slot->cu_seqlens[++batch.n] = at + titles->n_tokens[which];
    }
    slot->n_titles = batch.n;
    encoder_submit(encoder, i);
    return batch;
}

static void collect(struct encoder *encoder, int32_t i, const struct batch *batch,
                    const int32_t *order, size_t k, float *logits) {
    struct error error;
    must(encoder_wait(encoder, i, &error), &error);
    const struct encoder_slot *slot = encoder_slot(encoder, i);
    CHECK(batch->n == 0 || (slot->seconds > 0 && slot->seconds < TIMEOUT_SECONDS));
    for (int32_t t = 0; t < batch->n; t++) {
        memcpy(logits + (size_t)order[batch->first + t] * k, slot->logits + (size_t)t * k,
               k * sizeof *logits);
    }
}

// Logits [N_TITLES, K] of all titles in random order, in batches of up to n_most; slots are filled
// and read in turn, all of them in flight. free() them.
static float *compute(struct encoder *encoder, const struct titles *titles, int32_t n_most) {
    const size_t k = titles->n_labels;
    float *logits = must_zeroed((size_t)n_titles * k, sizeof *logits);
    struct batch batches[SLOTS_MAX];
    int32_t order[N_TITLES], next = 0, submitted = 0, collected = 0;
    CHECK(encoder->n_slots >= 1 && encoder->n_slots <= SLOTS_MAX);
    for (int32_t i = 0; i < n_titles; i++) {
        const int32_t other = between(0, i);
        order[i] = order[other];
        order[other] = i;
    }
    while (next < n_titles || collected < submitted) {
        if (next < n_titles && submitted - collected < encoder->n_slots) {
            const int32_t i = submitted++ % encoder->n_slots, n = between(1, n_most);
            const bool is_empty = between(0, 19) == 0;
            batches[i] = submit(encoder, i, titles, order, next, is_empty ? 0 : n);
            next += batches[i].n;
        } else {
            const int32_t i = collected++ % encoder->n_slots;
            collect(encoder, i, &batches[i], order, k, logits);
        }
    }
    return logits;
}

static struct encoder *open_cuda(const struct model *model, enum dtype dtype, int32_t n_devices,
                                 int32_t batch_tokens, int32_t n_slots) {
    const struct encoder_cuda_settings settings = {.devices = devices.devices,
                                                   .n_devices = n_devices,
                                                   .dtype = dtype,
                                                   .batch_tokens = batch_tokens,
                                                   .max_length = model->config.max_positions,
                                                   .n_slots_per_device = n_slots,
                                                   .timeout_seconds = TIMEOUT_SECONDS};
    struct encoder *encoder;
    struct error error;
    must(encoder_create_cuda(model, &settings, &encoder, &error), &error);
    CHECK_INT(encoder->n_labels, model->config.n_labels);
    CHECK_INT(encoder->max_length, model->config.max_positions);
    CHECK(encoder->batch_tokens >= model->config.max_positions);
    if (batch_tokens > 0) CHECK_INT(encoder->batch_tokens, batch_tokens);
    if (n_slots > 0) CHECK_INT(encoder->n_slots, n_slots * n_devices);
    return encoder;
}

// ---- values

static void check_values(const char *what, const float *logits, size_t n, const double *want,
                         double allowed) {
    double apart = 0, scale = 0;
    for (size_t i = 0; i < n; i++) {
        const double difference = fabs((double)logits[i] - want[i]);
        apart = isnan(difference) ? INFINITY : fmax(apart, difference);
        scale = fmax(scale, fabs(want[i]));
    }
    printf("  %s: within %.2g of the logits' scale, %.2g is allowed\n", what, apart / scale,
           allowed);
    CHECK(apart <= allowed * scale);
}

static void check_reference(const struct model *model, const struct titles *titles,
                            const float *logits, enum dtype dtype) {
    double *want = must_zeroed(N_REFERENCE * titles->n_labels, sizeof *want);
    struct bert_ref *ref;
    struct error error;
    must(bert_ref_open(model, &ref, &error), &error);
    for (int32_t i = 0; i < N_REFERENCE; i++) {
        must(bert_ref_logits(ref, titles->ids[i], titles->n_tokens[i],
                             want + (size_t)i * titles->n_labels, &error),
             &error);
    }
    check_values("float64 reference", logits, N_REFERENCE * titles->n_labels, want,
                 tolerance[dtype]);
    bert_ref_close(ref);
    free(want);
}

static void check_cpu(const struct model *model, const struct titles *titles, const float *logits,
                      enum dtype dtype) {
    const struct encoder_limits limits = {.batch_tokens = 1024, .n_threads = 2};
    const size_t n = (size_t)n_titles * titles->n_labels;
    struct encoder *encoder;
    struct error error;
    must(encoder_create_cpu(model, &limits, &encoder, &error), &error);
    float *cpu = compute(encoder, titles, n_titles);
    double *want = must_zeroed(n, sizeof *want);
    for (size_t i = 0; i < n; i++) want[i] = (double)cpu[i];
    check_values("CPU encoder", logits, n, want, tolerance[dtype]);
    free(want);
    free(cpu);
    encoder_destroy(encoder);
}

// ---- bits

static void check_same(const struct model *model, const struct titles *titles, enum dtype dtype,
                       const float *wanted) {
    const int32_t longest = model->config.max_positions;
    const int32_t all[] = {longest, longest + 1, 256, 1000, 5632, 0};
    const int32_t small[] = {longest, longest + between(1, 100), 0};
    const int32_t *sizes = is_small ? small : all;
    for (size_t s = 0; s < (is_small ? ARRAY_LEN(small) : ARRAY_LEN(all)); s++) {
        const int32_t n_devices = between(1, devices.n_devices), n_slots = between(0, 4);
        const int32_t n_most = s % 2 == 0 ? n_titles : between(1 + 3 * is_small, 9);
        if (sizes[s] != 0 && sizes[s] < longest) continue;
        struct encoder *encoder = open_cuda(model, dtype, n_devices, sizes[s], n_slots);
        int32_t n_wrong = 0;
        for (int again = 0; again < 2; again++) {
            float *logits = compute(encoder, titles, n_most);
            for (size_t t = 0; t < (size_t)n_titles; t++) {
                n_wrong += memcmp(logits + t * titles->n_labels, wanted + t * titles->n_labels,
                                  titles->n_labels * sizeof *logits) != 0;
            }
            free(logits);
        }
        CHECK_INT(n_wrong, 0);
        if (n_wrong > 0) {
            fprintf(stderr, "  %d tokens, %d slots, %d devices\n", (int)encoder->batch_tokens,
                    (int)encoder->n_slots, (int)n_devices);
        }
        encoder_destroy(encoder);
    }
}

static void test_model(const struct tiny_model_spec *spec, enum dtype dtype) {
    struct model *model = tiny_model_open(spec);
    struct titles *titles = make_titles(&model->config);
    struct encoder *encoder = open_cuda(model, dtype, 1, 0, 0);
    printf("H %d, %d heads, F %d, %d layers, format %d; by itself %d tokens, %d slots\n",
           (int)spec->config.hidden_size, (int)spec->config.n_heads,
           (int)spec->config.intermediate_size, (int)spec->config.n_layers, (int)dtype,
           (int)encoder->batch_tokens, (int)encoder->n_slots);
    fflush(stdout);
    float *logits = compute(encoder, titles, n_titles);
    encoder_destroy(encoder);
    check_reference(model, titles, logits, dtype);
    check_cpu(model, titles, logits, dtype);
    check_same(model, titles, dtype, logits);
    free(logits);
    free(titles);
    model_close(model);
}

// ---- limits

static void test_too_large(const struct model *model) {
    struct encoder_cuda_settings settings = {.devices = devices.devices,
                                             .n_devices = 1,
                                             .dtype = DTYPE_F16,
                                             .batch_tokens = 1 << 30,
                                             .max_length = model->config.max_positions,
                                             .timeout_seconds = TIMEOUT_SECONDS};
    struct encoder *encoder = NULL;
    struct error error = {""};
    CHECK_INT(encoder_create_cuda(model, &settings, &encoder, &error), STATUS_USAGE);
    CHECK(encoder == NULL);
    printf("too large a batch: %s\n", error.text);
    CHECK_CONTAINS(error.text, "--batch-tokens 1073741824");
    CHECK_CONTAINS(error.text, "the most that fits is ");
}

int main(int argc, char **argv) {
    is_small = argc > 1 && strcmp(argv[1], "--small") == 0;
    if (is_small) n_titles = 30;
    const char *seed = argc > 1 + is_small ? argv[1 + is_small] : NULL;
    random_state.state = seed != NULL ? strtoull(seed, NULL, 0) : (unsigned long long)time(NULL);
    cuda_devices_find(&devices);
    if (devices.n_devices == 0) return check_skip(devices.what);
    while (!encoder_cuda_same_kind(&devices.devices[0], &devices.devices[devices.n_devices - 1])) {
        devices.n_devices--;
    }
    printf("seed %llu\n%d devices, the first %s\n", random_state.state, (int)devices.n_devices,
           devices.devices[0].name);
    const int32_t capability = 10 * devices.devices[0].major + devices.devices[0].minor;
    const int n_dtypes = capability >= 89   ? DTYPE_E4M3 + 1
                         : capability >= 80 ? DTYPE_BF16 + 1
                                            : DTYPE_BF16;
    struct tiny_model_spec spec = tiny_model_default();
    spec.config.max_positions = 180;
    for (int dtype = DTYPE_F32; dtype < n_dtypes; dtype++) {
        spec.config.n_heads = between(1, 4);
        spec.config.hidden_size = spec.config.n_heads * 64;
        spec.config.intermediate_size = 16 * between(3, 30);
        spec.config.n_layers = dtype == DTYPE_E4M3 ? between(3, 4) : between(1, 3);
        spec.config.n_labels = between(2, 9);
        spec.seed = check_next(&random_state);
        const bool wide = between(0, 1) == 1;  // heads of 64, else of 32
        if (!is_small || wide) test_model(&spec, (enum dtype)dtype);
        spec.config.n_heads *= 2;
        if (!is_small || !wide) test_model(&spec, (enum dtype)dtype);
    }
    spec.config.n_heads = 12;
    spec.config.hidden_size = 768;
    spec.config.intermediate_size = 3072;
    spec.config.n_layers = 3;
    for (int dtype = DTYPE_F32; dtype < n_dtypes && !is_small; dtype++) {
        test_model(&spec, (enum dtype)dtype);
    }
    struct model *model = tiny_model_open(&spec);
    test_too_large(model);
    model_close(model);
    return check_result();
}
