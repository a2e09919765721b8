// SPDX-License-Identifier: Apache-2.0
//
// `wader info`: what a model directory holds, and what this host would label with it on. It opens
// what `wader label` opens, in the same order, but goes on after a fault as far as it can: the
// first one is its error and its exit code, behind what it could tell.
#include "host/cli/info.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/cli/commands.h"
#include "host/cli/label_setup.h"
#include "host/stream/output.h"
#include "weights/bert_config.h"
#include "weights/bert_weights.h"
#include "weights/calibration.h"
#include "weights/dtype.h"
#include "weights/model_files.h"

const char *info_class(const struct info *info) {
    static const char *const classes[] = {
        [ARCHITECTURE_BERT] = "BertForSequenceClassification",
        [ARCHITECTURE_DISTILBERT] = "DistilBertForSequenceClassification"};
    return classes[info->config.architecture];
}

const char *info_format(const struct info *info) {
    const char *name = info->model->weights_name;
    if (strstr(name, ".safetensors") != NULL) return "safetensors";
    return strstr(name, ".bin") != NULL ? "PyTorch" : "Keras HDF5";
}

char *const *info_labels(const struct info *info) {
    return info->model != NULL ? info->model->labels : info->config_labels.names;
}

const char *info_label_source(const struct info *info) {
    static const char *const sources[] = {[LABELS_FROM_CONFIG] = "id2label",
                                          [LABELS_FROM_DIR] = "labels.txt",
                                          [LABELS_FROM_FILE] = "--labels",
                                          [LABELS_NUMBERED] = "none"};
    return sources[info->model != NULL ? info->model->label_source : LABELS_FROM_CONFIG];
}

bool info_is_calibrated(const struct info *info) {
    for (size_t i = 0; info->model != NULL && i < info->model->n_files; i++) {
        const struct model_file *file = &info->model->files[i];
        if (file->in_dir && strcmp(file->name, CALIBRATION_NAME) == 0) return true;
    }
    return false;
}

struct info_number info_number(float number) {
    struct info_number out;
    int digits = 6;
    do {
        snprintf(out.text, sizeof out.text, "%.*g", digits, (double)number);
    } while (strtof(out.text, NULL) != number && digits++ < 9);
    return out;
}

// The first fault stays.
static void note(struct info *info, enum status status, const struct error *error) {
    if (status == STATUS_OK || info->status != STATUS_OK) return;
    info->status = status;
    info->error = *error;
}

// ---- the model

// What config.json tells by itself. That it cannot be read was said before.
static void read_config_alone(struct info *info) {
    char path[PATH_NBYTES_MAX];
    struct file_map map;
    struct json_value object;
    const char *dir = info->options->model;
    info->has_config = model_read_config(dir, &info->config, NULL) == STATUS_OK;
    if (!info->has_config || path_join(path, sizeof path, dir, "config.json", NULL) != STATUS_OK ||
        file_map_open(path, &map, NULL) != STATUS_OK) {
        return;
    }
    if (config_parse((struct span){map.bytes, map.nbytes}, path, &object, NULL) == STATUS_OK) {
        (void)labels_from_config(object, path, &info->config_labels, NULL);
    }
    file_map_close(&map);
}

static void read_model(struct info *info) {
    struct error error;
    const enum status status =
        model_open(info->options->model, info->options->labels, &info->model, &error);
    note(info, status, &error);
    if (status != STATUS_OK) {
        read_config_alone(info);
        return;
    }
    const struct bert_config *config = &info->model->config;
    info->has_config = true;
    info->config = *config;
    info->n_tensors = bert_weights_count(config);
    for (size_t i = 0; i < info->n_tensors; i++) {
        const struct tensor tensor = bert_weights_get(config, &info->model->weights, i).tensor;
        info->n_parameters += tensor.n_elements;
        info->n_by_dtype[tensor.dtype] += tensor.n_elements;
    }
    const struct tensor embeddings = info->model->weights.word_embeddings;
    info->embeddings_nbytes = embeddings.n_elements * dtype_size(embeddings.dtype);
}

static void read_tokenizer(struct info *info) {
    struct error error;
    enum status status = tokenizer_open(info->options->model, &info->tokenizer, &error);
    if (status == STATUS_OK && info->has_config) {
        status = check_vocabulary(info->options, &info->config, info->tokenizer, &error);
    }
    note(info, status, &error);
}

// ---- its files

static void add_file(struct info *info, const char *dir, const char *name) {
    const struct span text = span_text(name);
    struct info_file *file = &info->files[info->n_files];
    struct stat stat_of;
    struct error error;
    enum status status = STATUS_OK;
    if (dir != NULL) {
        status = path_join(file->path, sizeof file->path, dir, name, &error);
    } else {
        snprintf(file->path, sizeof file->path, "%s", name);
    }
    if (status == STATUS_OK) status = sha256_file(file->path, NULL, file->sha256, &error);
    note(info, status, &error);
    if (status != STATUS_OK || stat(file->path, &stat_of) != 0) return;
    file->name = name;
    file->nbytes = (size_t)stat_of.st_size;
    file->is_weights =
        dir != NULL && (span_ends_in(text, ".safetensors") || span_ends_in(text, ".bin") ||
                        span_ends_in(text, ".h5") || span_ends_in(text, ".index.json"));
    info->n_files++;
}

static enum status read_files(struct info *info, struct error *error) {
    static const char *const tokenizer_names[] = {"vocab.txt", "tokenizer.json",
                                                  "tokenizer_config.json"};
    const char *dir = info->options->model;
    const size_t n_model = info->model != NULL ? info->model->n_files : 1;
    void *files;
    enum status status = alloc_zeroed(&files, n_model + ARRAY_LEN(tokenizer_names),
                                      sizeof *info->files, "the list of files", error);
    if (status != STATUS_OK) return status;
    info->files = files;
    if (info->model == NULL && info->has_config) add_file(info, dir, "config.json");
    for (size_t i = 0; info->model != NULL && i < n_model; i++) {
        const struct model_file *file = &info->model->files[i];
        add_file(info, file->in_dir ? dir : NULL, file->name);
    }
    const size_t first = info->n_files;
    for (size_t i = 0; info->tokenizer != NULL && i < ARRAY_LEN(tokenizer_names); i++) {
        if (model_file_exists(dir, tokenizer_names[i])) add_file(info, dir, tokenizer_names[i]);
    }
    for (size_t i = first; i < info->n_files; i++) info->files[i].is_tokenizer = true;
    return STATUS_OK;
}

// ---- the host

static enum status measure(void *context, const struct device_choice *choice, struct error *error) {
    struct info *info = context;
    if (!choice->is_cuda) {
        return encoder_cpu_measure(&info->config, &choice->cpu, &info->cpu, error);
    }
    const struct model shape = {.config = info->config};
    return encoder_cuda_measure(&shape, &choice->cuda, &info->cuda, error);
}

static void look_at_host(struct info *info) {
    const struct device_user user = {.take = measure, .context = info};
    struct error error;
    const enum status status =
        choose_device(info->options, &info->config, info->max_length, &user, &info->device, &error);
    info->has_device = status == STATUS_OK;
    info->rest_nbytes = rest_nbytes_most(info->options, info->model);
    note(info, status, &error);
}

// ---- all of it

static enum status print(const struct info *info, struct error *error) {
    struct buffer text = {0};
    struct output *output = NULL;
    if (info->options->json) {
        info_print_json(info, &text);
    } else {
        info_print_text(info, &text);
    }
    enum status status = buffer_check(&text, error);
    if (status == STATUS_OK) status = output_open("-", &output, error);
    if (status == STATUS_OK) status = output_write(output, text.bytes, text.len, error);
    if (status == STATUS_OK) status = output_commit(output, error);
    output_close(output);
    buffer_free(&text);
    return status;
}

// Nothing is printed where there is nothing to tell: neither a config.json nor a tokenizer.
static enum status run(struct info *info, struct error *error) {
    const struct options *options = info->options;
    struct error fault;
    bool fits = false;
    read_model(info);
    if (info->has_config) {
        const enum status length =
            choose_max_length(options, &info->config, &info->max_length, &fault);
        note(info, length, &fault);
        fits = length == STATUS_OK;
    }
    if (model_directory_check(options->model, NULL) == STATUS_OK) read_tokenizer(info);
    if (!info->has_config && info->tokenizer == NULL && !options->json) return STATUS_OK;
    enum status status = read_files(info, error);
    if (status == STATUS_OK && fits) look_at_host(info);
    return status == STATUS_OK ? print(info, error) : status;
}

enum status command_info(const struct options *options, struct error *error) {
    if (options->n_inputs > 0) {
        return error_set(error, STATUS_USAGE, "%s: info takes no INPUT; --model tells what",
                         options->inputs[0]);
    }
    enum status status = check_device(options, error);
    if (status != STATUS_OK) return status;
    void *memory;
    status = alloc_zeroed(&memory, 1, sizeof(struct info), "what there is to tell", error);
    if (status != STATUS_OK) return status;
    struct info *info = memory;
    info->options = options;
    status = run(info, error);
    if (status == STATUS_OK && info->status != STATUS_OK) {
        status = error_set(error, info->status, "%s", info->error.text);
    }
    free(info->config_labels.names);
    free(info->files);
    tokenizer_close(info->tokenizer);
    model_close(info->model);
    free(info);
    return status;
}
