// SPDX-License-Identifier: Apache-2.0
#include "weights/checkpoint.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "weights/hdf5_open.h"
#include "weights/quote.h"
#include "weights/safetensors.h"
#include "weights/shard_index.h"
#include "weights/torch_file.h"

// Opens one file of weights.
typedef enum status open_file(const char *dir, const char *name, struct model_files *files,
                              struct tensor_table *table, struct error *error);

static enum status map_file(const char *dir, const char *name, struct model_files *files,
                            char *path, struct span *bytes, struct error *error) {
    enum status status = model_files_add(files, dir, name, path, bytes, error);
    if (status != STATUS_OK) return status;
    // All of it will be read, once: reading ahead beats one page fault after the other.
    if (bytes->len > 0) madvise((void *)(uintptr_t)bytes->ptr, bytes->len, MADV_WILLNEED);
    return STATUS_OK;
}

static enum status open_safetensors(const char *dir, const char *name, struct model_files *files,
                                    struct tensor_table *table, struct error *error) {
    char path[PATH_NBYTES_MAX];
    struct span bytes = {0};
    enum status status = map_file(dir, name, files, path, &bytes, error);
    if (status != STATUS_OK) return status;
    return safetensors_parse(bytes.ptr, bytes.len, path, table, error);
}

static enum status open_torch(const char *dir, const char *name, struct model_files *files,
                              struct tensor_table *table, struct error *error) {
    char path[PATH_NBYTES_MAX];
    struct span bytes = {0};
    enum status status = map_file(dir, name, files, path, &bytes, error);
    return status == STATUS_OK ? torch_parse(bytes, path, files, table, error) : status;
}

// What weights may be in, the first that is there being taken.
static const struct {
    const char *name;
    bool is_index;  // which says in which files of the format the tensors are
    open_file *open;
} sources[] = {
    {"model.safetensors", false, open_safetensors},
    {"model.safetensors.index.json", true, open_safetensors},
    {"pytorch_model.bin", false, open_torch},
    {"pytorch_model.bin.index.json", true, open_torch},
    {"tf_model.h5", false, hdf5_open},
};

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
            return error_set(
                error, STATUS_MODEL, "%s: tensor %s is said to be in %s, but is not there", path,
                quote(entry->tensor).text, quote(span_text(index->shards[entry->shard])).text);
        }
        table->tensors[table->n_tensors++] = *found;
    }
    return tensor_table_sort(table, path, error);
}

static enum status open_shards(const char *dir, open_file *open, struct model_files *files,
                               struct checkpoint *checkpoint, struct error *error) {
    char path[PATH_NBYTES_MAX];
    struct span text = {0};
    enum status status = model_files_add(files, dir, checkpoint->name, path, &text, error);
    if (status != STATUS_OK) return status;
    struct shard_index index;
    status = shard_index_parse(text, path, &index, error);
    if (status != STATUS_OK) return status;
    void *shards = NULL;
    status = alloc_zeroed(&shards, index.n_shards, sizeof *checkpoint->shards, "the shards", error);
    checkpoint->shards = shards;
    for (size_t i = 0; status == STATUS_OK && i < index.n_shards; i++) {
        if (!model_file_exists(dir, index.shards[i])) {
            status = error_set(error, STATUS_MODEL,
                               "%s: tensors are said to be in %s, which is not in the directory: "
                               "get the missing file, or this one anew",
                               path, quote(span_text(index.shards[i])).text);
            break;
        }
        status = open(dir, index.shards[i], files, &checkpoint->shards[i], error);
        checkpoint->n_shards = i + 1;
    }
    if (status == STATUS_OK) status = gather(&index, path, checkpoint, error);
    shard_index_free(&index);
    return status;
}

// None of the sources is here: says what is, and what to do about it.
static enum status refuse_directory(const char *dir, struct error *error) {
    static const char *const others[] = {"flax_model.msgpack", "model.ckpt.index",
                                         "tf_model.h5.index.json"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        if (!model_file_exists(dir, others[i])) continue;
        return error_set(error, STATUS_MODEL,
                         "%s: the weights are in %s, which is not read. "
                         "Convert them once, in Python: from transformers import "
                         "AutoModelForSequenceClassification as M; "
                         "M.from_pretrained(DIR).save_pretrained(NEW_DIR, safe_serialization=True)",
                         dir, others[i]);
    }
    return error_set(error, STATUS_MODEL,
                     "%s: no weights found; looked for %s, %s and %s, the first two also with "
                     ".index.json",
                     dir, sources[0].name, sources[2].name, sources[4].name);
}

// Takes "module." away where every name begins with it: torch.nn.DataParallel saved the model.
static void strip_module(struct tensor_table *table) {
    static const char prefix[] = "module.";
    const size_t n = strlen(prefix);
    for (size_t i = 0; i < table->n_tensors; i++) {
        const struct span name = table->tensors[i].name;
        if (name.len <= n || memcmp(name.ptr, prefix, n) != 0) return;
    }
    // Without what all of them begin with, they are still in order.
    for (size_t i = 0; i < table->n_tensors; i++) {
        table->tensors[i].name.ptr += n;
        table->tensors[i].name.len -= n;
    }
}

enum status checkpoint_open(const char *dir, struct model_files *files,
                            struct checkpoint *checkpoint, struct error *error) {
    *checkpoint = (struct checkpoint){0};
    size_t i = 0;
    while (i < ARRAY_LEN(sources) && !model_file_exists(dir, sources[i].name)) i++;
    if (i == ARRAY_LEN(sources)) return refuse_directory(dir, error);
    checkpoint->name = sources[i].name;
    enum status status =
        sources[i].is_index
            ? open_shards(dir, sources[i].open, files, checkpoint, error)
            : sources[i].open(dir, sources[i].name, files, &checkpoint->table, error);
    if (status == STATUS_OK) strip_module(&checkpoint->table);
    if (status != STATUS_OK) checkpoint_close(checkpoint);
    return status;
}

void checkpoint_close(struct checkpoint *checkpoint) {
    for (size_t i = 0; i < checkpoint->n_shards; i++) tensor_table_free(&checkpoint->shards[i]);
    free(checkpoint->shards);
    tensor_table_free(&checkpoint->table);
    *checkpoint = (struct checkpoint){0};
}
