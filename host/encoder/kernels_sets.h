// SPDX-License-Identifier: Apache-2.0
//
// The kernels by their names in one set, for the table in kernels.c.
#ifndef WADER_HOST_ENCODER_KERNELS_SETS_H
#define WADER_HOST_ENCODER_KERNELS_SETS_H

#include "host/encoder/kernels_lanes.h"

void KERNEL(add_layer_norm_f32)(const struct norm_row *row);
void KERNEL(add_layer_norm_bf16)(const struct norm_row *row);
void KERNEL(add_layer_norm_u8)(const struct norm_row *row);
void KERNEL(gelu_f32)(const struct gelu_row *row);
void KERNEL(gelu_bf16)(const struct gelu_row *row);
void KERNEL(gelu_u8)(const struct gelu_row *row);
void KERNEL(operand_bf16)(const float *x, int32_t n, void *operand, struct row_scale *scale);
void KERNEL(operand_u8)(const float *x, int32_t n, void *operand, struct row_scale *scale);
void KERNEL(attention_f32)(const struct attention_head *head);
void KERNEL(attention_u8)(const struct attention_head *head);

#endif
