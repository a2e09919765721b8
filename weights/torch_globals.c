// SPDX-License-Identifier: Apache-2.0
#include "weights/torch_globals.h"

// Names as in torch/_utils.py, torch/storage.py and torch/serialization.py. The sizes of elements
// do not depend on the platform.
#define STORAGE(name, ...) \
    { "torch", name, PICKLE_NAME, TORCH_STORAGE, __VA_ARGS__ }
#define DTYPE(name, ...) \
    { "torch", name, PICKLE_NAME, TORCH_DTYPE, __VA_ARGS__ }
static const struct torch_global globals[] = {
    {"collections", "OrderedDict", PICKLE_MAPPING, TORCH_OTHER, 0, 0, 0},
    {"torch._utils", "_rebuild_tensor_v2", PICKLE_FUNCTION, TORCH_REBUILD_TENSOR_V2, 0, 0, 0},
    {"torch._utils", "_rebuild_tensor", PICKLE_FUNCTION, TORCH_REBUILD_TENSOR, 0, 0, 0},
    {"torch._utils", "_rebuild_tensor_v3", PICKLE_FUNCTION, TORCH_REBUILD_TENSOR_V3, 0, 0, 0},
    {"torch._utils", "_rebuild_parameter", PICKLE_FUNCTION, TORCH_REBUILD_PARAMETER, 0, 0, 0},
    {"torch._utils", "_rebuild_parameter_with_state", PICKLE_FUNCTION, TORCH_REBUILD_PARAMETER, 0,
     0, 0},
    STORAGE("FloatStorage", 4, TORCH_AS_IT_IS, DTYPE_F32),
    STORAGE("HalfStorage", 2, TORCH_AS_IT_IS, DTYPE_F16),
    STORAGE("BFloat16Storage", 2, TORCH_AS_IT_IS, DTYPE_BF16),
    STORAGE("DoubleStorage", 8, TORCH_ROUNDED, DTYPE_F32),
    STORAGE("LongStorage", 8, TORCH_UNUSABLE, 0),
    STORAGE("IntStorage", 4, TORCH_UNUSABLE, 0),
    STORAGE("ShortStorage", 2, TORCH_UNUSABLE, 0),
    STORAGE("CharStorage", 1, TORCH_UNUSABLE, 0),
    STORAGE("ByteStorage", 1, TORCH_UNUSABLE, 0),
    STORAGE("BoolStorage", 1, TORCH_UNUSABLE, 0),
    STORAGE("ComplexFloatStorage", 8, TORCH_UNUSABLE, 0),
    STORAGE("ComplexDoubleStorage", 16, TORCH_UNUSABLE, 0),
    {"torch.storage", "UntypedStorage", PICKLE_NAME, TORCH_STORAGE, 1, TORCH_UNUSABLE, 0},
    DTYPE("float32", 4, TORCH_AS_IT_IS, DTYPE_F32),
    DTYPE("float16", 2, TORCH_AS_IT_IS, DTYPE_F16),
    DTYPE("bfloat16", 2, TORCH_AS_IT_IS, DTYPE_BF16),
    DTYPE("float64", 8, TORCH_ROUNDED, DTYPE_F32),
    DTYPE("int64", 8, TORCH_UNUSABLE, 0),
    DTYPE("int32", 4, TORCH_UNUSABLE, 0),
    DTYPE("int16", 2, TORCH_UNUSABLE, 0),
    DTYPE("int8", 1, TORCH_UNUSABLE, 0),
    DTYPE("uint64", 8, TORCH_UNUSABLE, 0),
    DTYPE("uint32", 4, TORCH_UNUSABLE, 0),
    DTYPE("uint16", 2, TORCH_UNUSABLE, 0),
    DTYPE("uint8", 1, TORCH_UNUSABLE, 0),
    DTYPE("bool", 1, TORCH_UNUSABLE, 0),
    DTYPE("float8_e4m3fn", 1, TORCH_UNUSABLE, 0),
    DTYPE("float8_e5m2", 1, TORCH_UNUSABLE, 0),
    {"torch", "Size", PICKLE_FUNCTION, TORCH_SIZE, 0, 0, 0},
    {"torch", "device", PICKLE_FUNCTION, TORCH_OTHER, 0, 0, 0},
    {"torch.serialization", "_get_layout", PICKLE_FUNCTION, TORCH_OTHER, 0, 0, 0},
};

enum pickle_import torch_find(struct span module, struct span name, uint32_t *number) {
    for (size_t i = 0; i < ARRAY_LEN(globals); i++) {
        if (!span_equal(name, globals[i].name) || !span_equal(module, globals[i].module)) continue;
        *number = (uint32_t)i;
        return globals[i].import;
    }
    return PICKLE_REFUSED;
}

const struct torch_global *torch_global_of(const struct pickle *pickle, pickle_ref ref) {
    const struct pickle_node *node = pickle_at(pickle, ref);
    return node->kind == PICKLE_GLOBAL ? &globals[node->as.global.number] : NULL;
}

enum torch_role torch_callee(const struct pickle *pickle, pickle_ref ref) {
    const struct pickle_node *node = pickle_at(pickle, ref);
    if (node->kind != PICKLE_CALL) return TORCH_OTHER;
    return torch_global_of(pickle, node->as.call.callee)->role;
}
