// SPDX-License-Identifier: Apache-2.0
#include "weights/checkpoint.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "weights/hdf5_open.h"
#include "weights/quote.h"
#include "weights/safetensors.h"
#include "weights/shard_index.h"

static const char single_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";
static const char keras_file_name[] = "tf_model.h5";

static enum status open_safetensors(const char *dir, const char *name, struct model_files *files,
                                    struct tensor_table *table, struct error *error) {
    char path[PATH_NBYTES_MAX];
    struct span bytes = {0};
    enum status status = model_files_add(files, dir, name, path, &bytes, error);
    if (status != STATUS_OK) return status;
    // All of it will be read, once: reading ahead beats one page fault after the other.
    if (bytes.len > 0) madvise((void *)(uintptr_t)bytes.ptr, bytes.len, MADV_WILLNEED);
    return safetensors_parse(bytes.ptr, bytes.len, path, table, error);
}

// Puts the tensors that the index names into one table, each out of the shard it is said to be in.
static enum status gather(const struct shard_index *index, const char *path,
                          struct checkpoint *checkpoint, struct error *error) {
    void *tensors = NULL;
    enum status status = alloc_array(&tensors, index->n_entries, sizeof(struct named_tensor),
                                     "the tensor table", error);
    if (status != STATUS_OK) return status;
    struct tensor_table *table = &checkpoint->table;
    table->tensors = tensors;
    for (size_t i = 0; i < index->n_entries; i++) {
        const struct shard_entry *entry = &index->entries[i];
        const struct named_tensor *found =
            tensor_table_find(&checkpoint->shards[entry->shard], entry->tensor);
        if (found == NULL) {
            return error_set(error, STATUS_MODEL,
                             "%s: tensor %s is said to be in %s, but is not there", path,
                             quote(entry->tensor).text, index->shards[entry->shard]);
        }
        table->tensors[table->n_tensors++] = *found;
    }
    return tensor_table_sort(table, path, error);
}

static enum status open_shards(const char *dir, struct model_files *files,
                               struct checkpoint *checkpoint, struct error *error) {
    char path[PATH_NBYTES_MAX];
    struct span text = {0};
    enum status status = model_files_add(files, dir, index_name, path, &text, error);
    if (status != STATUS_OK) return status;
    struct shard_index index;
    status = shard_index_parse(text, path, &index, error);
    if (status != STATUS_OK) return status;
    void *shards = NULL;
    status = alloc_zeroed(&shards, index.n_shards, sizeof *checkpoint->shards, "the shards", error);
    checkpoint->shards = shards;
    for (size_t i = 0; status == STATUS_OK && i < index.n_shards; i++) {
        status = open_safetensors(dir, index.shards[i], files, &checkpoint->shards[i], error);
        checkpoint->n_shards = i + 1;
    }
    if (status == STATUS_OK) status = gather(&index, path, checkpoint, error);
    shard_index_free(&index);
    return status;
}

// No safetensors here: says what is, and what to do about it.
static enum status refuse_directory(const char *dir, struct error *error) {
    static const char *const others[] = {
        "pytorch_model.bin", "pytorch_model.bin.index.json", "flax_model.msgpack",
        "model.ckpt.index",
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (!model_file_exists(dir, others[i])) continue;
        return error_set(error, STATUS_MODEL,
                         "%s: the weights are in %s, but this version reads safetensors only. "
                         "Convert them once, in Python: from transformers import "
                         "AutoModelForSequenceClassification as M; "
                         "M.from_pretrained(DIR).save_pretrained(NEW_DIR, safe_serialization=True)",
                         dir, others[i]);
    }
    return error_set(error, STATUS_MODEL, "%s: no weights found; looked for %s and %s", dir,
                     single_name, index_name);
}

enum status checkpoint_open(const char *dir, struct model_files *files,
                            struct checkpoint *checkpoint, struct error *error) {
    *checkpoint = (struct checkpoint){0};
    enum status status = STATUS_OK;
    if (model_file_exists(dir, single_name)) {
        checkpoint->name = single_name;
        status = open_safetensors(dir, single_name, files, &checkpoint->table, error);
    } else if (model_file_exists(dir, index_name)) {
        checkpoint->name = index_name;
        status = open_shards(dir, files, checkpoint, error);
    } else if (model_file_exists(dir, keras_file_name)) {
        checkpoint->name = keras_file_name;
        status = hdf5_open(dir, keras_file_name, files, &checkpoint->table, error);
    } else {
        status = refuse_directory(dir, error);
    }
    if (status != STATUS_OK) checkpoint_close(checkpoint);
    return status;
}

void checkpoint_close(struct checkpoint *checkpoint) {
    for (size_t i = 0; i < checkpoint->n_shards; i++) tensor_table_free(&checkpoint->shards[i]);
    free(checkpoint->shards);
    tensor_table_free(&checkpoint->table);
    *checkpoint = (struct checkpoint){0};
}
