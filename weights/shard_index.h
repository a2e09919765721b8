// SPDX-License-Identifier: Apache-2.0
//
// model.safetensors.index.json and pytorch_model.bin.index.json: which tensor is in which file,
// where a checkpoint is in several.
#ifndef WADER_WEIGHTS_SHARD_INDEX_H
#define WADER_WEIGHTS_SHARD_INDEX_H

#include "host/base/base.h"

enum { SHARDS_MAX = 1000 };

struct shard_entry {
    struct span tensor;
    size_t shard;
};

struct shard_index {
    struct shard_entry *entries;  // [n_entries]
    size_t n_entries;
    const char **shards;  // [n_shards] plain names of files, each once
    size_t n_shards;
    char *names;  // where all the names live
};

// STATUS_MODEL where `text` is no such index, or names a file outside the directory. `path` is for
// the message.
enum status shard_index_parse(struct span text, const char *path, struct shard_index *index,
                              struct error *error);
void shard_index_free(struct shard_index *index);

#endif
