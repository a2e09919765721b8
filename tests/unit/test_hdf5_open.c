// SPDX-License-Identifier: Apache-2.0
//
// Files that the HDF5 library writes here, in the layouts that Keras's files do not have but
// others' may; those of TensorFlow itself are in tests/golden.
#include "weights/hdf5_open.h"

#include <hdf5.h>

#include "tests/check.h"
#include "tests/support/temp_dir.h"

enum { ROWS = 37, COLUMNS = 21 };

static char dir[TEMP_PATH_MAX];
static char path[2 * TEMP_PATH_MAX];
static float values[ROWS][COLUMNS];

// What to write, and how.
struct recipe {
    hid_t type;            // of the file
    hid_t create, access;  // of the file
    hid_t dataset;         // creation properties
    bool unwritten;
};

static struct recipe plain(void) {
    return (struct recipe){.type = H5T_IEEE_F32LE,
                           .create = H5Pcreate(H5P_FILE_CREATE),
                           .access = H5Pcreate(H5P_FILE_ACCESS),
                           .dataset = H5Pcreate(H5P_DATASET_CREATE)};
}

static void write_dataset(hid_t file, const char *name, const struct recipe *recipe) {
    const hsize_t dims[2] = {ROWS, COLUMNS};
    const hid_t links = H5Pcreate(H5P_LINK_CREATE), space = H5Screate_simple(2, dims, NULL);
    H5Pset_create_intermediate_group(links, 1);
    const hid_t id =
        H5Dcreate2(file, name, recipe->type, space, links, recipe->dataset, H5P_DEFAULT);
    if (!recipe->unwritten) {
        CHECK(H5Dwrite(id, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    }
    CHECK(id >= 0 && H5Dclose(id) >= 0);
    H5Sclose(space);
    H5Pclose(links);
}

static hid_t create(const struct recipe *recipe) {
    return H5Fcreate(path, H5F_ACC_TRUNC, recipe->create, recipe->access);
}

// A kernel and a matrix that stays as it is.
static void write_file(const struct recipe *recipe) {
    const hid_t file = create(recipe);
    write_dataset(file, "/bert/s/bert/pooler/dense/kernel:0", recipe);
    write_dataset(file, "/bert/s/bert/embeddings/word_embeddings/weight:0", recipe);
    CHECK(H5Fclose(file) >= 0);
}

static enum status open_file(struct model_files *files, struct tensor_table *table,
                             struct error *error) {
    error->text[0] = '\0';
    *files = (struct model_files){0};
    enum status status = hdf5_open(dir, "tf_model.h5", files, table, error);
    CHECK((status == STATUS_OK) == (error->text[0] == '\0'));
    return status;
}

// Opens the file and compares both. The values are whole numbers that a half holds.
static void check_file(const char *what, enum dtype dtype, size_t n_rooms) {
    struct model_files files;
    struct tensor_table table;
    struct error error;
    if (open_file(&files, &table, &error) != STATUS_OK) {
        CHECK_FAIL("%s: %s", what, error.text);
        model_files_close(&files);
        return;
    }
    const char *names[] = {"bert.pooler.dense.weight", "bert.embeddings.word_embeddings.weight"};
    size_t n_wrong = 0;
    for (size_t t = 0; t < 2; t++) {
        const struct named_tensor *tensor = tensor_table_find(&table, span_text(names[t]));
        CHECK(tensor != NULL && tensor->usable && tensor->n_dims == 2);
        if (tensor == NULL) continue;
        CHECK_INT(tensor->tensor.dtype, dtype);
        CHECK_INT(tensor->dims[0], t == 0 ? COLUMNS : ROWS);
        CHECK_INT(tensor->dims[1], t == 0 ? ROWS : COLUMNS);
        static float got[ROWS * COLUMNS];
        tensor_read(tensor->tensor, 0, ARRAY_LEN(got), got);
        for (size_t i = 0; i < ARRAY_LEN(got); i++) {
            const float want =
                t == 0 ? values[i % ROWS][i / ROWS] : values[i / COLUMNS][i % COLUMNS];
            n_wrong += got[i] != want;
        }
    }
    if (n_wrong > 0) CHECK_FAIL("%s: %zu values are wrong", what, n_wrong);
    CHECK_INT(files.n_rooms, n_rooms);
    tensor_table_free(&table);
    model_files_close(&files);
}

static void check_refused(const char *what, const char *words) {
    struct model_files files;
    struct tensor_table table;
    struct error error;
    const enum status status = open_file(&files, &table, &error);
    if (status != STATUS_MODEL) CHECK_FAIL("%s: status %d", what, status);
    CHECK(table.tensors == NULL);
    CHECK_CONTAINS(error.text, words);
    CHECK_CONTAINS(error.text, "tf_model.h5");
    tensor_table_free(&table);
    model_files_close(&files);
}

static hid_t half_type(void) {
    const hid_t type = H5Tcopy(H5T_IEEE_F32BE);
    H5Tset_fields(type, 15, 10, 5, 0, 10);
    H5Tset_size(type, 2);
    H5Tset_ebias(type, 15);
    return type;
}

static void layouts(void) {
    const hsize_t chunk[2] = {8, 5}, whole[2] = {ROWS, COLUMNS};
    struct recipe recipe = plain();
    write_file(&recipe);
    check_file("contiguous", DTYPE_F32, 1);

    recipe.type = H5T_IEEE_F32BE;
    write_file(&recipe);
    check_file("big-endian", DTYPE_F32, 1);

    recipe.type = half_type();  // big-endian, too; the values are whole numbers that a half holds
    write_file(&recipe);
    check_file("big-endian halves", DTYPE_F16, 1);
    H5Tset_order(recipe.type, H5T_ORDER_LE);
    write_file(&recipe);
    check_file("halves", DTYPE_F16, 1);

    recipe = plain();
    H5Pset_chunk(recipe.dataset, 2, chunk);
    write_file(&recipe);
    check_file("chunks", DTYPE_F32, 1);
    H5Pset_shuffle(recipe.dataset);
    H5Pset_deflate(recipe.dataset, 6);
    H5Pset_fletcher32(recipe.dataset);
    write_file(&recipe);
    check_file("chunks, filtered", DTYPE_F32, 1);
    recipe.unwritten = true;
    write_file(&recipe);
    check_refused("chunks never written", "none of its values was ever written");

    recipe = plain();
    H5Pset_chunk(recipe.dataset, 2, whole);
    H5Pset_libver_bounds(recipe.access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    write_file(&recipe);
    check_file("the latest format, one chunk", DTYPE_F32, 1);

    recipe = plain();
    H5Pset_libver_bounds(recipe.access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    H5Pset_userblock(recipe.create, 2048);
    write_file(&recipe);
    check_file("the latest format behind 2048 bytes of others", DTYPE_F32, 1);

    recipe = plain();
    H5Pset_userblock(recipe.create, 512);
    write_file(&recipe);
    check_file("behind 512 bytes of others", DTYPE_F32, 1);

    recipe = plain();
    H5Pset_layout(recipe.dataset, H5D_COMPACT);
    write_file(&recipe);
    check_file("in the headers", DTYPE_F32, 1);

    recipe = plain();
    recipe.unwritten = true;
    write_file(&recipe);
    check_refused("never written", "none of its values was ever written");
}

static void elsewhere(void) {
    struct recipe recipe = plain();
    temp_dir_write(dir, "other.raw", values, sizeof values);
    char other[2 * TEMP_PATH_MAX];
    snprintf(other, sizeof other, "%s/other.raw", dir);
    H5Pset_external(recipe.dataset, other, 0, sizeof values);
    write_file(&recipe);
    check_refused("values in another file", "another file");

    // Links are not followed: what they lead to is missing, and that is for the model to say.
    recipe = plain();
    hid_t file = create(&recipe);
    H5Lcreate_soft("/nowhere", file, "/bert", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external(other, "/x", file, "/classifier", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    struct model_files files;
    struct tensor_table table;
    struct error error;
    CHECK_INT(open_file(&files, &table, &error), STATUS_OK);
    CHECK_INT(table.n_tensors, 0);
    tensor_table_free(&table);
    model_files_close(&files);
}

static void tangles(void) {
    struct recipe recipe = plain();
    hid_t file = create(&recipe);
    write_dataset(file, "/a/bert/pooler/dense/kernel:0", &recipe);
    write_dataset(file, "/b/bert/pooler/dense/kernel:0", &recipe);
    H5Fclose(file);
    check_refused("two of one name", "bert.pooler.dense.weight");

    file = create(&recipe);
    write_dataset(file, "/bert/pooler/dense/kernel:0", &recipe);
    H5Lcreate_hard(file, "/bert/pooler/dense/kernel:0", file, "/bert/weight:0", H5P_DEFAULT,
                   H5P_DEFAULT);
    H5Fclose(file);
    check_refused("one dataset by two names", "overlap");

    file = create(&recipe);
    write_dataset(file, "/bert/pooler/dense/kernel:0", &recipe);
    H5Lcreate_hard(file, "/", file, "/bert/root", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    check_refused("a group in itself", "nested deeper");

    // Two links each way in: 2^24 ways through it.
    file = create(&recipe);
    for (const char *name = "ab"; *name != '\0'; name++) {
        H5Lcreate_hard(file, "/", file, (char[]){*name, '\0'}, H5P_DEFAULT, H5P_DEFAULT);
    }
    H5Fclose(file);
    check_refused("a group in itself twice", "nested deeper");

    file = create(&recipe);
    char name[500];
    snprintf(name, sizeof name, "/bert/%0450d", 0);
    write_dataset(file, name, &recipe);
    H5Fclose(file);
    check_refused("a long name", "longer than is read");
}

static void others(void) {
    struct recipe recipe = plain();
    recipe.type = H5T_IEEE_F64LE;
    hid_t file = create(&recipe);
    write_dataset(file, "/bert/x/kernel:0", &recipe);
    recipe.type = H5T_STD_I32LE;
    write_dataset(file, "/bert/y/kernel:0", &recipe);
    recipe.type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_ebias(recipe.type, 126);
    write_dataset(file, "/bert/z/kernel:0", &recipe);
    H5Fclose(file);
    struct model_files files;
    struct tensor_table table;
    struct error error;
    CHECK_INT(open_file(&files, &table, &error), STATUS_OK);
    CHECK_INT(table.n_tensors, 3);
    static const char *const formats[] = {"F64", "integers", "another format of floats"};
    for (size_t i = 0; i < 3 && i < table.n_tensors; i++) {
        CHECK(!table.tensors[i].usable && span_equal(table.tensors[i].dtype_name, formats[i]));
    }
    tensor_table_free(&table);
    model_files_close(&files);

    // A shape that the file cannot hold, declared and never written.
    const hsize_t dims[2] = {1 << 20, 1 << 20}, chunk[2] = {64, 64};
    recipe = plain();
    H5Pset_chunk(recipe.dataset, 2, chunk);
    file = create(&recipe);
    const hid_t space = H5Screate_simple(2, dims, NULL), links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    H5Dclose(H5Dcreate2(file, "/bert/kernel:0", H5T_IEEE_F32LE, space, links, recipe.dataset,
                        H5P_DEFAULT));
    H5Fclose(file);
    check_refused("4 TiB never written", "none of its values was ever written");

    temp_dir_write(dir, "tf_model.h5", "", 0);
    check_refused("an empty file", "signature");
    temp_dir_write(dir, "tf_model.h5", "\211HDF\r\n\032", 7);
    check_refused("7 bytes", "signature");
    temp_dir_write(dir, "tf_model.h5", "\211HDF\r\n\032\n", 8);
    check_refused("a signature alone", "damaged");
}

int main(void) {
    temp_dir_make(dir);
    snprintf(path, sizeof path, "%s/tf_model.h5", dir);
    for (int i = 0; i < ROWS * COLUMNS; i++) values[i / COLUMNS][i % COLUMNS] = (float)(i - 300);
    layouts();
    elsewhere();
    tangles();
    others();
    temp_dir_remove(dir);
    return check_result();
}
