// SPDX-License-Identifier: Apache-2.0
#include "cuda/device_weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "weights/dtype.h"
#include "weights/fold.h"
#include "weights/quantize.h"

enum { STAGED = 1 << 20 };  // elements on their way at a time

// What one upload holds. After the first failure, in `code` or `status`, the rest does nothing.
struct upload {
    struct CUstream_st *stream;
    const struct poll *poll;
    struct CUevent_st *event;
    void *pinned;   // [STAGED] elements
    float *floats;  // [STAGED]
    char *block;
    int code;
    enum status status;
};

// What lies in `pinned`, to the offset `at`.
static void send_pinned(struct upload *upload, size_t nbytes, size_t at) {
    if (upload->code == 0) {
        upload->code = gpu_copy_in(upload->block + at, upload->pinned, nbytes, upload->stream);
    }
    if (upload->code == 0) upload->code = gpu_event_record(upload->event, upload->stream);
    if (upload->code == 0) upload->code = poll_event(upload->poll, upload->event);
}

// n elements, n at most STAGED, as `dtype` to the offset `at`.
static void send(struct upload *upload, const float *values, size_t n, enum dtype dtype,
                 size_t at) {
    if (dtype == DTYPE_F32) {
        memcpy(upload->pinned, values, n * sizeof *values);
    } else if (dtype == DTYPE_F16) {
        float_to_f16(values, n, upload->pinned);
    } else {
        float_to_bf16(values, n, upload->pinned);
    }
    send_pinned(upload, n * dtype_size(dtype), at);
}

// The mapping may be gone once the wait was given up.
static void forget(const struct upload *upload, struct tensor tensor) {
    if (upload->code == 0) tensor_forget(tensor);
}

static void send_floats(struct upload *upload, const float *values, size_t n, enum dtype dtype,
                        size_t at) {
    for (size_t first = 0; first < n && upload->code == 0; first += STAGED) {
        const size_t left = n - first;
        send(upload, values + first, left < STAGED ? left : STAGED, dtype,
             at + first * dtype_size(dtype));
    }
}

static void send_tensor(struct upload *upload, struct tensor tensor, enum dtype dtype, size_t at) {
    for (size_t first = 0; first < tensor.n_elements && upload->code == 0; first += STAGED) {
        const size_t left = tensor.n_elements - first, n = left < STAGED ? left : STAGED;
        tensor_read(tensor, first, n, upload->floats);
        send(upload, upload->floats, n, dtype, at + first * dtype_size(dtype));
    }
    forget(upload, tensor);
}

// A matrix [n_rows, n_columns] of fewer than STAGED columns as e4m3 and its rows' scales.
static void send_e4m3(struct upload *upload, struct tensor tensor, size_t n_columns, size_t at,
                      size_t scales_at, struct error *error) {
    const size_t n_rows = tensor.n_elements / n_columns, most = STAGED / n_columns;
    void *memory;
    upload->status = alloc_array(&memory, n_rows, sizeof(float), "scales", error);
    if (upload->status != STATUS_OK) return;
    float *scales = memory;
    for (size_t first = 0; first < n_rows && upload->code == 0; first += most) {
        const size_t n = n_rows - first < most ? n_rows - first : most;
        tensor_read(tensor, first * n_columns, n * n_columns, upload->floats);
        for (size_t r = 0; r < n; r++) {
            scales[first + r] = quantize_e4m3(upload->floats + r * n_columns, n_columns,
                                              (uint8_t *)upload->pinned + r * n_columns);
        }
        send_pinned(upload, n * n_columns, at + first * n_columns);
    }
    if (upload->code == 0) send_floats(upload, scales, n_rows, DTYPE_F32, scales_at);
    free(scales);
    forget(upload, tensor);
}

// The matrices of the feed-forward part.
static void send_feed(struct upload *upload, const struct bert_config *config,
                      const struct bert_layer *layer, const struct layer_view *view,
                      enum dtype dtype, struct error *error) {
    const struct layer_places *places = view->places;
    if (view->is_e4m3) {
        send_e4m3(upload, layer->intermediate.weight, (size_t)config->hidden_size,
                  view->begin + places->intermediate_weight,
                  view->begin + places->intermediate_scales, error);
        if (upload->status != STATUS_OK || upload->code != 0) return;
        send_e4m3(upload, layer->output.weight, (size_t)config->intermediate_size,
                  view->begin + places->output_weight, view->begin + places->output_scales, error);
        return;
    }
    send_tensor(upload, layer->intermediate.weight, dtype,
                view->begin + places->intermediate_weight);
    send_tensor(upload, layer->output.weight, dtype, view->begin + places->output_weight);
}

static void send_layer(struct upload *upload, const struct bert_config *config,
                       const struct bert_layer *of_model, const struct layer_view *view,
                       enum dtype dtype, struct error *error) {
    const struct layer_places *places = view->places;
    const size_t begin = view->begin;
    const struct bert_layer copy = *of_model, *layer = &copy;
    const size_t h = (size_t)config->hidden_size;
    struct folded_layer folded;
    upload->status = fold_layer(config, layer, &folded, error);
    if (upload->status != STATUS_OK) return;
    send_floats(upload, folded.qkv_weight, 3 * h * h, dtype, begin + places->qkv_weight);
    send_floats(upload, folded.qkv_bias, 3 * h, dtype, begin + places->qkv_bias);
    send_floats(upload, folded.attention_output_bias, h, DTYPE_F32,
                begin + places->attention_output_bias);
    folded_layer_free(&folded);
    forget(upload, layer->query.weight);
    forget(upload, layer->key.weight);
    forget(upload, layer->value.weight);
    const struct {
        struct tensor tensor;
        enum dtype dtype;
        size_t at;
    } parts[] = {
        {layer->attention_output.weight, dtype, places->attention_output_weight},
        {layer->attention_norm.weight, DTYPE_F32, places->attention_norm_weight},
        {layer->attention_norm.bias, DTYPE_F32, places->attention_norm_bias},
        {layer->intermediate.bias, feed_in_epilogue(dtype, view->is_e4m3) ? dtype : DTYPE_F32,
         places->intermediate_bias},
        {layer->output.bias, DTYPE_F32, places->output_bias},
        {layer->output_norm.weight, DTYPE_F32, places->output_norm_weight},
        {layer->output_norm.bias, DTYPE_F32, places->output_norm_bias},
    };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        send_tensor(upload, parts[i].tensor, parts[i].dtype, begin + parts[i].at);
    }
    send_feed(upload, config, layer, view, dtype, error);
}

// Once a wait was given up the model may be gone: what says where its tensors are is copied first.
static void send_model(struct upload *upload, const struct model *model,
                       const struct memory_plan *plan, enum dtype dtype, struct error *error) {
    const struct bert_config copied_config = model->config, *config = &copied_config;
    const struct bert_weights copied_weights = model->weights, *weights = &copied_weights;
    float *positions;
    upload->status = fold_positions(config, weights, &positions, error);
    if (upload->status != STATUS_OK) return;
    send_floats(upload, positions, (size_t)config->max_positions * (size_t)config->hidden_size,
                DTYPE_F32, plan->position_embeddings);
    free(positions);
    send_tensor(upload, weights->word_embeddings, dtype, plan->word_embeddings);
    send_tensor(upload, weights->embedding_norm.weight, DTYPE_F32, plan->embedding_norm_weight);
    send_tensor(upload, weights->embedding_norm.bias, DTYPE_F32, plan->embedding_norm_bias);
    send_tensor(upload, weights->pooler.weight, dtype, plan->pooler_weight);
    send_tensor(upload, weights->pooler.bias, DTYPE_F32, plan->pooler_bias);
    send_tensor(upload, weights->classifier.weight, DTYPE_F32, plan->classifier_weight);
    send_tensor(upload, weights->classifier.bias, DTYPE_F32, plan->classifier_bias);
    for (int32_t l = 0; l < config->n_layers; l++) {
        if (upload->status != STATUS_OK || upload->code != 0) return;
        const struct layer_view view = memory_plan_layer(plan, l);
        send_layer(upload, config, &weights->layers[l], &view, dtype, error);
    }
}

float device_weights_scale(const struct bert_config *config) {
    const int32_t head_size = config->hidden_size / config->n_heads;
    return (float)(1 / (sqrt(head_size) * (double)fold_power(head_size)));
}

enum status device_weights_upload(const struct model *model, const struct memory_plan *plan,
                                  enum dtype dtype, void *block, struct CUstream_st *stream,
                                  const struct poll *poll, int *code, struct error *error) {
    struct upload upload = {.stream = stream, .poll = poll, .block = block};
    void *memory;
    enum status status = alloc_array(&memory, STAGED, sizeof(float), "uploading weights", error);
    if (status != STATUS_OK) return status;
    upload.floats = memory;
    upload.code = gpu_event_create(&upload.event);
    if (upload.code == 0) upload.code = gpu_alloc_pinned(STAGED * sizeof(float), &upload.pinned);
    if (upload.code == 0) upload.code = poll_stream(poll, stream);  // those calls may have hung
    if (upload.code == 0) send_model(&upload, model, plan, activation_dtype(dtype), error);
    // After a failure a copy may be on its way still.
    if (upload.code == 0 || poll_stream(poll, stream) != POLL_GIVEN_UP) {
        (void)gpu_free_pinned(upload.pinned);
        (void)gpu_event_destroy(upload.event);
    }
    free(upload.floats);
    *code = upload.code;
    if (upload.status != STATUS_OK) return upload.status;
    char text[128];
    return upload.code == 0 ? STATUS_OK
                            : error_set(error, STATUS_MODEL, "uploading weights: %s",
                                        gpu_code_name(upload.code, text));
}
