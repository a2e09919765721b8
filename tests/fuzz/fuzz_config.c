// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as config.json, as an index of shards and as a file of label names: what is accepted
// keeps the bounds that everything after relies on.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/utf8.h"
#include "weights/bert_config.h"
#include "weights/labels.h"
#include "weights/shard_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_config(const struct bert_config *config) {
    assert(config->vocab_size >= 1 && config->vocab_size <= 1 << 24);
    assert(config->max_positions >= 1 && config->max_positions <= 1 << 20);
    const bool has_types = config->architecture == ARCHITECTURE_BERT;
    assert((has_types ? config->type_vocab_size >= 1 : config->type_vocab_size == 0) &&
           config->intermediate_size >= 1);
    assert(config->hidden_size >= 1 && config->n_heads >= 1);
    assert(config->hidden_size % config->n_heads == 0);
    assert(config->n_layers >= 1 && config->n_layers <= 512);
    assert(config->n_labels >= 0 && config->n_labels <= LABELS_MAX);
    assert(config->layer_norm_eps > 0 && config->layer_norm_eps <= 1);
}

static void check_labels(const struct labels *labels) {
    assert(labels->n <= LABELS_MAX);
    for (size_t i = 0; i < labels->n; i++) {
        size_t len = strlen(labels->names[i]);
        assert(len > 0 && utf8_check(labels->names[i], len) == len);
    }
    labels_say_nothing(labels);
    free(labels->names);
}

static void check_index(const struct shard_index *index) {
    assert(index->n_shards <= SHARDS_MAX && index->n_shards <= index->n_entries);
    for (size_t i = 0; i < index->n_entries; i++) assert(index->entries[i].shard < index->n_shards);
    for (size_t i = 0; i < index->n_shards; i++) {
        assert(strchr(index->shards[i], '/') == NULL && index->shards[i][0] != '\0');
        assert(strcmp(index->shards[i], "..") != 0);
        for (size_t j = 0; j < i; j++) assert(strcmp(index->shards[i], index->shards[j]) != 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span text = {(const char *)data, size};
    struct json_value object;
    struct bert_config config;
    struct labels labels;
    struct shard_index index;
    struct error error = {""};
    if (labels_from_lines(text, "x", &labels, &error) == STATUS_OK) check_labels(&labels);
    if (config_parse(text, "x", &object, &error) == STATUS_OK) {
        if (bert_config_read(object, "x", &config, &error) == STATUS_OK) check_config(&config);
        if (labels_from_config(object, "x", &labels, &error) == STATUS_OK) check_labels(&labels);
    }
    if (shard_index_parse(text, "x", &index, &error) == STATUS_OK) {
        check_index(&index);
        shard_index_free(&index);
    }
    return 0;
}
