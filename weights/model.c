// SPDX-License-Identifier: Apache-2.0
#include "weights/model.h"

#include <stdlib.h>

#include "weights/bert_config.h"
#include "weights/bert_weights.h"
#include "weights/calibration.h"
#include "weights/checkpoint.h"
#include "weights/labels.h"

// What is at hand while a model is opened.
struct opening {
    const char *dir;
    const char *labels_file;
    struct model *model;
    struct model_files files;
    struct checkpoint checkpoint;
    struct labels labels;  // id2label, or whatever took its place
    struct error *error;
};

static enum status read_config(struct opening *opening) {
    struct bert_config *config = &opening->model->config;
    char path[PATH_NBYTES_MAX];
    struct span text = {0};
    enum status status =
        model_files_add(&opening->files, opening->dir, "config.json", path, &text, opening->error);
    struct json_value object;
    if (status == STATUS_OK) status = config_parse(text, path, &object, opening->error);
    if (status == STATUS_OK) status = bert_config_read(object, path, config, opening->error);
    if (status == STATUS_OK) {
        status = labels_from_config(object, path, &opening->labels, opening->error);
    }
    if (status != STATUS_OK) return status;
    int32_t n_named = (int32_t)opening->labels.n;
    if (n_named > 0 && config->n_labels > 0 && n_named != config->n_labels) {
        return error_set(opening->error, STATUS_MODEL,
                         "%s: id2label names %d labels, but num_labels is %d", path, n_named,
                         config->n_labels);
    }
    if (n_named > 0) config->n_labels = n_named;
    return STATUS_OK;
}

static enum status bind_weights(struct opening *opening) {
    struct model *model = opening->model;
    char path[PATH_NBYTES_MAX];
    enum status status =
        checkpoint_open(opening->dir, &opening->files, &opening->checkpoint, opening->error);
    if (status != STATUS_OK) return status;
    model->weights_name = opening->checkpoint.name;
    status = path_join(path, sizeof path, opening->dir, model->weights_name, opening->error);
    if (status != STATUS_OK) return status;
    const struct tensor_table *table = &opening->checkpoint.table;
    int32_t *n_labels = &model->config.n_labels;
    if (*n_labels == 0) {
        // Where there is no such tensor, binding will say so.
        size_t rows = bert_weights_classifier_rows(table);
        *n_labels = (int32_t)(rows < LABELS_MAX ? rows : LABELS_MAX);
    }
    status = bert_weights_bind(table, &model->config, path, &model->weights, opening->error);
    if (status != STATUS_OK) return status;
    if (*n_labels < 2) {
        return error_set(opening->error, STATUS_MODEL,
                         "%s: the classifier has %d rows; with fewer than 2 it is a regression, or "
                         "a yes and no without names, which is not supported",
                         path, *n_labels);
    }
    return STATUS_OK;
}

// Replaces the labels by those in a file, which must be as many as there are classes.
static enum status read_label_file(struct opening *opening, const char *dir, const char *name) {
    char path[PATH_NBYTES_MAX];
    struct span text = {0};
    enum status status = model_files_add(&opening->files, dir, name, path, &text, opening->error);
    if (status != STATUS_OK) return status;
    struct labels labels;
    status = labels_from_lines(text, path, &labels, opening->error);
    if (status != STATUS_OK) return status;
    free(opening->labels.names);
    opening->labels = labels;
    if (labels.n != (size_t)opening->model->config.n_labels) {
        return error_set(opening->error, STATUS_MODEL,
                         "%s: %zu label names, but the model has %d labels", path, labels.n,
                         opening->model->config.n_labels);
    }
    return STATUS_OK;
}

static const char in_directory[] = "labels.txt";

// That rows can tell the labels apart; the message names the file that they are in.
static enum status check_names(const struct opening *opening) {
    const enum label_source source = opening->model->label_source;
    if (source == LABELS_NUMBERED) return STATUS_OK;
    char path[PATH_NBYTES_MAX];
    const char *where = opening->labels_file;
    if (source != LABELS_FROM_FILE) {
        const char *name = source == LABELS_FROM_CONFIG ? "config.json" : in_directory;
        enum status status = path_join(path, sizeof path, opening->dir, name, opening->error);
        if (status != STATUS_OK) return status;
        where = path;
    }
    return labels_check_distinct(&opening->labels, where, opening->error);
}

static enum status name_labels(struct opening *opening) {
    struct model *model = opening->model;
    enum status status = STATUS_OK;
    if (!labels_say_nothing(&opening->labels)) {
        model->label_source = LABELS_FROM_CONFIG;
    } else if (model_file_exists(opening->dir, in_directory)) {
        model->label_source = LABELS_FROM_DIR;
        status = read_label_file(opening, opening->dir, in_directory);
    } else if (opening->labels_file != NULL) {
        model->label_source = LABELS_FROM_FILE;
        status = read_label_file(opening, NULL, opening->labels_file);
    } else {
        model->label_source = LABELS_NUMBERED;
        free(opening->labels.names);
        opening->labels = (struct labels){0};
        status = labels_numbered((size_t)model->config.n_labels, &opening->labels, opening->error);
    }
    return status == STATUS_OK ? check_names(opening) : status;
}

// Thresholds go by the labels' final names.
static enum status read_calibration(struct opening *opening) {
    char path[PATH_NBYTES_MAX];
    struct span text = {0};
    if (!model_file_exists(opening->dir, CALIBRATION_NAME)) return STATUS_OK;
    enum status status = model_files_add(&opening->files, opening->dir, CALIBRATION_NAME, path,
                                         &text, opening->error);
    if (status != STATUS_OK) return status;
    return calibration_parse(text, path, opening->labels.names, opening->model->config.n_labels,
                             &opening->model->calibration, opening->error);
}

enum status model_open(const char *dir, const char *labels_file, struct model **out,
                       struct error *error) {
    *out = NULL;
    void *memory = NULL;
    enum status status = alloc_zeroed(&memory, 1, sizeof(struct model), "the model", error);
    if (status != STATUS_OK) return status;
    struct opening opening = {
        .dir = dir, .labels_file = labels_file, .model = memory, .error = error};
    opening.model->calibration.temperature = 1.0f;
    status = model_directory_check(dir, error);
    if (status == STATUS_OK) status = read_config(&opening);
    if (status == STATUS_OK) status = bind_weights(&opening);
    if (status == STATUS_OK) status = name_labels(&opening);
    if (status == STATUS_OK) status = read_calibration(&opening);
    checkpoint_close(&opening.checkpoint);
    opening.model->labels = opening.labels.names;
    opening.model->files = opening.files.files;
    opening.model->n_files = opening.files.n_files;
    opening.model->rooms = opening.files.rooms;
    opening.model->n_rooms = opening.files.n_rooms;
    if (status == STATUS_OK) {
        *out = opening.model;
    } else {
        model_close(opening.model);
    }
    return status;
}

enum status model_read_config(const char *dir, struct bert_config *config, struct error *error) {
    struct model model = {0};
    struct opening opening = {.dir = dir, .model = &model, .error = error};
    enum status status = model_directory_check(dir, error);
    if (status == STATUS_OK) status = read_config(&opening);
    *config = model.config;
    free(opening.labels.names);
    model_files_close(&opening.files);
    return status;
}

enum status model_check_unchanged(const struct model *model, const char *dir, struct error *error) {
    for (size_t i = 0; i < model->n_files; i++) {
        const struct model_file *file = &model->files[i];
        char path[PATH_NBYTES_MAX];
        enum status status = STATUS_OK;
        if (file->in_dir) status = path_join(path, sizeof path, dir, file->name, error);
        if (status != STATUS_OK) return status;
        if (!file_map_is_current(file->in_dir ? path : file->name, &file->map)) {
            return error_set(error, STATUS_MODEL,
                             "%s/%s changed while it was in use: nothing was committed; run again",
                             dir, file->name);
        }
    }
    return STATUS_OK;
}

void model_close(struct model *model) {
    if (model == NULL) return;
    bert_weights_free(&model->weights);
    free(model->labels);
    free(model->calibration.thresholds);
    struct model_files files = {.files = model->files,
                                .n_files = model->n_files,
                                .rooms = model->rooms,
                                .n_rooms = model->n_rooms};
    model_files_close(&files);
    free(model);
}
