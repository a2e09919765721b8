// SPDX-License-Identifier: Apache-2.0
//
// All kernels and the folded weights put together as an encoder puts them, on small random models,
// with plain products in between: its logits are held to the float64 reference. What one kernel
// leaves for the next (layouts, scale, biases, dummy rows) shows here.
#include "cuda/kernels.h"
#include "tests/check.h"
#include "tests/reference/bert_ref.h"
#include "tests/simt/device.h"
#include "tests/simt/rig.h"
#include "tests/simt/titles.h"
#include "tests/support/must.h"
#include "tests/support/tiny_model.h"
#include "weights/fold.h"

// Of the logits' scale. The worst of 120 models a format were 9e-7, 3e-3 and 2.5e-2: what 2 or 3
// layers of rounded weights and activations leave.
static const double tolerance[] = {[DTYPE_F32] = 5e-6, [DTYPE_F16] = 1e-2, [DTYPE_BF16] = 8e-2};

// A batch on its way through the layers. R rows, N titles.
struct pass {
    const struct model *model;
    enum dtype dtype;
    int32_t n_rows, n_titles;
    int32_t *cu_seqlens, *starts;  // on the device, as is `items`
    int32_t host_starts[ATTENTION_BUCKETS + 1];
    struct attention_item *items;
    struct rig_array hidden;  // [R, H], in the last layer [N, H]
};

static struct rig_array upload(struct tensor tensor) {
    struct rig_array array = rig_input(DTYPE_F32, tensor.n_elements);
    tensor_read(tensor, 0, array.n, array.values);
    rig_send(&array);
    return array;
}

static struct rig_array upload_floats(enum dtype dtype, const float *values, size_t n) {
    struct rig_array array = rig_input(dtype, n);
    memcpy(array.values, values, n * sizeof *values);
    rig_send(&array);
    return array;
}

// y[n_rows, n_out] = x W^T + bias (NULL: none), W rounded to the pass's dtype, sums in double.
static struct rig_array product(const struct pass *pass, struct rig_array *x, int32_t n_rows,
                                const float *weight, size_t n_out, size_t n_in, const float *bias,
                                enum dtype out_dtype) {
    struct rig_array w = upload_floats(pass->dtype, weight, n_out * n_in);
    struct rig_array y = rig_input(out_dtype, (size_t)n_rows * n_out);
    CHECK(rig_fetch(x));
    for (size_t r = 0; r < (size_t)n_rows; r++) {
        for (size_t o = 0; o < n_out; o++) {
            double sum = bias == NULL ? 0 : (double)bias[o];
            for (size_t i = 0; i < n_in; i++) {
                sum += (double)x->values[r * n_in + i] * (double)w.values[o * n_in + i];
            }
            y.values[r * n_out + o] = (float)sum;
        }
    }
    rig_send(&y);
    rig_free(&w);
    return y;
}

static float *read_tensor(struct tensor tensor) {
    float *values = must_zeroed(tensor.n_elements, sizeof *values);
    tensor_read(tensor, 0, tensor.n_elements, values);
    return values;
}

static struct rig_array product_of(const struct pass *pass, struct rig_array *x, int32_t n_rows,
                                   struct tensor weight, size_t n_out, size_t n_in,
                                   enum dtype out_dtype) {
    float *w = read_tensor(weight);
    struct rig_array y = product(pass, x, n_rows, w, n_out, n_in, NULL, out_dtype);
    free(w);
    return y;
}

// A device array of zeros: rows that no kernel writes must hold numbers.
static struct rig_array zeros(enum dtype dtype, size_t n) {
    struct rig_array array = rig_output(dtype, n);
    memset(array.values, 0, n * sizeof *array.values);
    rig_send(&array);
    return array;
}

static void embed(struct pass *pass, const int32_t *token_ids, const int32_t *positions) {
    const struct bert_config *config = &pass->model->config;
    const struct bert_weights *weights = &pass->model->weights;
    const size_t h = (size_t)config->hidden_size;
    struct error error;
    float *folded, *words = read_tensor(weights->word_embeddings);
    must(fold_positions(config, weights, &folded, &error), &error);
    struct rig_array word = upload_floats(pass->dtype, words, (size_t)config->vocab_size * h);
    struct rig_array position = upload_floats(DTYPE_F32, folded, (size_t)config->max_positions * h);
    struct rig_array weight = upload(weights->embedding_norm.weight);
    struct rig_array bias = upload(weights->embedding_norm.bias);
    int32_t *ids = rig_int32(token_ids, (size_t)pass->n_rows);
    int32_t *places = rig_int32(positions, (size_t)pass->n_rows);
    pass->hidden = rig_output(pass->dtype, (size_t)pass->n_rows * h);
    const struct kernel_embed args = {
        pass->dtype,   pass->n_rows, config->hidden_size, config->layer_norm_eps,
        ids,           places,       word.device,         position.device,
        weight.device, bias.device,  pass->hidden.device};
    CHECK_INT(kernel_embed(&args, NULL), CUDA_SUCCESS);
    device_free(ids);
    device_free(places);
    rig_free(&word);
    rig_free(&position);
    rig_free(&weight);
    rig_free(&bias);
    free(folded);
    free(words);
}

// hidden = LayerNorm(x + bias + hidden), in place. Frees x.
static void add_norm(struct pass *pass, struct rig_array *x, struct rig_array *x_bias,
                     const struct layer_norm *norm, int32_t n_rows) {
    struct rig_array weight = upload(norm->weight), bias = upload(norm->bias);
    const struct bert_config *config = &pass->model->config;
    const struct kernel_layer_norm args = {pass->dtype,         n_rows,
                                           config->hidden_size, config->layer_norm_eps,
                                           x->device,           x_bias->device,
                                           pass->hidden.device, weight.device,
                                           bias.device,         pass->hidden.device};
    CHECK_INT(kernel_layer_norm(&args, NULL), CUDA_SUCCESS);
    rig_free(&weight);
    rig_free(&bias);
    rig_free(x_bias);
    rig_free(x);
}

// What follows attention, for the rows of `context`, which it frees.
static void finish_layer(struct pass *pass, const struct bert_layer *layer,
                         const struct folded_layer *folded, struct rig_array *context,
                         int32_t n_rows) {
    const size_t h = (size_t)pass->model->config.hidden_size;
    const size_t f = (size_t)pass->model->config.intermediate_size;
    struct rig_array out =
        product_of(pass, context, n_rows, layer->attention_output.weight, h, h, pass->dtype);
    rig_free(context);
    struct rig_array bias = upload_floats(DTYPE_F32, folded->attention_output_bias, h);
    add_norm(pass, &out, &bias, &layer->attention_norm, n_rows);

    struct rig_array feed =
        product_of(pass, &pass->hidden, n_rows, layer->intermediate.weight, f, h, pass->dtype);
    struct rig_array feed_bias = upload(layer->intermediate.bias);
    const struct kernel_gelu gelu = {pass->dtype, GELU_ERF,         n_rows,
                                     (int32_t)f,  feed_bias.device, feed.device};
    CHECK_INT(kernel_gelu(&gelu, NULL), CUDA_SUCCESS);
    out = product_of(pass, &feed, n_rows, layer->output.weight, h, f, pass->dtype);
    bias = upload(layer->output.bias);
    add_norm(pass, &out, &bias, &layer->output_norm, n_rows);
    rig_free(&feed);
    rig_free(&feed_bias);
}

static void run_layer(struct pass *pass, const struct bert_layer *layer,
                      const struct folded_layer *folded) {
    const struct bert_config *config = &pass->model->config;
    const size_t h = (size_t)config->hidden_size;
    struct rig_array qkv = product(pass, &pass->hidden, pass->n_rows, folded->qkv_weight, 3 * h, h,
                                   folded->qkv_bias, pass->dtype);
    struct rig_array context = zeros(pass->dtype, (size_t)pass->n_rows * h);
    for (int32_t b = 0; b < ATTENTION_BUCKETS; b++) {
        const struct kernel_attention args = {
            .dtype = pass->dtype,
            .n_heads = config->n_heads,
            .head_size = config->hidden_size / config->n_heads,
            .scale = folded->scale,
            .bucket = b,
            .items_cap = pass->host_starts[b + 1] - pass->host_starts[b],
            .n_multiprocessors = 2,
            .qkv = qkv.device,
            .items = pass->items,
            .starts = pass->starts,
            .context = context.device,
        };
        CHECK_INT(kernel_attention(&args, NULL), CUDA_SUCCESS);
    }
    finish_layer(pass, layer, folded, &context, pass->n_rows);
    rig_free(&qkv);
}

// From here on a row a title: `hidden` becomes that of [CLS].
static void run_last_layer(struct pass *pass, const struct bert_layer *layer,
                           const struct folded_layer *folded) {
    const struct bert_config *config = &pass->model->config;
    const size_t h = (size_t)config->hidden_size;
    struct rig_array key_value =
        product(pass, &pass->hidden, pass->n_rows, folded->qkv_weight + h * h, 2 * h, h,
                folded->qkv_bias + h, pass->dtype);
    struct rig_array cls = rig_output(pass->dtype, (size_t)pass->n_titles * h);
    const struct kernel_gather_cls gather = {pass->dtype,         pass->n_titles,
                                             config->hidden_size, pass->cu_seqlens,
                                             pass->hidden.device, cls.device};
    CHECK_INT(kernel_gather_cls(&gather, NULL), CUDA_SUCCESS);
    rig_free(&pass->hidden);
    pass->hidden = cls;
    struct rig_array query = product(pass, &pass->hidden, pass->n_titles, folded->qkv_weight, h, h,
                                     folded->qkv_bias, pass->dtype);
    struct rig_array context = zeros(pass->dtype, (size_t)pass->n_titles * h);
    const struct kernel_attention_cls args = {.dtype = pass->dtype,
                                              .n_titles = pass->n_titles,
                                              .n_heads = config->n_heads,
                                              .head_size = config->hidden_size / config->n_heads,
                                              .scale = folded->scale,
                                              .cu_seqlens = pass->cu_seqlens,
                                              .query = query.device,
                                              .key_value = key_value.device,
                                              .context = context.device};
    CHECK_INT(kernel_attention_cls(&args, NULL), CUDA_SUCCESS);
    finish_layer(pass, layer, folded, &context, pass->n_titles);
    rig_free(&query);
    rig_free(&key_value);
}

static struct rig_array classify(struct pass *pass) {
    const struct bert_config *config = &pass->model->config;
    const struct bert_weights *weights = &pass->model->weights;
    const size_t h = (size_t)config->hidden_size, n = (size_t)pass->n_titles;
    struct rig_array x =
        product_of(pass, &pass->hidden, pass->n_titles, weights->pooler.weight, h, h, DTYPE_F32);
    struct rig_array x_bias = upload(weights->pooler.bias);
    struct rig_array weight = upload(weights->classifier.weight);
    struct rig_array bias = upload(weights->classifier.bias);
    struct rig_array logits = rig_output(DTYPE_F32, n * (size_t)config->n_labels);
    const struct kernel_head args = {pass->n_titles, config->hidden_size, config->n_labels,
                                     x.device,       x_bias.device,       weight.device,
                                     bias.device,    logits.device,       NULL};
    CHECK_INT(kernel_head(&args, NULL), CUDA_SUCCESS);
    CHECK(rig_fetch(&logits));
    rig_free(&x);
    rig_free(&x_bias);
    rig_free(&weight);
    rig_free(&bias);
    return logits;
}

// Logits [N, K] of the batch.
static struct rig_array forward(struct pass *pass, const int32_t *token_ids,
                                const struct title_batch *batch) {
    const struct bert_config *config = &pass->model->config;
    const size_t n = (size_t)batch->n_titles;
    const size_t n_items = attention_items_cap(batch->cu_seqlens[n], batch->n_titles);
    struct attention_item *items = must_zeroed(n_items + 1, sizeof *items);
    int32_t *positions = must_zeroed((size_t)batch->n_rows, sizeof *positions);
    attention_items_build(batch->cu_seqlens, batch->n_titles, items, pass->host_starts);
    attention_positions(batch->cu_seqlens, batch->n_titles, batch->n_rows, positions);
    pass->n_rows = batch->n_rows;
    pass->n_titles = batch->n_titles;
    pass->cu_seqlens = rig_int32(batch->cu_seqlens, n + 1);
    pass->starts = rig_int32(pass->host_starts, ATTENTION_BUCKETS + 1);
    pass->items = (struct attention_item *)(void *)rig_int32(
        (const int32_t *)items, (n_items + 1) * sizeof *items / sizeof(int32_t));
    embed(pass, token_ids, positions);
    for (int32_t l = 0; l < config->n_layers; l++) {
        const struct bert_layer *layer = &pass->model->weights.layers[l];
        struct folded_layer folded;
        struct error error;
        must(fold_layer(config, layer, &folded, &error), &error);
        if (l < config->n_layers - 1) {
            run_layer(pass, layer, &folded);
        } else {
            run_last_layer(pass, layer, &folded);
        }
        folded_layer_free(&folded);
    }
    struct rig_array logits = classify(pass);
    rig_free(&pass->hidden);
    device_free(pass->cu_seqlens);
    device_free(pass->starts);
    device_free(pass->items);
    free(items);
    free(positions);
    return logits;
}

static void compare(const struct model *model, const struct title_batch *batch,
                    const int32_t *token_ids, const struct rig_array *logits, enum dtype dtype) {
    const size_t k = (size_t)model->config.n_labels;
    double *want = must_zeroed(k, sizeof *want), apart = 0, scale = 0;
    struct bert_ref *ref;
    struct error error;
    must(bert_ref_open(model, &ref, &error), &error);
    for (int32_t i = 0; i < batch->n_titles; i++) {
        const int32_t first = batch->cu_seqlens[i], n = batch->cu_seqlens[i + 1] - first;
        if (n == 0) continue;
        must(bert_ref_logits(ref, token_ids + first, n, want, &error), &error);
        for (size_t c = 0; c < k; c++) {
            const double difference = fabs((double)logits->values[(size_t)i * k + c] - want[c]);
            apart = isnan(difference) ? INFINITY : fmax(apart, difference);
            scale = fmax(scale, fabs(want[c]));
        }
    }
    printf("H %d, %d heads, %d layers, %s: %.2g of the logits' scale\n", model->config.hidden_size,
           model->config.n_heads, model->config.n_layers,
           dtype == DTYPE_F32   ? "fp32"
           : dtype == DTYPE_F16 ? "fp16"
                                : "bf16",
           apart / scale);
    CHECK(apart <= tolerance[dtype] * scale);
    bert_ref_close(ref);
    free(want);
}

static void test_model(enum dtype dtype, int32_t head_size) {
    struct tiny_model_spec spec = tiny_model_default();
    spec.config.n_heads = 64 / head_size * (1 + rig_below(2));
    spec.config.hidden_size = spec.config.n_heads * head_size;
    spec.config.intermediate_size = 8 * (5 + rig_below(12));
    spec.config.n_layers = 2 + rig_below(2);
    spec.config.n_labels = 2 + rig_below(9);
    spec.config.max_positions = 160;
    spec.seed = rig_bits();
    struct model *model = tiny_model_open(&spec);

    // A title of every bucket but those of one kernel only, and one that is not there.
    const int32_t lengths[] = {1 + rig_below(16),  17 + rig_below(16), 0,
                               33 + rig_below(16), 2 + rig_below(20),  65 + rig_below(20)};
    struct title_batch batch = title_batch(lengths, 6, rig_below(9));
    int32_t *token_ids = must_zeroed((size_t)batch.n_rows, sizeof *token_ids);
    for (int32_t t = 0; t < batch.n_rows; t++) token_ids[t] = rig_below(spec.config.vocab_size);
    struct pass pass = {.model = model, .dtype = dtype};
    struct rig_array logits = forward(&pass, token_ids, &batch);
    compare(model, &batch, token_ids, &logits, dtype);
    rig_free(&logits);
    title_batch_free(&batch);
    free(token_ids);
    model_close(model);
}

int main(int argc, char **argv) {
    const int code = rig_open(argc, argv);
    if (code != RIG_GO) return code;
    for (int c = 0; c < rig_n_cases(); c++) {
        for (int dtype = DTYPE_F32; dtype <= DTYPE_BF16; dtype++) {
            test_model((enum dtype)dtype, 32);
            test_model((enum dtype)dtype, 64);
        }
    }
    rig_report();
    CHECK_INT(device_faults(), 0);
    return check_result();
}
