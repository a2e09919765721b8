// SPDX-License-Identifier: Apache-2.0
#include "weights/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/json.h"
#include "host/base/utf8.h"
#include "weights/dtype.h"
#include "weights/quote.h"

enum { LENGTH_BYTES = 8, HEADER_BYTES_MAX = 100 * 1000 * 1000 };

// Element formats of safetensors' enum Dtype, in bits. One that is not here is left unmeasured and
// unusable, so that newer files still open where such a tensor is not needed.
static const struct {
    const char *name;
    uint8_t bits;
} formats[] = {
    {"BOOL", 8},        {"U8", 8},          {"I8", 8},   {"F8_E4M3", 8}, {"F8_E5M2", 8},
    {"F8_E8M0", 8},     {"I16", 16},        {"U16", 16}, {"F16", 16},    {"BF16", 16},
    {"I32", 32},        {"U32", 32},        {"F32", 32}, {"I64", 64},    {"U64", 64},
    {"F64", 64},        {"C64", 64},        {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6},
    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8},
};

// The file as its parts.
struct image {
    const char *path;
    struct span data;          // what offsets count in
    struct json_value header;  // an object
};

static enum status split_image(const char *bytes, size_t nbytes, struct image *image,
                               struct error *error) {
    const char *path = image->path;
    if (nbytes < LENGTH_BYTES) {
        return error_set(error, STATUS_MODEL,
                         "%s: %zu bytes are too few for a safetensors file: is it complete?", path,
                         nbytes);
    }
    uint64_t len;
    memcpy(&len, bytes, sizeof len);
    if (len > HEADER_BYTES_MAX || len > nbytes - LENGTH_BYTES) {
        return error_set(
            error, STATUS_MODEL,
            "%s: a header of %llu bytes is announced, but %s %zu: the file is damaged, "
            "cut short, or no safetensors file",
            path, (unsigned long long)len,
            len > HEADER_BYTES_MAX ? "the format allows" : "the file has only",
            len > HEADER_BYTES_MAX ? (size_t)HEADER_BYTES_MAX : nbytes);
    }
    struct span header = {bytes + LENGTH_BYTES, (size_t)len};
    if (len == 0 || header.ptr[0] != '{') {
        return error_set(error, STATUS_MODEL,
                         "%s: the header does not begin with {: this is no safetensors file", path);
    }
    size_t good = utf8_check(header.ptr, header.len);
    struct json_fault fault = {.what = "ill-formed UTF-8", .offset = good};
    if (good < header.len || !json_parse(header, &image->header, &fault)) {
        return error_set(error, STATUS_MODEL, "%s: byte %zu of the header: %s", path, fault.offset,
                         fault.what);
    }
    image->data.ptr = header.ptr + header.len;
    image->data.len = nbytes - LENGTH_BYTES - header.len;
    return STATUS_OK;
}

// A number that a size can be.
static bool read_size(struct json_value value, size_t *out) {
    int64_t number;
    if (!json_int64(value, &number) || number < 0) return false;
    *out = (size_t)number;
    return true;
}

static const char *read_shape(struct json_value shape, struct named_tensor *tensor,
                              size_t *n_elements) {
    *n_elements = 1;
    if (shape.type != JSON_ARRAY) return "its shape is not an array";
    for (struct json_walk walk = json_walk(shape); json_next(&walk); tensor->n_dims++) {
        size_t dim;
        if (!read_size(walk.value, &dim)) return "a dimension of its shape is not a whole number";
        if (tensor->n_dims < TENSOR_DIMS_MAX) tensor->dims[tensor->n_dims] = dim;
        if (!size_mul(*n_elements, dim, n_elements)) return "its shape overflows";
    }
    return NULL;
}

static const char *read_offsets(struct json_value offsets, struct span data,
                                struct named_tensor *tensor) {
    size_t bounds[2], n = 0;
    if (offsets.type != JSON_ARRAY) return "its data_offsets are not an array";
    for (struct json_walk walk = json_walk(offsets); json_next(&walk); n++) {
        if (n == 2 || !read_size(walk.value, &bounds[n])) {
            return "its data_offsets are not two whole numbers";
        }
    }
    if (n != 2) return "its data_offsets are not two whole numbers";
    if (bounds[0] > bounds[1]) return "its data_offsets end before they begin";
    if (bounds[1] > data.len) {
        return "its data_offsets lie beyond the end of the file, which is damaged or cut short";
    }
    tensor->bytes = (struct span){data.ptr + bounds[0], bounds[1] - bounds[0]};
    return NULL;
}

static const char *read_format(struct json_value dtype, struct named_tensor *tensor,
                               size_t n_elements) {
    if (dtype.type != JSON_STRING) return "its dtype is not a string";
    tensor->dtype_name = (struct span){dtype.raw.ptr + 1, dtype.raw.len - 2};
    size_t bits = 0;
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (span_equal(tensor->dtype_name, formats[i].name)) bits = formats[i].bits;
    }
    if (bits == 0) return NULL;
    size_t n_bits;
    if (!size_mul(n_elements, bits, &n_bits)) return "its shape overflows";
    if (n_bits % 8 != 0 || n_bits / 8 != tensor->bytes.len) {
        return "its data_offsets do not span what its shape and dtype need";
    }
    for (enum dtype usable = DTYPE_F32; usable <= DTYPE_BF16; usable++) {
        if (!span_equal(tensor->dtype_name, dtype_name(usable))) continue;
        tensor->usable = true;
        tensor->tensor = (struct tensor){tensor->bytes.ptr, n_elements, usable};
    }
    return NULL;
}

// NULL, or what is wrong with the header's entry `info`.
static const char *read_tensor(struct json_value info, struct span data,
                               struct named_tensor *tensor) {
    struct json_value dtype, shape, offsets;
    if (info.type != JSON_OBJECT) return "its entry is not an object";
    if (!json_member(info, "dtype", &dtype)) return "its dtype is missing";
    if (!json_member(info, "shape", &shape)) return "its shape is missing";
    if (!json_member(info, "data_offsets", &offsets)) return "its data_offsets are missing";
    size_t n_elements;
    const char *wrong = read_shape(shape, tensor, &n_elements);
    if (wrong == NULL) wrong = read_offsets(offsets, data, tensor);
    if (wrong == NULL) wrong = read_format(dtype, tensor, n_elements);
    return wrong;
}

static bool is_metadata(struct json_value key) {
    return json_string_equal(key, "__metadata__");
}

static enum status read_tensors(const struct image *image, struct tensor_table *table,
                                struct error *error) {
    char *names = table->names;
    for (struct json_walk walk = json_walk(image->header); json_next(&walk);) {
        if (is_metadata(walk.key)) continue;
        struct named_tensor *tensor = &table->tensors[table->n_tensors++];
        tensor->name = (struct span){names, json_string(walk.key, names)};
        names += tensor->name.len;
        const char *wrong = read_tensor(walk.value, image->data, tensor);
        if (wrong != NULL) {
            return error_set(error, STATUS_MODEL, "%s: tensor %s: %s", image->path,
                             quote(tensor->name).text, wrong);
        }
    }
    return STATUS_OK;
}

static int compare_places(const void *a, const void *b) {
    struct span first = ((const struct named_tensor *)a)->bytes;
    struct span second = ((const struct named_tensor *)b)->bytes;
    if (first.ptr != second.ptr) return first.ptr < second.ptr ? -1 : 1;
    return first.len < second.len ? -1 : first.len > second.len;
}

// Every byte of the data belongs to exactly one tensor.
static enum status check_layout(const struct image *image, struct tensor_table *table,
                                struct error *error) {
    const char *at = image->data.ptr, *end = at + image->data.len;
    if (table->n_tensors > 0) {
        qsort(table->tensors, table->n_tensors, sizeof *table->tensors, compare_places);
    }
    for (size_t i = 0; i < table->n_tensors; i++) {
        struct named_tensor *tensor = &table->tensors[i];
        if (tensor->bytes.ptr != at) {
            return error_set(
                error, STATUS_MODEL, "%s: tensor %s begins at %td, but %s %td", image->path,
                quote(tensor->name).text, tensor->bytes.ptr - image->data.ptr,
                tensor->bytes.ptr < at ? "overlaps one that ends at" : "the one before it ends at",
                at - image->data.ptr);
        }
        at += tensor->bytes.len;
    }
    if (at != end) {
        return error_set(error, STATUS_MODEL,
                         "%s: the tensors end after %td bytes, but the file has %td", image->path,
                         at - image->data.ptr, end - image->data.ptr);
    }
    return STATUS_OK;
}

enum status safetensors_parse(const char *bytes, size_t nbytes, const char *path,
                              struct tensor_table *table, struct error *error) {
    *table = (struct tensor_table){0};
    struct image image = {.path = path};
    enum status status = split_image(bytes, nbytes, &image, error);
    if (status != STATUS_OK) return status;

    size_t n_tensors = 0, name_bytes = 0;
    for (struct json_walk walk = json_walk(image.header); json_next(&walk);) {
        n_tensors += is_metadata(walk.key) ? 0 : 1;
        name_bytes += walk.key.raw.len;
    }
    void *tensors = NULL, *names = NULL;
    status = alloc_zeroed(&tensors, n_tensors, sizeof *table->tensors, "the tensor table", error);
    table->tensors = tensors;
    if (status != STATUS_OK) goto out;
    status = alloc_array(&names, name_bytes, 1, "tensor names", error);
    table->names = names;
    if (status != STATUS_OK) goto out;

    status = read_tensors(&image, table, error);
    if (status == STATUS_OK) status = check_layout(&image, table, error);
    if (status == STATUS_OK) status = tensor_table_sort(table, path, error);
out:
    if (status != STATUS_OK) tensor_table_free(table);
    return status;
}
