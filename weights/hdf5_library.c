// SPDX-License-Identifier: Apache-2.0
//
// Written against HDF5 1.10, with calls that 1.8.15 to 2.0 have alike.
#include "weights/hdf5_library.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/hdf5_transpose.h"

enum { DEPTH_MAX = 24, LINKS_MAX = 65536 };

struct walk {
    struct hdf5_list *list;
    hid_t half[2];  // IEEE binary16, little-endian and big-endian
    size_t n_links;
    char path[HDF5_PATH_NBYTES];
};

static bool fail(struct hdf5_list *list, const char *reason) {
    if (list->failure[0] == '\0') {
        snprintf(list->failure, sizeof list->failure, "%s", reason);
    }
    return false;
}

// Keeps the reason that stands deepest in the library's stack of errors, which is the first one.
static herr_t keep_reason(unsigned n, const H5E_error2_t *entry, void *context) {
    if (n == 0 && entry->desc != NULL) fail(context, entry->desc);
    return 0;
}

static bool library_failed(struct hdf5_list *list) {
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_reason, list);
    return fail(list, "no reason given");
}

// The library is given the mapped bytes as the image of a file in memory, and these in place of its
// copying: it reads them where they are. It writes to none, the file being opened for reading.
static const char *image_bytes;

static void *image_malloc(size_t nbytes, H5FD_file_image_op_t op, void *context) {
    (void)nbytes, (void)op, (void)context;
    return (void *)(uintptr_t)image_bytes;
}
static void *image_memcpy(void *to, const void *from, size_t nbytes, H5FD_file_image_op_t op,
                          void *context) {
    (void)from, (void)nbytes, (void)op, (void)context;
    return to;
}
static herr_t image_free(void *bytes, H5FD_file_image_op_t op, void *context) {
    (void)bytes, (void)op, (void)context;
    return 0;
}

static hid_t open_image(struct span image, struct hdf5_list *list) {
    H5FD_file_image_callbacks_t callbacks = {
        .image_malloc = image_malloc, .image_memcpy = image_memcpy, .image_free = image_free};
    image_bytes = image.ptr;
    if (H5open() < 0 || H5Eset_auto2(H5E_DEFAULT, NULL, NULL) < 0 || H5PLset_loading_state(0) < 0) {
        fail(list, "the library does not start");
        return H5I_INVALID_HID;
    }
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    // A path that cannot be: the driver makes sure that there is no such file.
    hid_t file = H5I_INVALID_HID;
    if (H5Pset_fapl_core(access, 1 << 16, 0) >= 0 &&
        H5Pset_file_image_callbacks(access, &callbacks) >= 0 &&
        H5Pset_file_image(access, (void *)(uintptr_t)image.ptr, image.len) >= 0) {
        file = H5Fopen("/dev/null/weights", H5F_ACC_RDONLY, access);
    }
    if (file < 0) library_failed(list);
    return file;
}

// IEEE binary16, which the library has no name for before 1.14.4.
static hid_t half_type(H5T_order_t order) {
    const hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, 15, 10, 5, 0, 10);
    H5Tset_size(type, 2);
    H5Tset_ebias(type, 15);
    H5Tset_order(type, order);
    return type;
}

static void describe_type(const struct walk *walk, hid_t type, struct hdf5_dataset *dataset) {
    const struct {
        hid_t little, big;
        enum hdf5_format format;
    } known[] = {
        {H5T_IEEE_F32LE, H5T_IEEE_F32BE, HDF5_F32},
        {walk->half[0], walk->half[1], HDF5_F16},
        {H5T_IEEE_F64LE, H5T_IEEE_F64BE, HDF5_F64},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        dataset->big_endian = H5Tequal(type, known[i].big) > 0;
        dataset->format = known[i].format;
        if (dataset->big_endian || H5Tequal(type, known[i].little) > 0) return;
    }
    const H5T_class_t class = H5Tget_class(type);
    dataset->format = HDF5_OTHER;
    if (class == H5T_FLOAT) dataset->format = HDF5_FLOAT;
    if (class == H5T_INTEGER) dataset->format = HDF5_INTEGER;
}

static bool describe_shape(hid_t space, struct hdf5_dataset *dataset) {
    hsize_t dims[H5S_MAX_RANK];
    const int n_dims = H5Sget_simple_extent_dims(space, dims, NULL);
    if (n_dims < 0) return false;
    dataset->n_dims = (uint32_t)n_dims;
    for (int i = 0; i < n_dims && i < TENSOR_DIMS_MAX; i++) dataset->dims[i] = dims[i];
    if (H5Sget_simple_extent_type(space) == H5S_NULL) dataset->format = HDF5_OTHER;
    return true;
}

static bool describe_storage(hid_t id, hid_t properties, struct hdf5_dataset *dataset) {
    const H5D_layout_t layout = H5Pget_layout(properties);
    const int n_external = H5Pget_external_count(properties);
    const haddr_t offset = H5Dget_offset(id);
    if (layout < 0 || n_external < 0) return false;
    dataset->nbytes = H5Dget_storage_size(id);
    dataset->storage = HDF5_ENCODED;
    if (layout == H5D_CONTIGUOUS && n_external == 0 && offset != HADDR_UNDEF) {
        dataset->storage = HDF5_CONTIGUOUS;
        dataset->offset = offset;
    } else if (n_external > 0 ||
               (layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED && layout != H5D_COMPACT)) {
        dataset->storage = HDF5_ELSEWHERE;
    }
    return true;
}

static bool add_dataset(struct walk *walk, hid_t id) {
    struct hdf5_list *list = walk->list;
    if (list->n_datasets == HDF5_DATASETS_MAX) return fail(list, "more datasets than are read");
    struct hdf5_dataset *dataset = &list->datasets[list->n_datasets];
    memcpy(dataset->path, walk->path, sizeof dataset->path);
    const hid_t type = H5Dget_type(id), space = H5Dget_space(id);
    const hid_t properties = H5Dget_create_plist(id);
    if (type < 0 || space < 0 || properties < 0) return library_failed(list);
    describe_type(walk, type, dataset);
    if (!describe_shape(space, dataset) || !describe_storage(id, properties, dataset)) {
        return library_failed(list);
    }
    H5Tclose(type);
    H5Sclose(space);
    H5Pclose(properties);
    list->n_datasets++;
    return true;
}

static bool walk_group(struct walk *walk, hid_t group, size_t path_len, int depth);

// The i-th link of a group. Only hard links are followed: others may lead anywhere.
static bool walk_link(struct walk *walk, hid_t group, hsize_t i, size_t path_len, int depth) {
    struct hdf5_list *list = walk->list;
    H5L_info_t link;
    if (++walk->n_links > LINKS_MAX) return fail(list, "more links than are followed");
    if (H5Lget_info_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, &link, H5P_DEFAULT) < 0) {
        return library_failed(list);
    }
    if (link.type != H5L_TYPE_HARD) return true;
    const size_t cap = sizeof walk->path - path_len - 1;  // behind the slash
    walk->path[path_len] = '/';
    char *name = walk->path + path_len + 1;
    const ssize_t len =
        H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, cap, H5P_DEFAULT);
    if (len < 0) return library_failed(list);
    if ((size_t)len >= cap) return fail(list, "a path longer than is read");
    const hid_t object = H5Oopen(group, name, H5P_DEFAULT);
    if (object < 0) return library_failed(list);
    bool good = true;
    const H5I_type_t type = H5Iget_type(object);
    if (type == H5I_DATASET) good = add_dataset(walk, object);
    if (type == H5I_GROUP) good = walk_group(walk, object, path_len + 1 + (size_t)len, depth + 1);
    H5Oclose(object);
    return good;
}

static bool walk_group(struct walk *walk, hid_t group, size_t path_len, int depth) {
    H5G_info_t info;
    if (depth > DEPTH_MAX) return fail(walk->list, "groups nested deeper than are followed");
    if (path_len + 2 > sizeof walk->path) return fail(walk->list, "a path longer than is read");
    if (H5Gget_info(group, &info) < 0) return library_failed(walk->list);
    for (hsize_t i = 0; i < info.nlinks; i++) {
        if (!walk_link(walk, group, i, path_len, depth)) return false;
        // What stands behind the path of this group belongs to the link before.
        memset(walk->path + path_len, 0, sizeof walk->path - path_len);
    }
    return true;
}

void hdf5_list_datasets(void *context) {
    const struct hdf5_job *job = context;
    struct walk walk = {.list = job->list};
    const hid_t file = open_image(job->image, job->list);
    if (file < 0) return;
    walk.half[0] = half_type(H5T_ORDER_LE);
    walk.half[1] = half_type(H5T_ORDER_BE);
    const hid_t root = H5Gopen2(file, "/", H5P_DEFAULT);
    if (root < 0) {
        library_failed(job->list);
        return;
    }
    job->list->done = walk_group(&walk, root, 0, 0);
}

// Reads one weight to its place, by way of memory of its own where it is to be turned round.
static bool read_weight(hid_t file, const struct hdf5_weight *weight, char *room,
                        struct hdf5_list *list) {
    const struct hdf5_dataset *dataset = weight->dataset;
    const size_t element_nbytes = dataset->format == HDF5_F16 ? 2 : 4;
    const hid_t type = element_nbytes == 2 ? half_type(H5T_ORDER_LE) : H5T_IEEE_F32LE;
    const hid_t id = H5Dopen2(file, dataset->path, H5P_DEFAULT);
    const hid_t space = H5Dget_space(id);
    if (id < 0 || space < 0) return library_failed(list);
    if ((uint64_t)H5Sget_simple_extent_npoints(space) != weight->nbytes / element_nbytes) {
        return fail(list, "a shape that changed");
    }
    char *place = room + weight->room_offset;
    char *values = weight->kernel ? malloc(weight->nbytes) : place;
    if (values == NULL) return fail(list, "out of memory");
    if (H5Dread(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0) return library_failed(list);
    if (weight->kernel) {
        hdf5_transpose(values, (size_t)dataset->dims[0], (size_t)dataset->dims[1], element_nbytes,
                       place);
        free(values);
    }
    H5Sclose(space);
    H5Dclose(id);
    return true;
}

void hdf5_read_datasets(void *context) {
    const struct hdf5_job *job = context;
    const hid_t file = open_image(job->image, job->list);
    bool good = file >= 0;
    for (size_t i = 0; good && i < job->plan->n_weights; i++) {
        const struct hdf5_weight *weight = &job->plan->weights[i];
        if (weight->source != HDF5_READ || weight->nbytes == 0) continue;
        good = read_weight(file, weight, job->room, job->list);
    }
    job->list->done = good;
}
