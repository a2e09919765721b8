// SPDX-License-Identifier: Apache-2.0
//
// The list of datasets that a child writes: what a good one gives, and every way in which one can
// lie.
#include "weights/hdf5_list.h"

#include "tests/check.h"
#include "weights/hdf5_transpose.h"

enum { FILE_NBYTES = 1000 };

static struct hdf5_list list;

static struct hdf5_dataset *add(const char *path, uint64_t rows, uint64_t columns,
                                uint64_t offset) {
    struct hdf5_dataset *dataset = &list.datasets[list.n_datasets++];
    *dataset = (struct hdf5_dataset){.offset = offset, .n_dims = columns > 0 ? 2 : 1};
    snprintf(dataset->path, sizeof dataset->path, "%s", path);
    dataset->dims[0] = rows;
    dataset->dims[1] = columns;
    dataset->nbytes = 4 * rows * (columns > 0 ? columns : 1);
    return dataset;
}

// A bias at 16, a kernel at 200, a dataset that is no weight.
static void good_list(void) {
    memset(&list, 0, sizeof list);
    add("/x/bert/pooler/dense/bias:0", 5, 0, 16);
    add("/x/bert/pooler/dense/kernel:0", 3, 5, 200);
    add("/top_level_model_weights/iteration:0", 1, 0, FILE_NBYTES + 5);
}

static void good(void) {
    static char image[FILE_NBYTES], room[256];
    struct hdf5_plan plan;
    struct tensor_table table;
    struct error error = {""};
    good_list();
    CHECK_INT(hdf5_plan_make(&list, FILE_NBYTES, "x", &plan, &error), STATUS_OK);
    CHECK_INT(plan.n_weights, 2);
    CHECK_INT(plan.room_nbytes, 64);
    CHECK_INT(plan.weights[0].source, HDF5_MAPPED);
    CHECK_INT(plan.weights[1].source, HDF5_TRANSPOSED);
    CHECK_INT(hdf5_plan_table(&plan, image, room, "x", &table, &error), STATUS_OK);
    hdf5_plan_free(&plan);
    const struct named_tensor *bias =
        tensor_table_find(&table, span_text("bert.pooler.dense.bias"));
    const struct named_tensor *weight =
        tensor_table_find(&table, span_text("bert.pooler.dense.weight"));
    CHECK(bias != NULL && bias->usable && bias->tensor.data == image + 16);
    CHECK_INT(bias->tensor.n_elements, 5);
    CHECK(weight != NULL && weight->usable && weight->tensor.data == room);
    CHECK_STR(shape_text(weight->dims, weight->n_dims).text, "[5, 3]");
    CHECK(span_equal(weight->dtype_name, "F32") && weight->tensor.dtype == DTYPE_F32);
    tensor_table_free(&table);
}

// That the list, as it is now, is refused in such words.
static void refused(const char *words) {
    struct hdf5_plan plan;
    struct error error = {""};
    CHECK_INT(hdf5_plan_make(&list, FILE_NBYTES, "the file", &plan, &error), STATUS_MODEL);
    CHECK(plan.weights == NULL && plan.names == NULL);
    CHECK_CONTAINS(error.text, "the file");
    CHECK_CONTAINS(error.text, words);
    good_list();
}

static void lies(void) {
    good_list();
    struct hdf5_dataset *bias = &list.datasets[0], *kernel = &list.datasets[1];
    list.n_datasets = HDF5_DATASETS_MAX + 1, refused("datasets are said to be in it");
    bias->format = HDF5_OTHER + 1, refused("no values that there are");
    bias->storage = UINT32_MAX, refused("no values that there are");
    bias->big_endian = 2, refused("no values that there are");
    bias->storage = HDF5_ELSEWHERE, refused("another file");
    bias->offset = FILE_NBYTES - 19, refused("beyond the end");
    bias->offset = UINT64_MAX, refused("beyond the end");
    bias->dims[0] = 6, refused("the bytes stored of it differ");
    bias->nbytes = 0, refused("the bytes stored of it differ");
    bias->dims[0] = UINT64_MAX / 2, refused("overflows");
    kernel->offset = 35, refused("overlap");
    kernel->offset = 0, refused("overlap");
    bias->big_endian = 1, refused("byte order");
    kernel->storage = HDF5_ENCODED, kernel->dims[0] = 3201, refused("64 times");
    kernel->storage = HDF5_ENCODED, kernel->dims[0] = UINT64_MAX / 20, refused("64 times");
    bias->storage = HDF5_ENCODED, bias->nbytes = 0, refused("ever written");
    for (int i = 0; i < 2; i++) {
        add("/bert/x/kernel:0", 1, 9000, 0)->storage = HDF5_ENCODED;  // one fits, two do not
    }
    refused("64 times");
}

// What is left alone: formats that no weight has, whatever else is said of them.
static void unusable(void) {
    struct hdf5_plan plan;
    struct tensor_table table;
    struct error error = {""};
    good_list();
    list.datasets[0].format = HDF5_F64;
    list.datasets[0].offset = UINT64_MAX;
    list.datasets[1].n_dims = TENSOR_DIMS_MAX + 1;
    memset(list.datasets[2].path, 'x', sizeof list.datasets[2].path);  // without an end
    CHECK_INT(hdf5_plan_make(&list, FILE_NBYTES, "x", &plan, &error), STATUS_OK);
    CHECK_INT(plan.room_nbytes, 0);
    CHECK_INT(hdf5_plan_table(&plan, NULL, NULL, "x", &table, &error), STATUS_OK);
    hdf5_plan_free(&plan);
    CHECK_INT(table.n_tensors, 2);
    CHECK(!table.tensors[0].usable && span_equal(table.tensors[0].dtype_name, "F64"));
    CHECK(!table.tensors[1].usable && table.tensors[1].n_dims == TENSOR_DIMS_MAX + 1);
    tensor_table_free(&table);

    good_list();
    add("/y/bert/pooler/dense/bias:0", 5, 0, 600);  // a second one of that name
    CHECK_INT(hdf5_plan_make(&list, FILE_NBYTES, "x", &plan, &error), STATUS_OK);
    CHECK_INT(hdf5_plan_table(&plan, NULL, NULL, "x", &table, &error), STATUS_MODEL);
    CHECK_CONTAINS(error.text, "bert.pooler.dense.bias");
    CHECK(table.tensors == NULL);
    hdf5_plan_free(&plan);
}

// Every shape around the size of a block, at an odd address.
static void transposed(void) {
    static char in[2 + 4 * 100 * 100], out[sizeof in];
    for (size_t i = 0; i < sizeof in; i++) in[i] = (char)(i * 2654435761U >> 13);
    const size_t sizes[] = {0, 1, 2, 31, 32, 33, 64, 97};
    for (size_t a = 0; a < ARRAY_LEN(sizes) * ARRAY_LEN(sizes); a++) {
        const size_t rows = sizes[a / ARRAY_LEN(sizes)], columns = sizes[a % ARRAY_LEN(sizes)];
        for (size_t size = 2; size <= 4; size += 2) {
            memset(out, 0, sizeof out);
            hdf5_transpose(in + 1, rows, columns, size, out + 1);
            size_t n_wrong = 0;
            for (size_t i = 0; i < rows * columns; i++) {
                const char *from = in + 1 + i * size;
                n_wrong +=
                    memcmp(out + 1 + (i % columns * rows + i / columns) * size, from, size) != 0;
            }
            CHECK_INT(n_wrong, 0);
            CHECK(out[0] == 0 && out[1 + rows * columns * size] == 0);
        }
    }
}

int main(void) {
    good();
    lies();
    unusable();
    transposed();
    return check_result();
}
