// SPDX-License-Identifier: Apache-2.0
//
// Any bytes as the list of datasets that a child wrote: whatever a plan holds lies inside the file
// and the room, and may be read and turned round there. Two bytes of file size, then the list from
// its count on.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "weights/dtype.h"
#include "weights/hdf5_list.h"
#include "weights/hdf5_transpose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM_NBYTES_MAX = 4 << 20 };

static void check_weight(const struct hdf5_weight *weight, const struct hdf5_plan *plan,
                         const char *image, size_t file_nbytes, char *room) {
    const struct hdf5_dataset *dataset = weight->dataset;
    if (weight->source == HDF5_UNUSABLE) return;
    const size_t element_nbytes = dataset->format == HDF5_F16 ? 2 : 4;
    size_t nbytes = element_nbytes;
    for (size_t i = 0; i < dataset->n_dims; i++) nbytes *= dataset->dims[i];
    assert(nbytes == weight->nbytes);
    if (weight->source != HDF5_READ) {
        assert(dataset->offset <= file_nbytes && nbytes <= file_nbytes - dataset->offset);
    }
    if (weight->source != HDF5_MAPPED) {
        assert(weight->room_offset <= plan->room_nbytes);
        assert(nbytes <= plan->room_nbytes - weight->room_offset);
    }
    if (weight->source == HDF5_TRANSPOSED && nbytes > 0 && room != NULL) {
        hdf5_transpose(image + dataset->offset, (size_t)dataset->dims[0], (size_t)dataset->dims[1],
                       element_nbytes, room + weight->room_offset);
    }
}

static void read_all(const struct tensor_table *table) {
    for (size_t i = 0; i < table->n_tensors; i++) {
        const struct tensor tensor = table->tensors[i].tensor;
        if (!table->tensors[i].usable) continue;
        for (size_t first = 0; first < tensor.n_elements; first += 64) {
            float out[64];
            const size_t rest = tensor.n_elements - first;
            tensor_read(tensor, first, rest < 64 ? rest : 64, out);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct hdf5_list list;
    static size_t n_used;  // of it, by the input before
    if (size < 2) return 0;
    const size_t file_nbytes = (size_t)data[0] | (size_t)data[1] << 8;
    size -= 2;
    if (size > sizeof list - offsetof(struct hdf5_list, n_datasets)) return 0;
    memset(&list, 0, n_used);
    n_used = offsetof(struct hdf5_list, n_datasets) + size;
    memcpy((char *)&list + offsetof(struct hdf5_list, n_datasets), data + 2, size);

    struct hdf5_plan plan;
    struct error error = {""};
    if (hdf5_plan_make(&list, file_nbytes, "x", &plan, &error) != STATUS_OK) {
        assert(error.text[0] != '\0' && plan.weights == NULL && plan.names == NULL);
        return 0;
    }
    assert(plan.room_nbytes <= file_nbytes * (HDF5_EXPANSION_MAX + 1) + 64 * plan.n_weights);
    char *image = calloc(file_nbytes > 0 ? file_nbytes : 1, 1), *room = NULL;
    if (plan.room_nbytes <= ROOM_NBYTES_MAX) room = calloc(plan.room_nbytes + 1, 1);
    assert(image != NULL);
    for (size_t i = 0; i < plan.n_weights; i++) {
        check_weight(&plan.weights[i], &plan, image, file_nbytes, room);
    }
    struct tensor_table table;
    if (hdf5_plan_table(&plan, image, room, "x", &table, &error) == STATUS_OK) {
        if (room != NULL) read_all(&table);
        tensor_table_free(&table);
    }
    hdf5_plan_free(&plan);
    free(image);
    free(room);
    return 0;
}
