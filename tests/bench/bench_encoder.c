// SPDX-License-Identifier: Apache-2.0
//
// How fast the CPU encoder is in each precision that this processor has, and how near to the matrix
// library's own rate on the same shapes:
//   bench_encoder [--layers 12] [--hidden 768] [--heads 12] [--feed 3072] [--length 20]
//                 [--titles 768] [--rounds 5] [--threads 1] [--batch-tokens N]
// The default shape is bert-base-multilingual-cased with a small vocabulary; the weights are
// random. What it prints first, machine and command, is what the figures are good for.
#include <time.h>
#include <unistd.h>

#include "host/encoder/cpu_model.h"
#include "host/encoder/encoder.h"
#include "tests/check.h"
#include "tests/support/must.h"
#include "tests/support/temp_dir.h"

enum { VOCAB_SIZE = 1000, N_LABELS = 8 };

static void fill(float *out, size_t n, double size) {
    struct check_random random = {1};
    for (size_t i = 0; i < n; i++) {
        out[i] = (float)(size * ((double)(check_next(&random) >> 11) * 0x1p-52 - 1.0));
    }
}

struct options {
    int32_t layers, hidden, heads, feed, length, titles, rounds, threads, batch_tokens;
};

struct tier {
    const char *name;
    enum cpu_precision precision;
    enum gemm_type type;
};
static const struct tier tiers[] = {
    {"fp32", CPU_FP32, GEMM_FP32}, {"bf16", CPU_BF16, GEMM_BF16}, {"int8", CPU_INT8, GEMM_INT8}};

static struct options read_options(int argc, char **argv) {
    struct options options = {12, 768, 12, 3072, 20, 768, 5, 1, 0};
    const struct {
        const char *name;
        int32_t *value;
    } known[] = {{"--layers", &options.layers},
                 {"--hidden", &options.hidden},
                 {"--heads", &options.heads},
                 {"--feed", &options.feed},
                 {"--length", &options.length},
                 {"--titles", &options.titles},
                 {"--rounds", &options.rounds},
                 {"--threads", &options.threads},
                 {"--batch-tokens", &options.batch_tokens}};
    for (int i = 1; i < argc; i += 2) {
        size_t k = 0;
        while (k < ARRAY_LEN(known) && strcmp(argv[i], known[k].name) != 0) k++;
        const long value = i + 1 < argc ? strtol(argv[i + 1], NULL, 10) : 0;
        if (k == ARRAY_LEN(known) || value < 1 || value > 10000000) {
            fprintf(stderr, "%s: not an option with a number from 1\n", argv[i]);
            exit(STATUS_USAGE);
        }
        *known[k].value = (int32_t)value;
    }
    if (options.hidden % options.heads != 0 || options.length < 2 || options.length > 512) {
        fprintf(stderr, "--hidden is a multiple of --heads, --length is 2 to 512\n");
        exit(STATUS_USAGE);
    }
    return options;
}

static void print_machine(int argc, char **argv) {
    char line[256], name[256] = "a processor without a name";
    double load = 0;
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "model name", 10) != 0 || strchr(line, ':') == NULL) continue;
        snprintf(name, sizeof name, "%s", strchr(line, ':') + 2);
        name[strcspn(name, "\n")] = '\0';
        break;
    }
    if (file != NULL) fclose(file);
    file = fopen("/proc/loadavg", "r");
    if (file != NULL && fgets(line, sizeof line, file) != NULL) load = strtod(line, NULL);
    if (file != NULL) fclose(file);
    printf("machine  %s, %ld processors, %s, load %.1f before\ncommand ", name,
           sysconf(_SC_NPROCESSORS_ONLN), kernels_choose()->name, load);
    for (int i = 0; i < argc; i++) printf(" %s", argv[i]);
    printf("\n");
}

// ---- a model whose tensors all lie in one small file of random numbers

struct pool {
    struct file_map map;
    struct bert_layer *layers;
    struct model model;
};

static struct tensor some(const struct pool *pool, int32_t rows, int32_t columns) {
    const size_t n = (size_t)rows * (size_t)columns;
    CHECK(n * sizeof(float) <= pool->map.nbytes);
    return (struct tensor){.data = pool->map.bytes, .n_elements = n, .dtype = DTYPE_F32};
}

static struct dense some_dense(const struct pool *pool, int32_t n_out, int32_t n_in) {
    return (struct dense){some(pool, n_out, n_in), some(pool, n_out, 1)};
}

static struct pool make_model(const struct options *options) {
    const int32_t h = options->hidden, f = options->feed;
    char dir[TEMP_PATH_MAX], path[TEMP_PATH_MAX + 16];
    struct error error;
    struct pool pool = {.layers = must_zeroed((size_t)options->layers, sizeof *pool.layers)};
    const size_t rows = (size_t)(f > VOCAB_SIZE ? f : VOCAB_SIZE), n = rows * (size_t)h;
    float *values = must_zeroed(n, sizeof *values);
    fill(values, n, 1.5 / sqrt(h));
    temp_dir_make(dir);
    temp_dir_write(dir, "pool", values, n * sizeof *values);
    free(values);
    must(path_join(path, sizeof path, dir, "pool", &error), &error);
    must(file_map_open(path, &pool.map, &error), &error);
    temp_dir_remove(dir);  // it stays mapped

    const struct layer_norm norm = {some(&pool, h, 1), some(&pool, h, 1)};
    const struct dense square = some_dense(&pool, h, h);
    for (int32_t l = 0; l < options->layers; l++) {
        pool.layers[l] = (struct bert_layer){
            square, square, square, square, norm, some_dense(&pool, f, h), some_dense(&pool, h, f),
            norm};
    }
    pool.model.config = (struct bert_config){.vocab_size = VOCAB_SIZE,
                                             .max_positions = 512,
                                             .type_vocab_size = 2,
                                             .hidden_size = h,
                                             .intermediate_size = f,
                                             .n_layers = options->layers,
                                             .n_heads = options->heads,
                                             .n_labels = N_LABELS,
                                             .layer_norm_eps = 1e-12F};
    pool.model.weights = (struct bert_weights){.word_embeddings = some(&pool, VOCAB_SIZE, h),
                                               .position_embeddings = some(&pool, 512, h),
                                               .token_type_embeddings = some(&pool, 2, h),
                                               .embedding_norm = norm,
                                               .layers = pool.layers,
                                               .pooler = square,
                                               .classifier = some_dense(&pool, N_LABELS, h)};
    return pool;
}

// ---- the encoder

static void submit(struct encoder *encoder, int32_t i, int32_t n_titles, int32_t length) {
    struct encoder_slot *slot = encoder_slot(encoder, i);
    struct check_random random = {(unsigned long long)i};
    slot->n_titles = n_titles;
    for (int32_t t = 0; t < n_titles; t++) slot->cu_seqlens[t + 1] = (t + 1) * length;
    for (int32_t t = 0; t < n_titles * length; t++) {
        slot->token_ids[t] = (int32_t)check_below(&random, VOCAB_SIZE);
    }
    encoder_submit(encoder, i);
}

static double processor_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// Seconds for `n_titles`, with every slot busy.
static double run(struct encoder *encoder, int32_t n_titles, int32_t length) {
    struct error error;
    const int32_t n_most = encoder->batch_tokens / length;
    const double begin = now_seconds();
    int32_t n_submitted = 0, turn = 0;
    for (; n_submitted < n_titles; turn++) {
        const int32_t i = turn % encoder->n_slots, n_left = n_titles - n_submitted;
        if (turn >= encoder->n_slots) must(encoder_wait(encoder, i, &error), &error);
        submit(encoder, i, n_left < n_most ? n_left : n_most, length);
        n_submitted += n_left < n_most ? n_left : n_most;
    }
    for (int32_t i = 0; i < encoder->n_slots && i < turn; i++) {
        must(encoder_wait(encoder, i, &error), &error);
    }
    return now_seconds() - begin;
}

// ---- the library alone

// A product of one tile.
struct product {
    struct gemm *gemm;
    struct gemm_weights *packed;
    void *x, *y, *scratch;  // [rows, n_in], [rows, n_out]
};

static void *aligned(size_t nbytes) {
    void *memory = aligned_alloc(64, nbytes / 64 * 64 + 64);
    if (memory == NULL) {
        perror("bench_encoder");
        exit(1);
    }
    return memory;
}

// Bytes of half an element's worth serve all types: 1.0 and 0.01 or so, no subnormals.
static struct product product_make(struct gemm_engine *engine, const struct gemm_shape *shape) {
    const size_t in = (size_t)shape->n_in, out = (size_t)shape->n_out;
    const size_t rows = (size_t)shape->n_rows;
    const size_t size = shape->type == GEMM_INT8 ? 1 : shape->type == GEMM_BF16 ? 2 : 4;
    struct product made;
    struct error error;
    must(gemm_create(engine, shape, &made.gemm, &error), &error);
    float *bias = aligned(out * sizeof *bias);
    void *weight = aligned(in * out * size);
    made.x = aligned(rows * in * size);
    made.y = aligned(rows * out * 4);
    made.scratch = aligned(gemm_scratch_nbytes(made.gemm));
    fill(bias, out, 1);
    memset(weight, 0x3c, in * out * size);
    memset(made.x, 0x3f, rows * in * size);
    must(gemm_pack(made.gemm, weight, shape->type == GEMM_INT8 ? NULL : bias, &made.packed, &error),
         &error);
    free(weight);
    free(bias);
    return made;
}

static void product_free(struct product *product) {
    gemm_weights_destroy(product->packed);
    gemm_destroy(product->gemm);
    free(product->scratch);
    free(product->y);
    free(product->x);
}

// Seconds of one product, the best of several rounds. Two sets of weights take turns with the
// layer's other ones in the encoder, so here several do: none is in the nearest cache.
static double product_seconds(struct gemm_engine *engine, struct gemm_stream *stream,
                              const struct gemm_shape *shape) {
    enum { N_COPIES = 4 };
    struct product copies[N_COPIES];
    struct error error;
    for (int c = 0; c < N_COPIES; c++) copies[c] = product_make(engine, shape);
    double best = INFINITY;
    for (int round = 0; round < 30; round++) {
        const double begin = processor_seconds();
        for (int c = 0; c < N_COPIES; c++) {
            must(gemm_run(copies[c].gemm, copies[c].packed, stream, copies[0].x, copies[0].y,
                          copies[0].scratch, &error),
                 &error);
        }
        best = fmin(best, (processor_seconds() - begin) / N_COPIES);
    }
    for (int c = 0; c < N_COPIES; c++) product_free(&copies[c]);
    return best;
}

struct work {
    double flops, seconds;  // of the products for one title
};

// The last layer's products other than keys and values have one row for each title.
static struct work products_of(const struct options *options, const struct tier *tier) {
    const int32_t h = options->hidden, f = options->feed;
    const double inner = (options->layers - 1) * (double)options->length, last = options->length;
    const struct {
        int32_t n_in, n_out;
        enum gemm_type type;
        double rows;
    } products[] = {
        {h, 3 * h, tier->type, inner}, {h, 2 * h, tier->type, last},  {h, h, tier->type, inner + 2},
        {h, f, tier->type, inner + 1}, {f, h, tier->type, inner + 1}, {h, h, GEMM_FP32, 1},
        {h, N_LABELS, GEMM_FP32, 1},
    };
    struct gemm_engine *engine;
    struct gemm_stream *stream;
    struct error error;
    struct work work = {0, 0};
    must(gemm_engine_create(&engine, &error), &error);
    must(gemm_stream_create(engine, &stream, &error), &error);
    printf("%s library ", tier->name);
    for (size_t i = 0; i < ARRAY_LEN(products); i++) {
        const struct gemm_shape shape = {.type = products[i].type,
                                         .n_rows = tile_rows_of(tier->precision),
                                         .n_in = products[i].n_in,
                                         .n_out = products[i].n_out};
        const double flops = 2.0 * shape.n_in * shape.n_out;
        const double seconds = product_seconds(engine, stream, &shape) / shape.n_rows;
        printf(" %d to %d: %.1f;", shape.n_in, shape.n_out, flops / seconds * 1e-9);
        work.flops += products[i].rows * flops;
        work.seconds += products[i].rows * seconds;
    }
    printf(" Gop/s\n");
    gemm_stream_destroy(stream);
    gemm_engine_destroy(engine);
    return work;
}

static void bench(const struct options *options, const struct pool *pool, const struct tier *tier) {
    struct encoder *encoder;
    struct error error;
    if (encoder_cpu_check(tier->precision, &error) != STATUS_OK) {
        printf("%s SKIP: %s\n", tier->name, error.text);
        return;
    }
    const int32_t batch_tokens =
        options->batch_tokens > 0
            ? options->batch_tokens
            : encoder_cpu_batch_tokens(&pool->model.config, options->threads, options->length);
    const struct encoder_limits limits = {
        .batch_tokens = batch_tokens, .n_threads = options->threads, .precision = tier->precision};
    double begin = now_seconds(), seconds = INFINITY, busy = INFINITY;
    must(encoder_create_cpu(&pool->model, &limits, &encoder, &error), &error);
    printf("%s ready in %.2f s\n", tier->name, now_seconds() - begin);
    run(encoder, batch_tokens / options->length, options->length);  // pages in, clocks up
    for (int32_t r = 0; r < options->rounds; r++) {
        begin = processor_seconds();
        seconds = fmin(seconds, run(encoder, options->titles, options->length));
        busy = fmin(busy, processor_seconds() - begin);
    }
    encoder_destroy(encoder);
    const struct work work = products_of(options, tier);
    printf(
        "%s encoder %d titles of %d tokens, batches of %d tokens, %d threads, best of %d: %.2f s "
        "(%.2f processor seconds)\n",
        tier->name, options->titles, options->length, batch_tokens, options->threads,
        options->rounds, seconds, busy);
    printf(
        "%s encoder %.1f titles/s, %.1f Gop/s of products; by processor seconds %.1f titles/s, "
        "%.1f Gop/s: %.1f%% of the library's %.1f\n",
        tier->name, options->titles / seconds, options->titles / seconds * work.flops * 1e-9,
        options->titles / busy, options->titles / busy * work.flops * 1e-9,
        100 * options->titles * work.seconds / busy, work.flops / work.seconds * 1e-9);
    fflush(stdout);
}

int main(int argc, char **argv) {
    const struct options options = read_options(argc, argv);
    print_machine(argc, argv);
    struct pool pool = make_model(&options);
    for (size_t t = 0; t < ARRAY_LEN(tiers); t++) bench(&options, &pool, &tiers[t]);
    file_map_close(&pool.map);
    free(pool.layers);
    return check_failures == 0 ? 0 : 1;
}
