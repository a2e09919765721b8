// SPDX-License-Identifier: Apache-2.0
#include "weights/hdf5_list.h"

#include <stdlib.h>
#include <string.h>

#include "weights/dtype.h"
#include "weights/keras_names.h"
#include "weights/quote.h"

static const struct {
    const char *name;
    size_t element_nbytes;  // 0: not usable
    enum dtype dtype;
} formats[] = {
    [HDF5_F32] = {"F32", 4, DTYPE_F32},
    [HDF5_F16] = {"F16", 2, DTYPE_F16},
    [HDF5_F64] = {"F64", 0, DTYPE_F32},
    [HDF5_FLOAT] = {"another format of floats", 0, DTYPE_F32},
    [HDF5_INTEGER] = {"integers", 0, DTYPE_F32},
    [HDF5_OTHER] = {"something else than numbers", 0, DTYPE_F32},
};

enum { ROOM_ALIGNMENT = 64 };

static struct span path_of(const struct hdf5_dataset *dataset) {
    return (struct span){dataset->path, strnlen(dataset->path, sizeof dataset->path)};
}

static const char *check_contiguous(const struct hdf5_weight *weight, size_t file_nbytes) {
    const struct hdf5_dataset *dataset = weight->dataset;
    if (dataset->nbytes != weight->nbytes) return "its shape and the bytes stored of it differ";
    if (dataset->offset > file_nbytes || weight->nbytes > file_nbytes - dataset->offset) {
        return "its bytes lie beyond the end of the file";
    }
    return NULL;
}

// Fills in source and size of a weight whose dataset has the name of one. A message, or NULL.
static const char *read_dataset(struct hdf5_weight *weight, size_t file_nbytes) {
    const struct hdf5_dataset *dataset = weight->dataset;
    if (dataset->format > HDF5_OTHER || dataset->storage > HDF5_ELSEWHERE ||
        dataset->big_endian > 1) {
        return "it is described by no values that there are";
    }
    weight->source = HDF5_UNUSABLE;
    if (formats[dataset->format].element_nbytes == 0 || dataset->n_dims > TENSOR_DIMS_MAX) {
        return NULL;
    }
    weight->nbytes = formats[dataset->format].element_nbytes;
    for (size_t i = 0; i < dataset->n_dims; i++) {
        if (!size_mul(weight->nbytes, dataset->dims[i], &weight->nbytes)) {
            return "its shape overflows";
        }
    }
    if (dataset->storage == HDF5_ELSEWHERE) {
        return "its values are in another file, which is not read";
    }
    // The library would read zeros: of weights, what a save that broke off leaves.
    if (dataset->storage == HDF5_ENCODED && dataset->nbytes == 0 && weight->nbytes > 0) {
        return "it was declared, but none of its values was ever written";
    }
    const char *wrong = NULL;
    if (dataset->storage == HDF5_ENCODED || dataset->big_endian == 1) {
        weight->source = HDF5_READ;
    } else {
        weight->source = weight->kernel ? HDF5_TRANSPOSED : HDF5_MAPPED;
    }
    if (dataset->storage == HDF5_CONTIGUOUS) wrong = check_contiguous(weight, file_nbytes);
    return wrong;
}

// Gives a weight its place in the room.
static const char *make_room(struct hdf5_plan *plan, struct hdf5_weight *weight,
                             size_t file_nbytes) {
    if (weight->source == HDF5_MAPPED || weight->source == HDF5_UNUSABLE) return NULL;
    const size_t most = file_nbytes < SIZE_MAX / HDF5_EXPANSION_MAX
                            ? file_nbytes * HDF5_EXPANSION_MAX
                            : SIZE_MAX / 2;
    if (plan->room_nbytes > most || weight->nbytes > most - plan->room_nbytes) {
        return "with it, the weights are more than 64 times as large as the file";
    }
    weight->room_offset = plan->room_nbytes;
    plan->room_nbytes += weight->nbytes + (ROOM_ALIGNMENT - 1);
    plan->room_nbytes -= plan->room_nbytes % ROOM_ALIGNMENT;
    return NULL;
}

// Writers take one byte order for all; two of them are a sign of damage that nothing else shows.
static const char *check_order(const struct hdf5_plan *plan, const struct hdf5_weight *weight) {
    for (size_t i = 0; weight->source != HDF5_UNUSABLE && i < plan->n_weights; i++) {
        if (plan->weights[i].source == HDF5_UNUSABLE) continue;
        if (plan->weights[i].dataset->big_endian == weight->dataset->big_endian) break;
        return "its byte order is not that of the weights before it";
    }
    return NULL;
}

static int compare_places(const void *a, const void *b) {
    const struct hdf5_dataset *first = (*(const struct hdf5_weight *const *)a)->dataset;
    const struct hdf5_dataset *second = (*(const struct hdf5_weight *const *)b)->dataset;
    if (first->offset != second->offset) return first->offset < second->offset ? -1 : 1;
    return first->nbytes < second->nbytes ? -1 : first->nbytes > second->nbytes;
}

// No byte of the file is in two weights: a pointer that went astray would mostly end in another
// one, and no list can ask for more turned round than the file holds.
static enum status check_apart(const struct hdf5_plan *plan, const char *path,
                               struct error *error) {
    void *memory = NULL;
    enum status status =
        alloc_array(&memory, plan->n_weights, sizeof(void *), "the weights in order", error);
    if (status != STATUS_OK) return status;
    const struct hdf5_weight **order = memory;
    size_t n = 0;
    for (size_t i = 0; i < plan->n_weights; i++) {
        const struct hdf5_weight *weight = &plan->weights[i];
        if (weight->nbytes == 0 || weight->dataset->storage != HDF5_CONTIGUOUS) continue;
        order[n++] = weight;
    }
    if (n > 0) qsort(order, n, sizeof *order, compare_places);
    for (size_t i = 1; status == STATUS_OK && i < n; i++) {
        const struct hdf5_dataset *before = order[i - 1]->dataset, *dataset = order[i]->dataset;
        if (before->offset + before->nbytes <= dataset->offset) continue;
        status = error_set(error, STATUS_MODEL, "%s: damaged: the bytes of %s and %s overlap", path,
                           quote(path_of(before)).text, quote(path_of(dataset)).text);
    }
    free(memory);
    return status;
}

static enum status add_weight(struct hdf5_plan *plan, const struct hdf5_dataset *dataset,
                              const struct keras_name *name, char *text, size_t file_nbytes,
                              const char *path, struct error *error) {
    struct hdf5_weight weight = {.name = {text, strlen(name->text)}, .dataset = dataset};
    memcpy(text, name->text, weight.name.len);
    weight.kernel = name->kernel && dataset->n_dims == 2;
    const char *wrong = read_dataset(&weight, file_nbytes);
    if (wrong == NULL) wrong = check_order(plan, &weight);
    if (wrong == NULL) wrong = make_room(plan, &weight, file_nbytes);
    if (wrong != NULL) {
        return error_set(error, STATUS_MODEL,
                         "%s: dataset %s: %s: the file is damaged or no "
                         "checkpoint",
                         path, quote(path_of(dataset)).text, wrong);
    }
    plan->weights[plan->n_weights++] = weight;
    return STATUS_OK;
}

enum status hdf5_plan_make(const struct hdf5_list *list, size_t file_nbytes, const char *path,
                           struct hdf5_plan *plan, struct error *error) {
    *plan = (struct hdf5_plan){0};
    if (list->n_datasets > HDF5_DATASETS_MAX) {
        return error_set(error, STATUS_MODEL, "%s: damaged: %u datasets are said to be in it", path,
                         (unsigned)list->n_datasets);
    }
    const size_t n = list->n_datasets;
    void *weights = NULL, *names = NULL;
    enum status status = alloc_zeroed(&weights, n, sizeof *plan->weights, "the weights", error);
    plan->weights = weights;
    if (status == STATUS_OK) {
        status = alloc_array(&names, n, sizeof(struct keras_name), "tensor names", error);
    }
    plan->names = names;
    char *text = names;
    for (size_t i = 0; status == STATUS_OK && i < n; i++) {
        const struct hdf5_dataset *dataset = &list->datasets[i];
        struct keras_name name;
        if (!keras_name(path_of(dataset), &name)) continue;
        status = add_weight(plan, dataset, &name, text, file_nbytes, path, error);
        text += strlen(name.text);
    }
    if (status == STATUS_OK) status = check_apart(plan, path, error);
    if (status != STATUS_OK) hdf5_plan_free(plan);
    return status;
}

void hdf5_plan_free(struct hdf5_plan *plan) {
    free(plan->weights);
    free(plan->names);
    *plan = (struct hdf5_plan){0};
}

static struct named_tensor tensor_of(const struct hdf5_weight *weight, const char *image,
                                     const char *room) {
    const struct hdf5_dataset *dataset = weight->dataset;
    struct named_tensor tensor = {
        .name = weight->name,
        .dtype_name = span_text(formats[dataset->format].name),
        .usable = weight->source != HDF5_UNUSABLE,
        .n_dims = dataset->n_dims,
    };
    for (size_t i = 0; i < TENSOR_DIMS_MAX && i < tensor.n_dims; i++) {
        tensor.dims[i] = dataset->dims[i];
    }
    if (weight->kernel) {
        tensor.dims[0] = dataset->dims[1];
        tensor.dims[1] = dataset->dims[0];
    }
    if (!tensor.usable) return tensor;
    const char *data = NULL;
    if (weight->nbytes > 0) {
        data = weight->source == HDF5_MAPPED ? image + dataset->offset : room + weight->room_offset;
    }
    const enum dtype dtype = formats[dataset->format].dtype;
    tensor.bytes = (struct span){data, weight->nbytes};
    tensor.tensor = (struct tensor){data, weight->nbytes / dtype_size(dtype), dtype};
    return tensor;
}

enum status hdf5_plan_table(struct hdf5_plan *plan, const char *image, const char *room,
                            const char *path, struct tensor_table *table, struct error *error) {
    *table = (struct tensor_table){0};
    void *tensors = NULL;
    enum status status =
        alloc_array(&tensors, plan->n_weights, sizeof *table->tensors, "the tensor table", error);
    if (status != STATUS_OK) return status;
    table->tensors = tensors;
    for (size_t i = 0; i < plan->n_weights; i++) {
        table->tensors[table->n_tensors++] = tensor_of(&plan->weights[i], image, room);
    }
    table->names = plan->names;
    plan->names = NULL;
    status = tensor_table_sort(table, path, error);
    if (status != STATUS_OK) tensor_table_free(table);
    return status;
}
