// SPDX-License-Identifier: Apache-2.0
#include "weights/safetensors_write.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/buffer.h"
#include "weights/dtype.h"

// Elements converted at a time, and bytes handed on at a time where nothing is converted: a sink
// looks between two pieces whether it is to stop.
enum { PIECE_ELEMENTS = 1 << 16, PIECE_NBYTES = 1 << 20, HEADER_ALIGNMENT = 8 };

struct pieces {
    float wide[PIECE_ELEMENTS];
    uint16_t narrow[PIECE_ELEMENTS];
};

// Element sizes in the order in which tensors of that size are written.
static const size_t element_sizes[] = {4, 2};

static size_t written_nbytes(const struct safetensors_file *file, size_t i) {
    return file->weights[i].tensor.n_elements * dtype_size(file->dtypes[i]);
}

size_t safetensors_data_nbytes(const struct safetensors_file *file) {
    size_t nbytes = 0;
    for (size_t i = 0; i < file->n_weights; i++) nbytes += written_nbytes(file, i);
    return nbytes;
}

// ---- the header

static void add_entry(const struct safetensors_file *file, size_t i, size_t *offset,
                      struct buffer *out) {
    const struct named_weight *weight = &file->weights[i];
    buffer_add_text(out, out->bytes[out->len - 1] == '{' ? "" : ",");
    buffer_add_json_string(out, span_text(weight->name));
    buffer_add_format(out, ":{\"dtype\":\"%s\",\"shape\":[", dtype_name(file->dtypes[i]));
    size_t n_elements = 1;
    for (size_t d = 0; d < weight->n_dims; d++) {
        buffer_add_format(out, d > 0 ? ",%zu" : "%zu", weight->dims[d]);
        n_elements *= weight->dims[d];
    }
    assert(n_elements == weight->tensor.n_elements);
    const size_t end = *offset + written_nbytes(file, i);
    buffer_add_format(out, "],\"data_offsets\":[%zu,%zu]}", *offset, end);
    *offset = end;
}

static enum status make_header(const struct safetensors_file *file, struct buffer *out,
                               struct error *error) {
    uint64_t len = 0;
    buffer_add(out, (const char *)&len, sizeof len);  // filled in below
    buffer_add_text(out, "{");
    if (file->n_notes > 0) buffer_add_text(out, "\"__metadata__\":{");
    for (size_t i = 0; i < file->n_notes; i++) {
        if (i > 0) buffer_add_text(out, ",");
        buffer_add_json_string(out, span_text(file->notes[i].key));
        buffer_add_text(out, ":");
        buffer_add_json_string(out, span_text(file->notes[i].value));
    }
    if (file->n_notes > 0) buffer_add_text(out, "}");
    size_t offset = 0;
    for (size_t s = 0; s < ARRAY_LEN(element_sizes) && !out->failed; s++) {
        for (size_t i = 0; i < file->n_weights && !out->failed; i++) {
            if (dtype_size(file->dtypes[i]) == element_sizes[s]) add_entry(file, i, &offset, out);
        }
    }
    buffer_add_text(out, "}");
    while (!out->failed && out->len % HEADER_ALIGNMENT != 0) buffer_add_text(out, " ");
    enum status status = buffer_check(out, error);
    if (status != STATUS_OK) return status;
    len = out->len - sizeof len;
    memcpy(out->bytes, &len, sizeof len);  // little-endian, as dtype.c makes sure
    return STATUS_OK;
}

// ---- the data

static enum status copy(struct tensor tensor, const struct byte_sink *sink, struct error *error) {
    const char *at = tensor.data;
    size_t rest = tensor.n_elements * dtype_size(tensor.dtype);
    while (rest > 0) {
        const size_t n = rest < PIECE_NBYTES ? rest : PIECE_NBYTES;
        enum status status = sink->write(sink->context, at, n, error);
        if (status != STATUS_OK) return status;
        at += n;
        rest -= n;
    }
    return STATUS_OK;
}

// The first of n values that was finite and is infinite in `dtype`, or n.
static size_t first_overflow(const struct pieces *pieces, size_t n, enum dtype dtype) {
    const unsigned infinity = dtype == DTYPE_F16 ? 0x7C00 : 0x7F80;
    for (size_t i = 0; i < n; i++) {
        if ((pieces->narrow[i] & 0x7FFF) == infinity && isfinite(pieces->wide[i])) return i;
    }
    return n;
}

static enum status convert(const struct named_weight *weight, enum dtype dtype,
                           struct pieces *pieces, const struct byte_sink *sink,
                           struct error *error) {
    const struct tensor tensor = weight->tensor;
    for (size_t first = 0; first < tensor.n_elements; first += PIECE_ELEMENTS) {
        const size_t rest = tensor.n_elements - first;
        const size_t n = rest < PIECE_ELEMENTS ? rest : PIECE_ELEMENTS;
        const void *bytes = pieces->narrow;
        tensor_read(tensor, first, n, pieces->wide);
        if (dtype == DTYPE_F32) bytes = pieces->wide;
        if (dtype == DTYPE_F16) float_to_f16(pieces->wide, n, pieces->narrow);
        if (dtype == DTYPE_BF16) float_to_bf16(pieces->wide, n, pieces->narrow);
        const size_t bad = dtype == DTYPE_F32 ? n : first_overflow(pieces, n, dtype);
        if (bad < n) {
            return error_set(error, STATUS_MODEL,
                             "tensor \"%s\": element %zu is %g, beyond the largest %s, %g",
                             weight->name, first + bad, (double)pieces->wide[bad],
                             dtype_name(dtype), dtype == DTYPE_F16 ? 65504.0 : 3.3895e38);
        }
        enum status status = sink->write(sink->context, bytes, n * dtype_size(dtype), error);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

static enum status write_data(const struct safetensors_file *file, struct pieces *pieces,
                              const struct byte_sink *sink, struct error *error) {
    for (size_t s = 0; s < ARRAY_LEN(element_sizes); s++) {
        for (size_t i = 0; i < file->n_weights; i++) {
            const struct named_weight *weight = &file->weights[i];
            const enum dtype dtype = file->dtypes[i];
            if (dtype_size(dtype) != element_sizes[s]) continue;
            enum status status = dtype == weight->tensor.dtype
                                     ? copy(weight->tensor, sink, error)
                                     : convert(weight, dtype, pieces, sink, error);
            if (status != STATUS_OK) return status;
            tensor_forget(weight->tensor);
        }
    }
    return STATUS_OK;
}

enum status safetensors_write(const struct safetensors_file *file, const struct byte_sink *sink,
                              struct error *error) {
    struct buffer header = {0};
    void *pieces = NULL;
    enum status status = alloc_array(&pieces, 1, sizeof(struct pieces), "converting", error);
    if (status == STATUS_OK) status = make_header(file, &header, error);
    if (status == STATUS_OK) status = sink->write(sink->context, header.bytes, header.len, error);
    if (status == STATUS_OK) status = write_data(file, pieces, sink, error);
    buffer_free(&header);
    free(pieces);
    return status;
}
