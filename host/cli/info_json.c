// SPDX-License-Identifier: Apache-2.0
//
// `wader info --json`: one object on one line. Keys are stable; what is not known is null.
//   wader         version
//   model         the directory, as it was given
//   config        class, layers, hidden_size, heads, head_size, intermediate_size, vocab_size,
//                 max_positions, token_types (0: none), gelu ("erf", "tanh"), head_activation
//                 ("tanh", "relu"), problem ("single_label", "multi_label"), labels (how many; 0
//                 where only the weights tell)
//   weights       name, format ("safetensors", "PyTorch", "Keras HDF5"), nbytes, tensors,
//                 parameters, dtypes: parameters by "F32", "F16", "BF16"
//   tokenizer     vocab_size, lowercase, strip_accents, handle_chinese_chars, clean_text,
//                 max_input_chars_per_word, unk_id, cls_id, sep_id, files
//   labels        source ("id2label", "labels.txt", "--labels", "none"), names
//   calibration   temperature (1 where nothing else is said), thresholds by label, or null: none
//   files         of each file used: name, nbytes, sha256
//   device        device, precision, workers, hardware (null on the CPU), why_no_gpu (null, or for
//                 --device auto why it is the CPU), max_length, batch_tokens, memory:
//                 weights_nbytes, working_nbytes, embeddings_nbytes on the CPU; device_nbytes (on
//                 each GPU), weights_nbytes (of these), free_nbytes, pinned_nbytes on GPUs;
//                 rest_nbytes: all else on the host, at most
//   error         what `wader label` would say, or null; the exit code is its own then
#include "host/cli/info.h"
#include "weights/dtype.h"

static void add_text(struct buffer *out, const char *key, const char *text) {
    buffer_add_format(out, "\"%s\":", key);
    buffer_add_json_string(out, span_text(text));
}

static const char *word(bool value) {
    return value ? "true" : "false";
}

static void add_config(const struct info *info, struct buffer *out) {
    const struct bert_config *config = &info->config;
    buffer_add_format(out,
                      "{\"class\":\"%s\",\"layers\":%d,\"hidden_size\":%d,\"heads\":%d,"
                      "\"head_size\":%d,\"intermediate_size\":%d,\"vocab_size\":%d,"
                      "\"max_positions\":%d,\"token_types\":%d,",
                      info_class(info), config->n_layers, config->hidden_size, config->n_heads,
                      config->hidden_size / config->n_heads, config->intermediate_size,
                      config->vocab_size, config->max_positions, config->type_vocab_size);
    buffer_add_format(
        out, "\"gelu\":\"%s\",\"head_activation\":\"%s\",\"problem\":\"%s\",\"labels\":%d}",
        config->gelu == GELU_TANH ? "tanh" : "erf",
        config->head_activation == HEAD_RELU ? "relu" : "tanh",
        config->problem == PROBLEM_MULTI_LABEL ? "multi_label" : "single_label", config->n_labels);
}

static void add_weights(const struct info *info, struct buffer *out) {
    size_t nbytes = 0;
    for (size_t i = 0; i < info->n_files; i++) {
        if (info->files[i].is_weights) nbytes += info->files[i].nbytes;
    }
    buffer_add_text(out, "{");
    add_text(out, "name", info->model->weights_name);
    buffer_add_format(out,
                      ",\"format\":\"%s\",\"nbytes\":%zu,\"tensors\":%zu,\"parameters\":%zu,"
                      "\"dtypes\":{",
                      info_format(info), nbytes, info->n_tensors, info->n_parameters);
    const char *separator = "";
    for (int d = 0; d < DTYPES; d++) {
        if (info->n_by_dtype[d] == 0) continue;
        buffer_add_format(out, "%s\"%s\":%zu", separator, dtype_name((enum dtype)d),
                          info->n_by_dtype[d]);
        separator = ",";
    }
    buffer_add_text(out, "}}");
}

static void add_tokenizer(const struct info *info, struct buffer *out) {
    const struct tokenizer *tokenizer = info->tokenizer;
    const struct normalizer *normalizer = &tokenizer->normalizer;
    buffer_add_format(out,
                      "{\"vocab_size\":%d,\"lowercase\":%s,\"strip_accents\":%s,"
                      "\"handle_chinese_chars\":%s,\"clean_text\":%s,",
                      tokenizer->vocab_size, word(normalizer->lowercase),
                      word(normalizer->strip_accents), word(normalizer->handle_chinese_chars),
                      word(normalizer->clean_text));
    buffer_add_format(out,
                      "\"max_input_chars_per_word\":%d,\"unk_id\":%d,\"cls_id\":%d,\"sep_id\":%d,"
                      "\"files\":[",
                      tokenizer->max_word_chars, tokenizer->unk_id, tokenizer->cls_id,
                      tokenizer->sep_id);
    const char *separator = "";
    for (size_t i = 0; i < info->n_files; i++) {
        if (!info->files[i].is_tokenizer) continue;
        buffer_add_text(out, separator);
        buffer_add_json_string(out, span_text(info->files[i].name));
        separator = ",";
    }
    buffer_add_text(out, "]}");
}

static void add_labels(const struct info *info, struct buffer *out) {
    char *const *labels = info_labels(info);
    buffer_add_format(out, "{\"source\":\"%s\",\"names\":[", info_label_source(info));
    for (int32_t k = 0; k < info->config.n_labels; k++) {
        if (k > 0) buffer_add_text(out, ",");
        buffer_add_json_string(out, span_text(labels[k]));
    }
    buffer_add_text(out, "]}");
}

static void add_calibration(const struct info *info, struct buffer *out) {
    const struct calibration *calibration = &info->model->calibration;
    buffer_add_format(
        out, "{\"temperature\":%s,\"thresholds\":", info_number(calibration->temperature).text);
    if (calibration->thresholds == NULL) {
        buffer_add_text(out, "null}");
        return;
    }
    for (int32_t k = 0; k < info->config.n_labels; k++) {
        buffer_add_text(out, k > 0 ? "," : "{");
        buffer_add_json_string(out, span_text(info->model->labels[k]));
        buffer_add_format(out, ":%s", info_number(calibration->thresholds[k]).text);
    }
    buffer_add_text(out, "}}");
}

static void add_files(const struct info *info, struct buffer *out) {
    buffer_add_text(out, "[");
    for (size_t i = 0; i < info->n_files; i++) {
        buffer_add_text(out, i > 0 ? ",{" : "{");
        add_text(out, "name", info->files[i].name);
        buffer_add_format(out, ",\"nbytes\":%zu,\"sha256\":\"%s\"}", info->files[i].nbytes,
                          info->files[i].sha256);
    }
    buffer_add_text(out, "]");
}

static void add_text_or_null(struct buffer *out, const char *key, const char *text) {
    if (text[0] != '\0') {
        add_text(out, key, text);
    } else {
        buffer_add_format(out, "\"%s\":null", key);
    }
}

static void add_device(const struct info *info, struct buffer *out) {
    const struct device_choice *device = &info->device;
    buffer_add_format(out, "{\"device\":\"%s\",\"precision\":\"%s\",\"workers\":\"%s\",",
                      device->device, device->precision, device->workers);
    add_text_or_null(out, "hardware", device->hardware);
    buffer_add_text(out, ",");
    add_text_or_null(out, "why_no_gpu", device->is_cuda ? "" : device->why_no_gpu.text);
    buffer_add_format(out, ",\"max_length\":%d,\"batch_tokens\":%d,\"memory\":{", info->max_length,
                      device->is_cuda ? info->cuda.batch_tokens : device->cpu.batch_tokens);
    if (device->is_cuda) {
        buffer_add_format(out,
                          "\"device_nbytes\":%zu,\"weights_nbytes\":%zu,\"free_nbytes\":%zu,"
                          "\"pinned_nbytes\":%zu",
                          info->cuda.device_nbytes, info->cuda.weights_nbytes,
                          info->cuda.free_nbytes, info->cuda.pinned_nbytes);
    } else {
        buffer_add_format(
            out, "\"weights_nbytes\":%zu,\"working_nbytes\":%zu,\"embeddings_nbytes\":%zu",
            info->cpu.weights_nbytes, info->cpu.working_nbytes, info->embeddings_nbytes);
    }
    buffer_add_format(out, ",\"rest_nbytes\":%zu}}", info->rest_nbytes);
}

void info_print_json(const struct info *info, struct buffer *out) {
    const struct {
        const char *key;
        bool is_known;
        void (*add)(const struct info *info, struct buffer *out);
    } parts[] = {
        {"config", info->has_config, add_config},
        {"weights", info->model != NULL, add_weights},
        {"tokenizer", info->tokenizer != NULL, add_tokenizer},
        {"labels", info_labels(info) != NULL, add_labels},
        {"calibration", info->model != NULL, add_calibration},
        {"files", true, add_files},
        {"device", info->has_device, add_device},
    };
    buffer_add_text(out, "{\"wader\":\"" WADER_VERSION "\",");
    add_text(out, "model", info->options->model);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        buffer_add_format(out, ",\"%s\":", parts[i].key);
        if (parts[i].is_known) {
            parts[i].add(info, out);
        } else {
            buffer_add_text(out, "null");
        }
    }
    buffer_add_text(out, ",");
    add_text_or_null(out, "error", info->error.text);
    buffer_add_text(out, "}\n");
}
