// SPDX-License-Identifier: Apache-2.0
//
// The CPU encoder against the float64 reference on small random models, and what it says to limits
// that cannot be: test_encoder [SEED]. Models are fresh in every run; the seed that is printed
// replays them.
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/encoder/encoder.h"
#include "tests/check.h"
#include "tests/reference/bert_ref.h"
#include "tests/support/must.h"
#include "tests/support/tiny_model.h"

// Encoders promise 1e-4 of the logits' scale, the largest |logit| of a model's titles here. With up
// to four layers fp32 leaves 1e-6 to 3e-6, as the figures printed below show.
#define TOLERANCE 1e-5

enum { N_MODELS = 40 };

static struct check_random random_state;

static int32_t between(int32_t least, int32_t most) {
    return least + (int32_t)check_below(&random_state, (unsigned)(most - least + 1));
}

// Hidden sizes from 16 to 96, most of them no multiple of 16; heads of 8 to 64 and odd ones.
static struct tiny_model_spec random_spec(void) {
    static const int32_t head_sizes[] = {1, 3, 5, 7, 8, 9, 11, 13, 16, 17, 24, 31, 32, 33, 48, 64};
    static const float eps[] = {1e-12F, 1e-5F, 1e-6F, 0.01F};
    struct tiny_model_spec spec = tiny_model_default();
    const int32_t head_size = head_sizes[check_below(&random_state, ARRAY_LEN(head_sizes))];
    spec.config.n_heads = between((15 + head_size) / head_size, 96 / head_size);
    spec.config.hidden_size = spec.config.n_heads * head_size;
    spec.config.intermediate_size = 2 * between(4, 100) + 1;
    spec.config.n_layers = between(1, 4);
    spec.config.n_labels = between(2, 9);
    spec.config.max_positions = between(2, 40);
    spec.config.vocab_size = between(180, 400);
    spec.config.type_vocab_size = between(1, 2);
    spec.config.layer_norm_eps = eps[check_below(&random_state, ARRAY_LEN(eps))];
    spec.dtype = (enum dtype)check_below(&random_state, 3);
    spec.misaligned = check_below(&random_state, 2) == 1;
    spec.seed = check_next(&random_state);
    return spec;
}

static bool plain;  // of the encoders that are opened

static struct encoder *open_encoder_in(enum cpu_precision precision, const struct model *model,
                                       int32_t batch_tokens) {
    struct encoder *encoder;
    struct error error;
    const struct encoder_limits limits = {
        .batch_tokens = batch_tokens, .n_threads = 1, .precision = precision, .plain = plain};
    must(encoder_create_cpu(model, &limits, &encoder, &error), &error);
    return encoder;
}

static struct encoder *open_encoder(const struct model *model, int32_t batch_tokens) {
    return open_encoder_in(CPU_FP32, model, batch_tokens);
}

// ---- values

// One batch of random titles of the lengths 1 to max_positions and one more of each end. Returns
// the largest difference in units of the largest logit.
static double compare(const struct model *model) {
    const struct bert_config *config = &model->config;
    const int32_t longest = config->max_positions;
    const size_t k = (size_t)config->n_labels;
    struct encoder *encoder = open_encoder(model, (longest + 1) * (longest + 2) / 2 + longest + 1);
    struct encoder_slot *slot = encoder_slot(encoder, between(0, encoder->n_slots - 1));
    struct bert_ref *ref;
    struct error error;
    double *want = must_zeroed(k, sizeof *want), apart = 0, scale = 0;

    CHECK_INT(encoder->n_labels, config->n_labels);
    CHECK_INT(encoder->max_length, longest);
    slot->n_titles = longest + 2;
    for (int32_t i = 0; i < slot->n_titles; i++) {
        const int32_t n = i < longest ? i + 1 : i == longest ? longest : 1;
        slot->cu_seqlens[i + 1] = slot->cu_seqlens[i] + n;
        for (int32_t t = slot->cu_seqlens[i]; t < slot->cu_seqlens[i + 1]; t++) {
            slot->token_ids[t] = between(0, config->vocab_size - 1);
        }
    }
    int32_t which = 0;
    while (encoder_slot(encoder, which) != slot) which++;
    encoder_submit(encoder, which);
    must(encoder_wait(encoder, which, &error), &error);
    CHECK(slot->seconds >= 0 && slot->seconds < 3600);

    must(bert_ref_open(model, &ref, &error), &error);
    for (int32_t i = 0; i < slot->n_titles; i++) {
        const int32_t first = slot->cu_seqlens[i];
        must(bert_ref_logits(ref, slot->token_ids + first, slot->cu_seqlens[i + 1] - first, want,
                             &error),
             &error);
        for (size_t c = 0; c < k; c++) {
            const double difference = fabs(slot->logits[(size_t)i * k + c] - want[c]);
            apart = isnan(difference) ? INFINITY : fmax(apart, difference);
            scale = fmax(scale, fabs(want[c]));
        }
    }
    bert_ref_close(ref);
    encoder_destroy(encoder);
    free(want);
    return apart / scale;
}

// A quarter of the models compute as DistilBERT does, a quarter has the other GELU.
static struct model *open_variant(const struct tiny_model_spec *spec, int i) {
    struct model *model = tiny_model_open(spec);
    if (i % 4 == 1) {
        model->config.head_activation = HEAD_RELU;
        model->config.type_vocab_size = 0;
        model->weights.token_type_embeddings = (struct tensor){0};
    }
    if (i % 4 == 2) model->config.gelu = GELU_TANH;
    return model;
}

// With a NaN for a weight of one word's embedding no logit of its titles is a number: they get no
// label. Others in the batch, and in the next one, do not notice.
static void check_nan(enum cpu_precision precision, int i) {
    static const int32_t seqlens[] = {0, 1, 2, 4, 5}, ids[] = {3, 1, 3, 1, 3};
    const struct tiny_model_spec spec = random_spec();
    struct model *model = open_variant(&spec, i);
    const size_t h = (size_t)spec.config.hidden_size, k = (size_t)spec.config.n_labels;
    struct tensor *embeddings = &model->weights.word_embeddings;
    float *values = must_zeroed(embeddings->n_elements, sizeof *values);
    tensor_read(*embeddings, 0, embeddings->n_elements, values);
    values[h + check_below(&random_state, (unsigned)h)] = i % 2 == 0 ? NAN : INFINITY;
    *embeddings = (struct tensor){values, embeddings->n_elements, DTYPE_F32};
    struct encoder *encoder = open_encoder_in(precision, model, 64);
    struct encoder_slot *slot = encoder_slot(encoder, 0);
    struct error error;
    float alone[16];
    memcpy(slot->cu_seqlens, seqlens, sizeof seqlens);
    memcpy(slot->token_ids, ids, sizeof ids);
    for (int32_t n_titles = 1; n_titles <= 4; n_titles += 3) {
        for (int again = 0; again < 2; again++) {
            slot->n_titles = n_titles;
            encoder_submit(encoder, 0);
            must(encoder_wait(encoder, 0, &error), &error);
            if (n_titles == 1) memcpy(alone, slot->logits, k * sizeof *alone);
            for (size_t t = 0; t < (size_t)n_titles; t++) {
                const float *logits = slot->logits + t * k;
                for (size_t c = 0; c < k && t % 3 != 0; c++) CHECK(isnan(logits[c]));
                if (t % 3 == 0) CHECK(memcmp(logits, alone, k * sizeof *alone) == 0);
            }
        }
    }
    for (size_t c = 0; c < k; c++) CHECK(isfinite(alone[c]));
    encoder_destroy(encoder);
    free(values);
    model_close(model);
}

static void test_nan(void) {
    for (int p = CPU_FP32; p <= CPU_INT8; p++) {
        const enum cpu_precision precision = (enum cpu_precision)p;
        for (int i = 0; i < 8 && encoder_cpu_check(precision, NULL) == STATUS_OK; i++) {
            check_nan(precision, i);
        }
    }
}

static void test_values(void) {
    double worst = 0;
    for (int i = 0; i < N_MODELS; i++) {
        const struct tiny_model_spec spec = random_spec();
        struct model *model = open_variant(&spec, i);
        plain = i % 3 == 0;
        const double apart = compare(model);
        plain = false;
        CHECK_NEAR(apart, 0, TOLERANCE);
        if (!(apart <= TOLERANCE)) {
            fprintf(stderr, "  H %d, %d heads, F %d, %d layers, K %d, P %d, eps %g, dtype %d\n",
                    spec.config.hidden_size, spec.config.n_heads, spec.config.intermediate_size,
                    spec.config.n_layers, spec.config.n_labels, spec.config.max_positions,
                    (double)spec.config.layer_norm_eps, (int)spec.dtype);
        }
        worst = fmax(worst, apart);
        model_close(model);
    }
    printf("%d models: logits within %.1e of their scale\n", N_MODELS, worst);
}

// ---- limits

static void test_empty(const struct model *model) {
    struct encoder *encoder = open_encoder(model, 64);
    struct error error = {"untouched"};
    encoder_destroy(encoder);  // nothing was submitted
    encoder = open_encoder(model, 64);
    CHECK_INT(encoder->batch_tokens, 64);
    CHECK_INT(encoder->titles_cap, 32);
    CHECK(encoder->n_slots >= 1);
    for (int32_t i = 0; i < encoder->n_slots; i++) {
        struct encoder_slot *slot = encoder_slot(encoder, i);
        slot->n_titles = 0;
        slot->logits[0] = 12345;
        encoder_submit(encoder, i);
    }
    for (int32_t i = 0; i < encoder->n_slots; i++) {
        CHECK_INT(encoder_wait(encoder, i, &error), STATUS_OK);
        CHECK(encoder_slot(encoder, i)->logits[0] == 12345);
    }
    CHECK_STR(error.text, "untouched");
    encoder_destroy(encoder);
    encoder_destroy(NULL);
}

static void test_default_batch(void) {
    const struct bert_config large = {.vocab_size = 119547,
                                      .max_positions = 512,
                                      .hidden_size = 768,
                                      .intermediate_size = 3072,
                                      .n_layers = 12,
                                      .n_heads = 12,
                                      .n_labels = 8};
    for (int32_t n_threads = 1; n_threads <= 256; n_threads *= 4) {
        const int32_t tokens = encoder_cpu_batch_tokens(&large, n_threads, 64);
        CHECK(tokens >= 128 && tokens <= 4096);
        CHECK_INT(encoder_cpu_batch_tokens(&large, n_threads, 5000), 5000);
    }
    CHECK(encoder_cpu_batch_tokens(&large, 1, 64) > encoder_cpu_batch_tokens(&large, 64, 64));
}

static enum status create(const struct model *model, int32_t batch_tokens, struct error *error) {
    struct encoder *encoder = NULL;
    const struct encoder_limits limits = {.batch_tokens = batch_tokens, .n_threads = 2};
    enum status status = encoder_create_cpu(model, &limits, &encoder, error);
    if (status != STATUS_OK) CHECK(encoder == NULL);
    encoder_destroy(encoder);
    return status;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CAN_LIMIT_MEMORY = 0 };  // sanitizers map more than any limit
#else
enum { CAN_LIMIT_MEMORY = 1 };
#endif

// Creates an encoder in a process that gets no more than 1 GiB, so that a batch which would fill
// the machine is refused by the allocator and not by its size. Returns the status.
static int create_in_little_memory(const struct model *model, int32_t batch_tokens) {
    const pid_t child = fork();
    if (child == 0) {
        const struct rlimit limit = {(rlim_t)1 << 30, (rlim_t)1 << 30};
        struct error error = {""};
        setrlimit(RLIMIT_AS, &limit);
        enum status status = create(model, batch_tokens, &error);
        if (status != STATUS_OK && strstr(error.text, "memory") == NULL) status = STATUS_MODEL;
        _exit((int)status);
    }
    int result = -1;
    CHECK(child > 0 && waitpid(child, &result, 0) == child && WIFEXITED(result));
    return WEXITSTATUS(result);
}

// The figure that the refusal names passes the check, though memory comes and goes; twice that does
// not.
static void test_too_large(const struct model *model) {
    struct error error = {""};
    CHECK_INT(create(model, INT32_MAX / 2, &error), STATUS_USAGE);
    CHECK_CONTAINS(error.text, "--batch-tokens 1073741823");
    CHECK_CONTAINS(error.text, "with 2 threads is ");
    const char *figure = strstr(error.text, "threads is ");
    const long fits = figure != NULL ? strtol(figure + strlen("threads is "), NULL, 10) : 0;
    CHECK(fits > 4096 && fits < INT32_MAX / 2);
    if (fits <= 4096) return;
    CHECK_INT(create(model, INT32_MAX, &error), STATUS_USAGE);
    struct encoder *encoder;
    const struct encoder_limits limits = {.batch_tokens = INT32_MAX, .n_threads = INT32_MAX};
    CHECK_INT(encoder_create_cpu(model, &limits, &encoder, &error), STATUS_USAGE);
    CHECK_CONTAINS(error.text, "2147483647 threads");
    CHECK_INT(create(model, (int32_t)fits * 2, &error), STATUS_USAGE);
    if (!CAN_LIMIT_MEMORY) return;
    CHECK_INT(create_in_little_memory(model, (int32_t)fits * 2), STATUS_USAGE);
    CHECK_INT(create_in_little_memory(model, (int32_t)fits), STATUS_IO);
    CHECK_INT(create_in_little_memory(model, 1000), STATUS_OK);
}

int main(int argc, char **argv) {
    random_state.state = argc > 1 ? strtoull(argv[1], NULL, 0) : (unsigned long long)time(NULL);
    printf("seed %llu\n", random_state.state);
    fflush(stdout);
    struct tiny_model_spec spec = tiny_model_default();
    struct model *model = tiny_model_open(&spec);
    test_too_large(model);  // first: a process with threads should not fork
    test_empty(model);
    model_close(model);
    test_default_batch();
    test_values();
    test_nan();
    return check_result();
}
