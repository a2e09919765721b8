// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "host/encoder/gemm_dnnl.h"

// Copies `from` (its own layout) into `to` (another). The formats are the same: nothing is rounded.
static dnnl_status_t reorder(dnnl_engine_t engine, memory_desc_ref from_desc, dnnl_memory_t from,
                             memory_desc_ref to_desc, dnnl_memory_t to) {
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
    dnnl_status_t result =
        dnnl_reorder_primitive_desc_create(&desc, from_desc, engine, to_desc, engine, NULL);
    if (result != dnnl_success) return result;
    result = dnnl_primitive_create(&primitive, desc);
    if (result != dnnl_success) goto out_desc;
    result = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    if (result != dnnl_success) goto out_primitive;
    const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    result = gemm_execute(primitive, stream, 2, args);
    dnnl_stream_destroy(stream);
out_primitive:
    dnnl_primitive_destroy(primitive);
out_desc:
    dnnl_primitive_desc_destroy(desc);
    return result;
}

// A matrix as whoever packs it has it.
struct source {
    dnnl_dims_t dims;
    dnnl_data_type_t type;
    dnnl_format_tag_t tag;
    const void *data;
};

// A library-owned copy of `source` in the layout `wanted`.
static dnnl_status_t pack(dnnl_engine_t engine, const struct source *source, memory_desc_ref wanted,
                          dnnl_memory_t *out) {
    memory_desc plain;
    dnnl_memory_t from, to;
    dnnl_status_t result = DESC_CREATE(&plain, source->dims, source->type, source->tag);
    if (result != dnnl_success) return result;
    result = dnnl_memory_create(&from, REF(plain), engine, (void *)(uintptr_t)source->data);
    if (result != dnnl_success) goto out_plain;
    result = dnnl_memory_create(&to, wanted, engine, DNNL_MEMORY_ALLOCATE);
    if (result != dnnl_success) goto out_from;
    result = reorder(engine, REF(plain), from, wanted, to);
    if (result == dnnl_success) {
        *out = to;
    } else {
        dnnl_memory_destroy(to);
    }
out_from:
    dnnl_memory_destroy(from);
out_plain:
    DESC_DESTROY(plain);
    return result;
}

enum status gemm_pack(const struct gemm *gemm, const void *weight, const float *bias,
                      struct gemm_weights **out, struct error *error) {
    void *memory;
    *out = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof **out, "packed weights", error);
    if (status != STATUS_OK) return status;
    struct gemm_weights *weights = memory;
    // [n_out, n_in] by rows is [n_in, n_out] by columns: the transposed tag, no transposition.
    const struct source w = {.dims = {gemm->shape.n_in, gemm->shape.n_out},
                             .type = gemm_formats_of(gemm->shape.type).w,
                             .tag = dnnl_ba,
                             .data = weight};
    const struct source b = {
        .dims = {1, gemm->shape.n_out}, .type = dnnl_f32, .tag = dnnl_ab, .data = bias};
    dnnl_status_t result =
        pack(gemm->engine, &w, dnnl_primitive_desc_query_md(gemm->desc, dnnl_query_weights_md, 0),
             &weights->weight);
    if (result == dnnl_success && bias != NULL) {
        result = pack(gemm->engine, &b,
                      dnnl_primitive_desc_query_md(gemm->desc, dnnl_query_weights_md, 1),
                      &weights->bias);
    }
    if (result != dnnl_success) {
        gemm_weights_destroy(weights);
        return gemm_failed(error, "packing weights", result);
    }
    *out = weights;
    return STATUS_OK;
}

void gemm_weights_destroy(struct gemm_weights *weights) {
    if (weights == NULL) return;
    if (weights->weight != NULL) dnnl_memory_destroy(weights->weight);
    if (weights->bias != NULL) dnnl_memory_destroy(weights->bias);
    free(weights);
}
