// SPDX-License-Identifier: Apache-2.0
//
// What a run computes on, as --device, --precision and this host decide it.
#ifndef WADER_HOST_CLI_DEVICE_H
#define WADER_HOST_CLI_DEVICE_H

#include "cuda/encoder_cuda.h"
#include "host/cli/options.h"
#include "host/encoder/encoder.h"

// It points into itself, so it stays where it was made.
struct device_choice {
    bool is_cuda;
    const char *device, *precision;     // "cpu", "fp32"
    struct encoder_limits cpu;          // where it is not
    struct encoder_cuda_settings cuda;  // where it is
    struct cuda_devices devices;        // those of `cuda`
    char hardware[300];                 // "2 x NVIDIA H200"; empty on the CPU
    char workers[24];                   // what encodes: "8 threads", "2 GPUs"
    bool is_auto;                       // nobody said on what
    int32_t n_passed_over;              // CUDA devices of another kind
    struct error why_no_gpu;            // for `auto` on a CPU
};

// Who asks what to compute on, and tells whether that serves: by making the encoder, or by no more
// than a look. STATUS_MODEL lets `auto` go on from GPUs to the CPU.
struct device_user {
    enum status (*take)(void *context, const struct device_choice *choice, struct error *error);
    void *context;
};

// STATUS_USAGE for a --device that cannot be understood.
enum status check_device(const struct options *options, struct error *error);

// Offers the user one choice after the other until it takes one; that is then in `*choice`.
// STATUS_MODEL when this host has not what was asked for, or the user took nothing; STATUS_USAGE
// when --batch-tokens is too little for `max_length` or too much for the memory.
enum status choose_device(const struct options *options, const struct bert_config *config,
                          int32_t max_length, const struct device_user *user,
                          struct device_choice *choice, struct error *error);

// "cpu, fp32, 2 threads", and why: the GPUs' names, or why there is none; empty where somebody said
// so.
void describe_device(const struct device_choice *choice, char *what, size_t what_cap,
                     const char **why);

#endif
