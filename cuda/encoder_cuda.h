// SPDX-License-Identifier: Apache-2.0
//
// The encoder on CUDA devices, behind the seam of host/encoder/encoder.h.
//
// Slot i belongs to device i mod n_devices, so whoever fills and reads slots in turn gives all
// devices work and keeps the order. Each device has one thread, which alone calls the driver for it
// from the first call to the last; a call that never comes back holds up that thread and nothing
// else. What a batch does on a device is one CUDA graph; copies run beside the batches before and
// behind.
//
//   free ── encoder_submit ─► submitted ── its device's thread ─► running ─► done ── encoder_wait
//   ─► free
//
// A device is lost when a call or its work fails, or when a batch makes no progress for the time
// limit: then encoder_wait gives STATUS_AGAIN for every slot of it, at once, and these slots are
// not to be filled again, for the device may still be reading them.
#ifndef WADER_CUDA_ENCODER_CUDA_H
#define WADER_CUDA_ENCODER_CUDA_H

#include "cuda/device.h"
#include "host/encoder/encoder.h"

// cuda_devices_find (device.h), with a time limit. STATUS_AGAIN when the driver gives no answer,
// STATUS_IO without memory or threads; `devices` has none then.
enum status encoder_cuda_find_devices(int32_t timeout_seconds, struct cuda_devices *devices,
                                      struct error *error);

struct encoder_cuda_settings {
    const struct cuda_device *devices;  // [n_devices], of one kind
    int32_t n_devices;
    enum dtype dtype;            // of activations and matrices; DTYPE_E4M3: memory_plan.h
    int32_t batch_tokens;        // 0: chosen by the device's multiprocessors and memory
    int32_t max_length;          // of a title: batch_tokens is at least that
    int32_t n_slots_per_device;  // 0: chosen
    int32_t timeout_seconds;     // without progress, after which a device counts as lost
};

// Whether devices `a` and `b` give the same bits: name, compute capability, multiprocessors.
bool encoder_cuda_same_kind(const struct cuda_device *a, const struct cuda_device *b);

// What devices of this compute capability compute in where nobody chose: bf16 from 8.0 on, else
// fp16.
enum dtype encoder_cuda_dtype(const struct cuda_device *device);

// `model` must outlive it. Warmed up: every kernel and product has run once. Where memory does not
// suffice for the chosen batch, smaller ones are tried.
//   STATUS_MODEL  this host or these devices cannot serve this model: shape, dtype, compute
//                 capability, cublasLt, too little device memory. Another way to compute may do
//   STATUS_AGAIN  a device failed, named with its UUID
//   STATUS_USAGE  `batch_tokens` asks for more than the memory holds; names the most that fits
//   STATUS_IO     no host memory, no threads
enum status encoder_create_cuda(const struct model *model,
                                const struct encoder_cuda_settings *settings, struct encoder **out,
                                struct error *error);

// What encoder_create_cuda would take: the devices are opened and asked what is free, no weight is
// uploaded. Of the model its `config` counts. The same statuses; the batch may still turn out
// smaller, where memory is cut up.
struct encoder_cuda_memory {
    int32_t batch_tokens, n_slots;  // of a batch; batches in flight on all devices
    size_t free_nbytes;             // of the device that has least
    size_t device_nbytes;           // taken on each device,
    size_t weights_nbytes;          // of these by weights
    size_t pinned_nbytes;           // host memory for all batches
};
enum status encoder_cuda_measure(const struct model *model,
                                 const struct encoder_cuda_settings *settings,
                                 struct encoder_cuda_memory *memory, struct error *error);

// Whether a thread of this process hangs in a driver's call, so that exit(), which tears the driver
// down, may hang as well: leave by _exit().
bool encoder_cuda_is_stuck(void);

#endif
