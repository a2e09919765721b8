// SPDX-License-Identifier: Apache-2.0
#include "host/job/convert_files.h"

#include "host/job/convert_config.h"
#include "weights/bert_config.h"
#include "weights/calibration.h"
#include "weights/model_files.h"

static enum status write_file(struct convert_directory *directory, const char *name,
                              struct span bytes, struct error *error) {
    enum status status = convert_directory_begin(directory, name, error);
    if (status == STATUS_OK) {
        status = convert_directory_write(directory, bytes.ptr, bytes.len, error);
    }
    return status == STATUS_OK ? convert_directory_end(directory, error) : status;
}

enum status convert_files_copy(const char *dir, struct convert_directory *directory,
                               struct error *error) {
    static const char *const names[] = {
        "vocab.txt",         "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
        "added_tokens.json", "labels.txt",     CALIBRATION_NAME,
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char path[PATH_NBYTES_MAX];
        struct file_map map;
        if (!model_file_exists(dir, names[i])) continue;
        enum status status = path_join(path, sizeof path, dir, names[i], error);
        if (status == STATUS_OK) status = file_map_open(path, &map, error);
        if (status != STATUS_OK) return status;
        status = write_file(directory, names[i], (struct span){map.bytes, map.nbytes}, error);
        file_map_close(&map);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

// transformers takes two labels for granted where a config.json does not tell how many there are.
static bool tells_count(struct json_value config) {
    struct json_value value;
    return (json_member(config, "id2label", &value) && value.type != JSON_NULL) ||
           (json_member(config, "num_labels", &value) && value.type != JSON_NULL);
}

enum status convert_files_config(const struct model *model, const char *dtype,
                                 struct convert_directory *directory, struct error *error) {
    static const char *const classes[] = {
        [ARCHITECTURE_BERT] = "BertForSequenceClassification",
        [ARCHITECTURE_DISTILBERT] = "DistilBertForSequenceClassification"};
    const struct model_file *file = &model->files[0];
    const struct span text = {file->map.bytes, file->map.nbytes};
    struct json_value object;
    enum status status = config_parse(text, file->name, &object, error);
    if (status != STATUS_OK) return status;
    const bool from_file =
        model->label_source == LABELS_FROM_DIR || model->label_source == LABELS_FROM_FILE;
    const struct config_changes changes = {
        .architecture = classes[model->config.architecture],
        .dtype = dtype,
        .labels = from_file || !tells_count(object) ? model->labels : NULL,
        .n_labels = (size_t)model->config.n_labels,
    };
    struct buffer out = {0};
    status = convert_config(text, &changes, &out, error);
    if (status == STATUS_OK) {
        status = write_file(directory, file->name, (struct span){out.bytes, out.len}, error);
    }
    buffer_free(&out);
    return status;
}
