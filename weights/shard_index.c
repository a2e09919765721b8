// SPDX-License-Identifier: Apache-2.0
#include "weights/shard_index.h"

#include <stdlib.h>
#include <string.h>

#include "host/base/json.h"
#include "weights/bert_config.h"
#include "weights/quote.h"

enum { FILE_NAME_MAX = 255 };

// A file beside the index: nothing that leads elsewhere, nothing that a terminal would act on when
// a message names it.
static bool is_plain_name(const char *name, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)name[i] < ' ' || name[i] == '\x7f') return false;
    }
    return len > 0 && len <= FILE_NAME_MAX && memchr(name, '/', len) == NULL &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

// The number of the shard `name`, which is added where it is new; SIZE_MAX where there is no room.
// Tensors of one shard mostly follow each other, so the last one is tried first.
static size_t shard_number(struct shard_index *index, const char *name) {
    for (size_t i = index->n_shards; i > 0; i--) {
        if (strcmp(index->shards[i - 1], name) == 0) return i - 1;
    }
    if (index->n_shards == SHARDS_MAX) return SIZE_MAX;
    index->shards[index->n_shards] = name;
    return index->n_shards++;
}

static enum status read_entries(struct json_value map, const char *path, struct shard_index *index,
                                struct error *error) {
    char *names = index->names;
    for (struct json_walk walk = json_walk(map); json_next(&walk);) {
        struct shard_entry *entry = &index->entries[index->n_entries++];
        entry->tensor = (struct span){names, json_string(walk.key, names)};
        names += entry->tensor.len;
        size_t len = walk.value.type == JSON_STRING ? json_string(walk.value, names) : 0;
        names[len] = '\0';
        if (!is_plain_name(names, len)) {
            return error_set(error, STATUS_MODEL,
                             "%s: tensor %s is said to be in %s; that must be the name of a file "
                             "in the same directory",
                             path, quote(entry->tensor).text, quote_json(walk.value).text);
        }
        entry->shard = shard_number(index, names);
        if (entry->shard == SIZE_MAX) {
            return error_set(error, STATUS_MODEL, "%s: more than %d files are named", path,
                             SHARDS_MAX);
        }
        names += len + 1;
    }
    return STATUS_OK;
}

enum status shard_index_parse(struct span text, const char *path, struct shard_index *index,
                              struct error *error) {
    *index = (struct shard_index){0};
    struct json_value object, map;
    enum status status = config_parse(text, path, &object, error);
    if (status != STATUS_OK) return status;
    if (!json_member(object, "weight_map", &map) || map.type != JSON_OBJECT) {
        return error_set(error, STATUS_MODEL, "%s: weight_map, an object, is missing", path);
    }
    size_t n = 0, nbytes = 0;
    for (struct json_walk walk = json_walk(map); json_next(&walk); n++) {
        nbytes += walk.key.raw.len + walk.value.raw.len + 1;
    }
    void *entries = NULL, *shards = NULL, *names = NULL;
    status = alloc_array(&entries, n, sizeof *index->entries, "the tensor index", error);
    index->entries = entries;
    if (status == STATUS_OK) {
        size_t n_shards = n < SHARDS_MAX ? n : SHARDS_MAX;
        status = alloc_array(&shards, n_shards, sizeof *index->shards, "file names", error);
        index->shards = shards;
    }
    if (status == STATUS_OK) {
        status = alloc_array(&names, nbytes, 1, "tensor names", error);
        index->names = names;
    }
    if (status == STATUS_OK) status = read_entries(map, path, index, error);
    if (status != STATUS_OK) shard_index_free(index);
    return status;
}

void shard_index_free(struct shard_index *index) {
    free(index->entries);
    free(index->shards);
    free(index->names);
    *index = (struct shard_index){0};
}
