// SPDX-License-Identifier: Apache-2.0
//
// A model's weights in a device's memory, folded (weights/fold.h), in the places of a plan.
#ifndef WADER_CUDA_DEVICE_WEIGHTS_H
#define WADER_CUDA_DEVICE_WEIGHTS_H

#include "cuda/memory_plan.h"
#include "cuda/poll.h"
#include "cuda/runtime.h"
#include "weights/model.h"

// How bias and GELU of the feed-forward part are computed. In bf16 cublasLt's epilogue does both,
// whose tanh form is nearer to erf than bf16 is to fp32; the finer formats take the erf kernel, and
// products of e4m3 a kernel that knows their scales. `dtype` is that of activations.
static inline bool feed_in_epilogue(enum dtype dtype, bool is_e4m3) {
    return dtype == DTYPE_BF16 && !is_e4m3;
}

// What attention still has to apply to the scores of every layer.
float device_weights_scale(const struct bert_config *config);

// Fills [0, plan->weights_nbytes) of `block` on the device that the thread uses, and waits until
// all of it is there; `poll` is asked often, and when it gives up, the model is not touched again.
// Host memory: one layer's folded weights. Returns a code of runtime.h, or POLL_GIVEN_UP, in
// `*code` with STATUS_MODEL when the device failed; STATUS_IO without memory, `*code` 0.
enum status device_weights_upload(const struct model *model, const struct memory_plan *plan,
                                  enum dtype dtype, void *block, struct CUstream_st *stream,
                                  const struct poll *poll, int *code, struct error *error);

#endif
