// SPDX-License-Identifier: Apache-2.0
#include "host/encoder/kernels_sets.h"

#define TEXT_OF(x) #x
#define NAME_OF(x) TEXT_OF(x)

extern const struct kernels WADER_KERNELS;
const struct kernels WADER_KERNELS = {
    .name = NAME_OF(WADER_KERNELS),
    .of = {[OPERAND_F32] = {.add_layer_norm = KERNEL(add_layer_norm_f32),
                            .gelu = KERNEL(gelu_f32),
                            .attention = KERNEL(attention_f32)},
           [OPERAND_BF16] = {.add_layer_norm = KERNEL(add_layer_norm_bf16),
                             .gelu = KERNEL(gelu_bf16),
                             .attention = KERNEL(attention_f32),
                             .make_operand = KERNEL(operand_bf16)},
           [OPERAND_U8] = {.add_layer_norm = KERNEL(add_layer_norm_u8),
                           .gelu = KERNEL(gelu_u8),
                           .attention = KERNEL(attention_u8),
                           .make_operand = KERNEL(operand_u8)}},
};
