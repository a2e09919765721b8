// SPDX-License-Identifier: Apache-2.0
//
// What `wader info` found, for the two ways in which it is printed. Private to info*.c.
#ifndef WADER_HOST_CLI_INFO_H
#define WADER_HOST_CLI_INFO_H

#include "host/base/buffer.h"
#include "host/base/sha256.h"
#include "host/cli/device.h"
#include "tokenizer/wordpiece.h"
#include "weights/labels.h"
#include "weights/model.h"

enum { DTYPES = DTYPE_BF16 + 1 };

struct info_file {
    char path[PATH_NBYTES_MAX];
    const char *name;  // in the model directory; a file that lies elsewhere by its path
    size_t nbytes;
    char sha256[SHA256_HEX_LEN + 1];
    bool is_weights, is_tokenizer;
};

struct info {
    const struct options *options;
    bool has_config;
    struct bert_config config;
    struct model *model;          // NULL: no usable weights
    struct tokenizer *tokenizer;  // NULL: none that can be used
    struct labels config_labels;  // id2label, where there is no model
    struct info_file *files;      // [n_files]
    size_t n_files;
    size_t n_parameters, n_tensors;
    size_t n_by_dtype[DTYPES];  // of the parameters

    bool has_device;
    int32_t max_length;
    struct device_choice device;
    struct encoder_cpu_memory cpu;  // of the two, the device's
    struct encoder_cuda_memory cuda;
    size_t embeddings_nbytes;  // of the word embeddings, which the CPU reads where they are
    size_t rest_nbytes;      // of the host, at most, besides (label_setup.h)

    enum status status;  // the first fault that `wader label` would end with
    struct error error;
};

// The class as transformers calls it, and where the weights are from, in words.
const char *info_class(const struct info *info);
const char *info_format(const struct info *info);

// The names of the labels, [info->config.n_labels], or NULL where they are not known; and where
// they are from, as --json has it.
char *const *info_labels(const struct info *info);
const char *info_label_source(const struct info *info);

// The file that calibrates the labels was there.
bool info_is_calibrated(const struct info *info);

// A float in as few digits as tell it from all others: 0.4, not 0.400000006.
struct info_number {
    char text[32];
};
struct info_number info_number(float number);

void info_print_text(const struct info *info, struct buffer *out);
void info_print_json(const struct info *info, struct buffer *out);

#endif
