// SPDX-License-Identifier: Apache-2.0
#include "weights/calibration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/buffer.h"
#include "host/base/json.h"
#include "weights/bert_config.h"
#include "weights/quote.h"

enum { LABELS_LISTED = 6 };

struct parser {
    struct span text;
    const char *path;
    char *const *labels;
    int32_t n_labels;
    struct error *error;
};

static size_t offset_of(const struct parser *parser, struct json_value value) {
    return (size_t)(value.raw.ptr - parser->text.ptr);
}

// A number of [least, most]. `what` names it for the message.
static enum status read_number(const struct parser *parser, const char *what,
                               struct json_value value, double least, double most, float *out) {
    double number;
    if (value.type == JSON_NUMBER && json_double(value, &number) && number >= least &&
        number <= most) {
        *out = (float)number;
        return STATUS_OK;
    }
    return error_set(parser->error, STATUS_MODEL,
                     "%s: %s is %s, at byte %zu; it must be a number from %g to %g", parser->path,
                     what, quote_json(value).text, offset_of(parser, value), least, most);
}

// ---- thresholds by label

struct named_class {
    const char *name;
    int32_t class;
};

static int by_name(const void *a, const void *b) {
    return strcmp(((const struct named_class *)a)->name, ((const struct named_class *)b)->name);
}

// The labels in order of name: finding one by one would take minutes where there are very many.
static enum status sort_labels(const struct parser *parser, struct named_class **out) {
    void *memory;
    enum status status = alloc_array(&memory, (size_t)parser->n_labels, sizeof **out,
                                     "the labels' names", parser->error);
    *out = memory;
    if (status != STATUS_OK) return status;
    for (int32_t k = 0; k < parser->n_labels; k++) {
        (*out)[k] = (struct named_class){.name = parser->labels[k], .class = k};
    }
    qsort(*out, (size_t)parser->n_labels, sizeof **out, by_name);
    return STATUS_OK;
}

static enum status refuse_label(const struct parser *parser, struct json_value key) {
    struct buffer list = {0};
    const int32_t n = parser->n_labels;
    for (int32_t k = 0; k < n && k < LABELS_LISTED; k++) {
        buffer_add_format(&list, "%s%s", k > 0 ? ", " : "",
                          quote(span_text(parser->labels[k])).text);
    }
    if (n > LABELS_LISTED) buffer_add_format(&list, " and %d more", n - LABELS_LISTED);
    buffer_add(&list, "", 1);
    const enum status status = error_set(
        parser->error, STATUS_MODEL,
        "%s: thresholds has the key %s, at byte %zu, which is none of the model's labels: %s",
        parser->path, quote_json(key).text, offset_of(parser, key), list.failed ? "" : list.bytes);
    buffer_free(&list);
    return status;
}

// `name` is room for any of the file's strings and a NUL; `thresholds` is below 0 where none was
// read yet.
static enum status read_member(const struct parser *parser, const struct json_walk *member,
                               const struct named_class *sorted, char *name, float *thresholds) {
    const size_t len = json_string(member->key, name);
    name[len] = '\0';
    const struct named_class key = {.name = name};
    const struct named_class *found =
        strlen(name) < len
            ? NULL
            : bsearch(&key, sorted, (size_t)parser->n_labels, sizeof *sorted, by_name);
    if (found == NULL) return refuse_label(parser, member->key);
    if (thresholds[found->class] >= 0) {
        return error_set(parser->error, STATUS_MODEL, "%s: thresholds has %s twice, at byte %zu",
                         parser->path, quote_json(member->key).text,
                         offset_of(parser, member->key));
    }
    char what[160];
    snprintf(what, sizeof what, "the threshold of %s", quote_json(member->key).text);
    return read_number(parser, what, member->value, 0, 1, &thresholds[found->class]);
}

static enum status read_members(const struct parser *parser, struct json_value object,
                                float *thresholds) {
    struct named_class *sorted = NULL;
    void *name = NULL;
    enum status status =
        alloc_array(&name, object.raw.len, 1, "a name in thresholds", parser->error);
    if (status == STATUS_OK) status = sort_labels(parser, &sorted);
    for (int32_t k = 0; k < parser->n_labels; k++) thresholds[k] = -1;
    for (struct json_walk walk = json_walk(object); status == STATUS_OK && json_next(&walk);) {
        status = read_member(parser, &walk, sorted, name, thresholds);
    }
    for (int32_t k = 0; k < parser->n_labels; k++) {
        if (thresholds[k] < 0) thresholds[k] = 0;
    }
    free(sorted);
    free(name);
    return status;
}

static enum status read_thresholds(const struct parser *parser, struct json_value value,
                                   float **out) {
    void *memory;
    enum status status =
        alloc_zeroed(&memory, (size_t)parser->n_labels, sizeof(float), "thresholds", parser->error);
    if (status != STATUS_OK) return status;
    float *thresholds = memory;
    if (value.type == JSON_OBJECT) {
        status = read_members(parser, value, thresholds);
    } else if (value.type == JSON_NUMBER) {
        status = read_number(parser, "thresholds", value, 0, 1, &thresholds[0]);
        for (int32_t k = 1; k < parser->n_labels; k++) thresholds[k] = thresholds[0];
    } else {
        status = error_set(parser->error, STATUS_MODEL,
                           "%s: thresholds is %s, at byte %zu; it must be an object with a number "
                           "from 0 to 1 for each label it names, or one such number for all",
                           parser->path, json_type_name(value.type), offset_of(parser, value));
    }
    *out = status == STATUS_OK ? thresholds : NULL;
    if (status != STATUS_OK) free(thresholds);
    return status;
}

// ---- the file

static enum status refuse_key(const struct parser *parser, struct json_value key, const char *why) {
    return error_set(parser->error, STATUS_MODEL, "%s: the key %s, at byte %zu, %s", parser->path,
                     quote_json(key).text, offset_of(parser, key), why);
}

static enum status read_object(const struct parser *parser, struct json_value object,
                               struct calibration *calibration) {
    bool has_temperature = false, has_thresholds = false;
    for (struct json_walk walk = json_walk(object); json_next(&walk);) {
        const bool is_temperature = json_string_equal(walk.key, "temperature");
        if (!is_temperature && !json_string_equal(walk.key, "thresholds")) {
            return refuse_key(parser, walk.key,
                              "is not known; only \"temperature\" and \"thresholds\" are");
        }
        bool *has = is_temperature ? &has_temperature : &has_thresholds;
        if (*has) return refuse_key(parser, walk.key, "is there twice");
        *has = true;
        const enum status status =
            is_temperature ? read_number(parser, "temperature", walk.value, TEMPERATURE_MIN,
                                         TEMPERATURE_MAX, &calibration->temperature)
                           : read_thresholds(parser, walk.value, &calibration->thresholds);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

enum status calibration_parse(struct span text, const char *path, char *const *labels,
                              int32_t n_labels, struct calibration *calibration,
                              struct error *error) {
    if (text.len > CALIBRATION_NBYTES_MAX) {
        return error_set(error, STATUS_MODEL,
                         "%s: %zu bytes; a temperature and thresholds take %d at most", path,
                         text.len, CALIBRATION_NBYTES_MAX);
    }
    struct json_value object;
    enum status status = config_parse(text, path, &object, error);
    if (status != STATUS_OK) return status;
    const struct parser parser = {
        .text = text, .path = path, .labels = labels, .n_labels = n_labels, .error = error};
    struct calibration read = {.temperature = 1.0f};
    status = read_object(&parser, object, &read);
    if (status == STATUS_OK) {
        *calibration = read;
    } else {
        free(read.thresholds);
    }
    return status;
}
