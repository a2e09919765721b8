// SPDX-License-Identifier: Apache-2.0
#include "weights/torch_tensor.h"

#include <string.h>

#include "weights/dtype.h"

enum { DIMS_MAX = 64 };  // as torch has them
enum { TILE = 32 };      // rows and columns copied at a time: their cache lines stay at hand

bool torch_is_tensor(const struct pickle *pickle, pickle_ref ref) {
    switch (torch_callee(pickle, ref)) {
        case TORCH_REBUILD_TENSOR:
        case TORCH_REBUILD_TENSOR_V2:
        case TORCH_REBUILD_TENSOR_V3:
        case TORCH_REBUILD_PARAMETER:
            return true;
        default:
            return false;
    }
}

// What a tensor is made of.
struct parts {
    struct torch_id id;
    struct span bytes;  // of the storage
    const struct torch_global *type;
    size_t offset, n_dims, dims[DIMS_MAX], strides[DIMS_MAX];
    size_t n_elements;
};

static bool read_size(const struct pickle *pickle, pickle_ref ref, size_t *out) {
    const struct pickle_node *node = pickle_at(pickle, ref);
    if (node->kind != PICKLE_INT || node->as.integer < 0) return false;
    *out = (size_t)node->as.integer;
    return true;
}

// A tuple of sizes, or torch.Size(tuple).
static bool read_sizes(const struct pickle *pickle, pickle_ref ref, size_t *sizes, size_t *n) {
    if (torch_callee(pickle, ref) == TORCH_SIZE) {
        const pickle_ref args = pickle_at(pickle, ref)->as.call.args;
        if (pickle_at(pickle, args)->n_items != 1) return false;
        pickle_items(pickle, args, &ref, 1);
    }
    const struct pickle_node *node = pickle_at(pickle, ref);
    if (node->kind != PICKLE_TUPLE || node->n_items > DIMS_MAX) return false;
    *n = 0;
    for (struct pickle_walk walk = pickle_walk(pickle, ref); pickle_next(&walk);) {
        if (!read_size(pickle, walk.item, &sizes[(*n)++])) return false;
    }
    return true;
}

static const char *read_parts(const struct pickle *pickle, pickle_ref ref, struct parts *parts) {
    pickle_ref args = pickle_at(pickle, ref)->as.call.args, items[8];
    enum torch_role role = torch_callee(pickle, ref);
    if (role == TORCH_REBUILD_PARAMETER) {
        if (pickle_at(pickle, args)->n_items < 1) return "its parameter has no tensor";
        pickle_items(pickle, args, &ref, 1);
        args = pickle_at(pickle, ref)->as.call.args;
        role = torch_callee(pickle, ref);
        if (!torch_is_tensor(pickle, ref) || role == TORCH_REBUILD_PARAMETER) {
            return "its parameter has no tensor";
        }
    }
    const size_t n = pickle_at(pickle, args)->n_items;
    const size_t least = role == TORCH_REBUILD_TENSOR ? 4 : role == TORCH_REBUILD_TENSOR_V2 ? 6 : 7;
    if (n < least || n > ARRAY_LEN(items)) return "it has not the parts of a tensor";
    pickle_items(pickle, args, items, ARRAY_LEN(items));
    if (pickle_at(pickle, items[0])->kind != PICKLE_PERSISTENT) return "it has no storage";
    const char *wrong = torch_id_read(pickle, items[0], &parts->id);
    if (wrong != NULL) return wrong;
    parts->type = parts->id.storage.type;
    if (role == TORCH_REBUILD_TENSOR_V3) {
        parts->type = torch_global_of(pickle, items[6]);
        if (parts->type == NULL || parts->type->role != TORCH_DTYPE) return "it has no dtype";
    }
    size_t n_strides = 0;
    if (!read_size(pickle, items[1], &parts->offset)) return "its offset is no size";
    if (!read_sizes(pickle, items[2], parts->dims, &parts->n_dims)) return "its shape is none";
    if (!read_sizes(pickle, items[3], parts->strides, &n_strides)) {
        return "its strides are no sizes";
    }
    return n_strides == parts->n_dims ? NULL : "its strides are not as many as its dimensions";
}

// Whether two elements lie in one place: where a stride does not step over all that the smaller
// ones reach. They were found to end inside the storage, so that nothing here overflows.
static bool overlaps_itself(const struct parts *parts) {
    for (size_t i = 0; i < parts->n_dims; i++) {
        size_t reach = 0;
        for (size_t j = 0; j < parts->n_dims; j++) {
            const size_t stride = parts->strides[j];
            const bool before = j < i ? stride <= parts->strides[i] : stride < parts->strides[i];
            if (before) reach += (parts->dims[j] - 1) * stride;
        }
        if (parts->dims[i] > 1 && parts->strides[i] <= reach) return true;
    }
    return false;
}

// Whether all elements lie in the storage. Counts them.
static const char *check_bounds(struct parts *parts) {
    size_t last = parts->offset, step, nbytes;
    parts->n_elements = 1;
    for (size_t i = 0; i < parts->n_dims; i++) {
        if (!size_mul(parts->n_elements, parts->dims[i], &parts->n_elements)) {
            return "its shape overflows";
        }
    }
    if (!size_mul(parts->n_elements, parts->type->size, &nbytes)) return "its shape overflows";
    if (parts->n_elements == 0) return NULL;
    for (size_t i = 0; i < parts->n_dims; i++) {
        if (!size_mul(parts->dims[i] - 1, parts->strides[i], &step) ||
            !size_add(last, step, &last)) {
            return "its strides overflow";
        }
    }
    size_t n = parts->id.n * parts->id.storage.type->size / parts->type->size;
    if (last >= n) return "it has elements outside its storage";
    // torch saves an expanded tensor with a storage of the few elements that it repeats. One that
    // has them all is a tensor of which a stride was damaged; older files have no checksum.
    if (parts->n_elements <= n - parts->offset && overlaps_itself(parts)) {
        return "its strides repeat elements, though its storage has as many as it needs: the file "
               "is damaged";
    }
    return NULL;
}

// Whether the elements lie in order without gaps; a dimension of 1 may have any stride.
static bool is_contiguous(const struct parts *parts) {
    size_t want = 1;
    for (size_t i = parts->n_dims; i > 0; i--) {
        if (parts->dims[i - 1] == 1) continue;
        if (parts->strides[i - 1] != want) return false;
        want *= parts->dims[i - 1];
    }
    return true;
}

const char *torch_tensor_read(const struct pickle *pickle, pickle_ref ref,
                              const struct torch_storages *storages, struct named_tensor *tensor,
                              struct torch_view *view) {
    struct parts parts = {0};
    *view = (struct torch_view){0};
    const char *wrong = read_parts(pickle, ref, &parts);
    if (wrong == NULL) wrong = check_bounds(&parts);
    if (wrong != NULL) return wrong;
    const struct torch_global *type = parts.type;
    const char *bytes = torch_storage_find(storages, parts.id.storage.key)->bytes.ptr;
    bytes += parts.id.first * parts.id.storage.type->size;
    if (parts.n_elements > 0) bytes += parts.offset * type->size;

    tensor->dtype_name = span_text(type->name);
    tensor->n_dims = parts.n_dims;
    const size_t n_dims = parts.n_dims < TENSOR_DIMS_MAX ? parts.n_dims : TENSOR_DIMS_MAX;
    memcpy(tensor->dims, parts.dims, n_dims * sizeof *parts.dims);
    tensor->bytes = (struct span){bytes, 0};
    if (type->use == TORCH_UNUSABLE) return NULL;
    if (parts.n_elements == 0 || (type->use == TORCH_AS_IT_IS && is_contiguous(&parts))) {
        tensor->bytes.len = parts.n_elements * type->size;
        tensor->tensor = (struct tensor){bytes, parts.n_elements, type->dtype};
        tensor->usable = true;
    } else if (parts.n_dims <= TENSOR_DIMS_MAX) {
        *view = (struct torch_view){bytes, type, parts.n_elements, parts.n_dims, {0}, {0}};
        memcpy(view->dims, parts.dims, sizeof view->dims);
        memcpy(view->strides, parts.strides, sizeof view->strides);
    }
    return NULL;
}

size_t torch_view_nbytes(const struct torch_view *view) {
    return view->n_elements * dtype_size(view->type->dtype);
}

// One element, as it is or from double to float, rounded to nearest.
static void copy_element(const struct torch_view *view, const char *in, char *out) {
    if (view->type->use == TORCH_ROUNDED) {
        double value;
        memcpy(&value, in, sizeof value);
        float rounded = (float)value;
        memcpy(out, &rounded, sizeof rounded);
    } else if (view->type->size == 4) {
        memcpy(out, in, 4);
    } else {
        memcpy(out, in, 2);
    }
}

// The last two dimensions, of [n, m] elements.
static void copy_matrix(const struct torch_view *view, const char *in, size_t n, size_t m,
                        char *out) {
    const size_t to = dtype_size(view->type->dtype), from = view->type->size;
    const size_t down = view->strides[TENSOR_DIMS_MAX - 2] * from;
    const size_t right = view->strides[TENSOR_DIMS_MAX - 1] * from;
    for (size_t row = 0; row < n; row += TILE) {
        for (size_t column = 0; column < m; column += TILE) {
            for (size_t i = row; i < n && i < row + TILE; i++) {
                for (size_t j = column; j < m && j < column + TILE; j++) {
                    copy_element(view, in + i * down + j * right, out + (i * m + j) * to);
                }
            }
        }
    }
}

void torch_view_copy(const struct torch_view *view, char *out) {
    // Four dimensions always: those in front that it does not have are of size 1.
    struct torch_view full = *view;
    for (size_t i = 0; i < TENSOR_DIMS_MAX; i++) {
        const size_t missing = TENSOR_DIMS_MAX - view->n_dims;
        full.dims[i] = i < missing ? 1 : view->dims[i - missing];
        full.strides[i] = i < missing ? 0 : view->strides[i - missing];
    }
    const size_t n = full.dims[2], m = full.dims[3];
    for (size_t i = 0; i < full.dims[0]; i++) {
        for (size_t j = 0; j < full.dims[1]; j++) {
            const char *in =
                view->first + (i * full.strides[0] + j * full.strides[1]) * view->type->size;
            copy_matrix(&full, in, n, m, out);
            out += n * m * dtype_size(view->type->dtype);
        }
    }
}

void torch_tensor_place(struct named_tensor *tensor, const struct torch_view *view,
                        const char *copy) {
    tensor->bytes = (struct span){copy, torch_view_nbytes(view)};
    tensor->tensor = (struct tensor){copy, view->n_elements, view->type->dtype};
    tensor->usable = true;
}
