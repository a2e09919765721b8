// SPDX-License-Identifier: Apache-2.0
//
// What int8 takes from the biases, product by product, against a float64 reference; that broken
// weights spoil no more than they did; that the memory it takes is counted: test_cpu_probe [SEED].
// The products are plain ones, so this runs everywhere. Models are fresh in every run; the seed
// that is printed replays them.
#include <malloc.h>
#include <time.h>

#include "host/encoder/cpu_probe.h"
#include "tests/check.h"
#include "tests/reference/tier_ref.h"
#include "tests/support/must.h"
#include "tests/support/tiny_model.h"

enum { N_MODELS = 10 };

static struct check_random random_state;

static int32_t between(int32_t least, int32_t most) {
    return least + (int32_t)check_below(&random_state, (unsigned)(most - least + 1));
}

static struct tiny_model_spec random_spec(int i) {
    static const int32_t head_sizes[] = {3, 8, 16, 32};
    struct tiny_model_spec spec = tiny_model_default();
    const int32_t head_size = head_sizes[check_below(&random_state, ARRAY_LEN(head_sizes))];
    spec.config.n_heads = between((31 + head_size) / head_size, 96 / head_size);
    spec.config.hidden_size = spec.config.n_heads * head_size;
    spec.config.intermediate_size = between(40, 400);
    spec.config.n_layers = 1 + i % 3;
    spec.config.max_positions = i == 0 ? 1 : i == 1 ? 2 : between(3, 40);
    spec.dtype = (enum dtype)check_below(&random_state, 3);
    spec.seed = check_next(&random_state);
    return spec;
}

static struct cpu_model *int8_of(const struct model *model) {
    struct cpu_model *packed;
    struct error error;
    must(cpu_model_create(model, CPU_INT8, false, &packed, &error), &error);
    return packed;
}

// ---- each bias

// The corrected biases of a layer's part, where the packed model has them.
static const float *biases_of(const struct cpu_model *model, int32_t l, enum tier_part part) {
    const struct layer_weights *layer = &model->layers[l];
    const size_t h = (size_t)model->config.hidden_size;
    const bool last = l == model->config.n_layers - 1;
    switch (part) {
        case TIER_QUERY:
            return last ? layer->query.channels.biases : layer->qkv.channels.biases;
        case TIER_KEY:
            return last ? layer->kv.channels.biases : layer->qkv.channels.biases + h;
        case TIER_VALUE:
            return last ? layer->kv.channels.biases + h : layer->qkv.channels.biases + 2 * h;
        case TIER_CONTEXT:
            return layer->attention_output.channels.biases;
        case TIER_FEED:
            return layer->intermediate[0].channels.biases;
        default:
            return layer->output.channels.biases;
    }
}

static const struct dense *dense_of(const struct model *model, int32_t l, enum tier_part part) {
    const struct bert_layer *layer = &model->weights.layers[l];
    const struct dense *parts[] = {&layer->query,        &layer->key,
                                   &layer->value,        &layer->attention_output,
                                   &layer->intermediate, &layer->output};
    return parts[part];
}

struct distance {
    double apart, size;
};

static struct distance distance_of(const struct dense *dense, const float *got, const double *want,
                                   size_t n) {
    struct distance sum = {0};
    float *own = must_zeroed(n, sizeof *own);
    tensor_read(dense->bias, 0, n, own);
    for (size_t o = 0; o < n; o++) {
        sum.apart += isnan(got[o]) ? INFINITY : fabs((double)got[o] - want[o]);
        sum.size += fabs(want[o] - (double)own[o]);
    }
    free(own);
    return sum;
}

// In the first layer only fp32 and rare steps at half way are between the two; each later layer has
// the steps that those before it made, in a few of the rows that a mean is made of.
static void test_biases(void) {
    double worst[2] = {0};
    for (int i = 0; i < N_MODELS; i++) {
        const struct tiny_model_spec spec = random_spec(i);
        struct model *model = tiny_model_open(&spec);
        struct cpu_model *packed = int8_of(model);
        struct tier_biases want = tier_ref_biases(model);
        const size_t h = (size_t)spec.config.hidden_size;
        for (int32_t l = 0; l < spec.config.n_layers; l++) {
            for (int p = 0; p < TIER_PARTS; p++) {
                const size_t n = p == TIER_FEED ? (size_t)spec.config.intermediate_size : h;
                const struct distance sum = distance_of(dense_of(model, l, (enum tier_part)p),
                                                        biases_of(packed, l, (enum tier_part)p),
                                                        want.parts[l * TIER_PARTS + p], n);
                const double share = sum.apart / sum.size;
                CHECK(sum.size / (double)n > 1e-6);
                CHECK_NEAR(share, 0, l == 0 ? 0.005 : 0.03);
                worst[l > 0] = fmax(worst[l > 0], share);
            }
        }
        tier_ref_biases_free(&want);
        cpu_model_destroy(packed);
        model_close(model);
    }
    printf(
        "what is taken from biases is off by at most %.1e of it in the first layer, %.1e later\n",
        worst[0], worst[1]);
}

// ---- weights that are no numbers

static int n_not_finite(const float *values, size_t n) {
    int count = 0;
    for (size_t i = 0; i < n; i++) count += !isfinite(values[i]);
    return count;
}

static void put_nan(struct tensor tensor, size_t at) {
    const float nan = NAN;
    CHECK(tensor.dtype == DTYPE_F32);
    memcpy((char *)(uintptr_t)tensor.data + at * sizeof nan, &nan, sizeof nan);
}

// A word's embedding that is NaN, of a word that the made-up titles have, and a NaN among weights:
// every bias stays a number, and what took only NaN for its input keeps the model's own.
static void test_not_finite(void) {
    struct tiny_model_spec spec = tiny_model_default();
    spec.config.vocab_size = 170;  // some of it is drawn for certain, none of it by all titles
    const size_t h = (size_t)spec.config.hidden_size;
    struct model *model = tiny_model_open(&spec);
    struct tensor words = model->weights.word_embeddings;
    float *copy = must_zeroed(words.n_elements, sizeof *copy);
    tensor_read(words, 0, words.n_elements, copy);
    model->weights.word_embeddings.data = copy;
    for (size_t id = 0; id < 20; id++) put_nan(model->weights.word_embeddings, id * h);
    struct cpu_model *packed = int8_of(model);
    float *own = must_zeroed(h, sizeof *own);
    tensor_read(model->weights.layers[0].query.bias, 0, h, own);
    int n_same = 0;
    for (int32_t l = 0; l < spec.config.n_layers; l++) {
        for (int p = 0; p < TIER_PARTS; p++) {
            CHECK_INT(n_not_finite(biases_of(packed, l, (enum tier_part)p), h), 0);
        }
    }
    for (size_t o = 0; o < h; o++) n_same += biases_of(packed, 0, TIER_QUERY)[o] == own[o];
    CHECK(n_same < (int)h);
    cpu_model_destroy(packed);

    for (size_t id = 0; id < 170; id++) put_nan(model->weights.word_embeddings, id * h);
    packed = int8_of(model);
    CHECK(memcmp(biases_of(packed, 0, TIER_QUERY), own, h * sizeof *own) == 0);
    cpu_model_destroy(packed);
    free(own);
    free(copy);
    model_close(model);
}

// ---- memory

static size_t now_nbytes, most_nbytes;

void *__real_malloc(size_t nbytes);
void *__real_calloc(size_t n, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t nbytes);
void *__wrap_calloc(size_t n, size_t size);
void __wrap_free(void *memory);

static void *counted(void *memory) {
    now_nbytes += memory != NULL ? malloc_usable_size(memory) : 0;
    most_nbytes = now_nbytes > most_nbytes ? now_nbytes : most_nbytes;
    return memory;
}

void *__wrap_malloc(size_t nbytes) {
    return counted(__real_malloc(nbytes));
}

void *__wrap_calloc(size_t n, size_t size) {
    return counted(__real_calloc(n, size));
}

void __wrap_free(void *memory) {
    now_nbytes -= memory != NULL ? malloc_usable_size(memory) : 0;
    __real_free(memory);
}

// With a batch of one token, packing is what takes the most. Not counted are positions, norms, the
// head and, of the plain products, their scratch: here they are a quarter of what the made-up
// titles take.
static void test_memory(void) {
    struct tiny_model_spec spec = tiny_model_default();
    spec.config.hidden_size = 128;
    spec.config.intermediate_size = 512;
    struct model *model = tiny_model_open(&spec);
    const struct encoder_limits limits = {
        .batch_tokens = 1, .n_threads = 1, .n_slots = 1, .precision = CPU_INT8};
    struct encoder_cpu_memory memory;
    struct encoder *encoder;
    struct error error;
    must(encoder_cpu_measure(&model->config, &limits, &memory, &error), &error);
    const size_t before = most_nbytes = now_nbytes;
    must(encoder_create_cpu(model, &limits, &encoder, &error), &error);
    const double took = (double)(most_nbytes - before);
    const double said = (double)(memory.weights_nbytes + memory.working_nbytes);
    printf("memory: %.0f bytes at most, %.0f expected\n", took, said);
    CHECK(took < said + 256 * 1024 && took > said / 2);
    CHECK(cpu_probe_nbytes(&model->config) > 4 * 200 * 1024);
    encoder_destroy(encoder);
    model_close(model);
}

int main(int argc, char **argv) {
    random_state.state = argc > 1 ? strtoull(argv[1], NULL, 0) : (unsigned long long)time(NULL);
    printf("seed %llu\n", random_state.state);
    fflush(stdout);
    test_biases();
    test_not_finite();
    test_memory();
    return check_result();
}
