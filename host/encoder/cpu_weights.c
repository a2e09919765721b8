// SPDX-License-Identifier: Apache-2.0
//
// Weights, from the file's dtype to what the products of a tier take.
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "host/encoder/cpu_model.h"
#include "weights/dtype.h"

enum status read_values(const struct tensor *tensor, float **out, struct error *error) {
    void *memory;
    enum status status = alloc_array(&memory, tensor->n_elements, sizeof(float), "weights", error);
    if (status != STATUS_OK) return status;
    *out = memory;
    tensor_read(*tensor, 0, tensor->n_elements, *out);
    tensor_forget(*tensor);
    return STATUS_OK;
}

static struct tensor tensor_part(struct tensor tensor, size_t first, size_t n) {
    assert(first + n <= tensor.n_elements);
    return (struct tensor){.data = (const char *)tensor.data + first * dtype_size(tensor.dtype),
                           .n_elements = n,
                           .dtype = tensor.dtype};
}

// Weights and biases of all parts, one after the other.
static void read_parts(const struct dense_part *parts, int n_parts, size_t n_in, float *weight,
                       float *bias) {
    for (int p = 0; p < n_parts; p++) {
        const size_t first = (size_t)parts[p].first, n = (size_t)parts[p].n_out;
        const struct tensor w = tensor_part(parts[p].dense->weight, first * n_in, n * n_in);
        tensor_read(w, 0, n * n_in, weight);
        tensor_forget(w);
        tensor_read(parts[p].dense->bias, first, n, bias);
        weight += n * n_in;
        bias += n;
    }
}

// One output channel: the largest weight becomes 127. A channel with an infinity or NaN in it gets
// NaN for a scale, and so for every result.
static float quantize_channel(const float *weight, size_t n, int8_t *out, float *total) {
    const float rounder = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer
    float most = 0, poison = 0;
    for (size_t i = 0; i < n; i++) {
        const float size = fabsf(weight[i]);
        most = size > most ? size : most;
        poison += weight[i] * 0.0F;
    }
    const float per_step = most > 1e-30F && most < INFINITY ? 127.0F / most : 0.0F;
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        float steps = weight[i] * per_step;
        steps = steps >= -127.0F ? steps : -127.0F;  // NaN too: a float out of range has no int8_t
        steps = steps <= 127.0F ? steps : 127.0F;
        out[i] = (int8_t)((steps + rounder) - rounder);
        sum += out[i];
    }
    const float scale = most / 127.0F + poison;
    *total = scale * (float)sum;
    return scale;
}

// What the rounding of a channel's weights adds to its output where the input is `mean`: a sum in
// MEAN_LANES parts, always the same ones. 0 where that is no number, as with weights that are none.
enum { MEAN_LANES = 16 };
static float mean_error(const float *weight, const int8_t *rounded, float scale, const float *mean,
                        size_t n) {
    float sums[MEAN_LANES] = {0}, error = 0;
    size_t i = 0;
    for (; i + MEAN_LANES <= n; i += MEAN_LANES) {
        for (size_t l = 0; l < MEAN_LANES; l++) {
            sums[l] += (scale * (float)rounded[i + l] - weight[i + l]) * mean[i + l];
        }
    }
    for (size_t l = 0; i < n; i++, l++) {
        sums[l] += (scale * (float)rounded[i] - weight[i]) * mean[i];
    }
    for (size_t l = 0; l < MEAN_LANES; l++) error += sums[l];
    return isfinite(error) ? error : 0;
}

static enum status pack_int8(const struct gemm *gemm, const float *weight, const float *bias,
                             const float *mean_in, size_t n_in, size_t n_out,
                             struct dense_weights *out, struct error *error) {
    void *bytes, *block;
    enum status status = alloc_array(&bytes, n_in * n_out, 1, "int8 weights", error);
    if (status != STATUS_OK) return status;
    status = alloc_array(&block, 3 * n_out, sizeof(float), "scales of weights", error);
    if (status != STATUS_OK) {
        free(bytes);
        return status;
    }
    float *scales = block, *totals = scales + n_out, *biases = totals + n_out;
    for (size_t o = 0; o < n_out; o++) {
        const float *channel = weight + o * n_in;
        int8_t *rounded = (int8_t *)bytes + o * n_in;
        scales[o] = quantize_channel(channel, n_in, rounded, &totals[o]);
        biases[o] = bias[o] - mean_error(channel, rounded, scales[o], mean_in, n_in);
    }
    out->block = block;
    out->channels = (struct channels){scales, totals, biases};
    status = gemm_pack(gemm, bytes, NULL, &out->packed, error);
    free(bytes);
    return status;
}

static enum status pack_bf16(const struct gemm *gemm, const float *weight, const float *bias,
                             size_t n, struct dense_weights *out, struct error *error) {
    void *rounded;
    enum status status = alloc_array(&rounded, n, sizeof(uint16_t), "bf16 weights", error);
    if (status != STATUS_OK) return status;
    float_to_bf16(weight, n, rounded);
    status = gemm_pack(gemm, rounded, bias, &out->packed, error);
    free(rounded);
    return status;
}

enum status pack_dense(const struct gemm *gemm, enum cpu_precision precision, int32_t n_in,
                       const float *mean_in, const struct dense_part *parts, int n_parts,
                       struct dense_weights *out, struct error *error) {
    const size_t in = (size_t)n_in;
    size_t n_out = 0;
    for (int p = 0; p < n_parts; p++) n_out += (size_t)parts[p].n_out;
    void *memory;
    enum status status = alloc_array(&memory, (in + 1) * n_out, sizeof(float), "weights", error);
    if (status != STATUS_OK) return status;
    float *weight = memory, *bias = weight + in * n_out;
    read_parts(parts, n_parts, in, weight, bias);
    switch (precision) {
        case CPU_FP32:
            status = gemm_pack(gemm, weight, bias, &out->packed, error);
            break;
        case CPU_BF16:
            status = pack_bf16(gemm, weight, bias, in * n_out, out, error);
            break;
        case CPU_INT8:
            status = pack_int8(gemm, weight, bias, mean_in, in, n_out, out, error);
            break;
    }
    free(memory);
    return status;
}

void dense_weights_free(struct dense_weights *weights) {
    gemm_weights_destroy(weights->packed);
    free(weights->block);
}
