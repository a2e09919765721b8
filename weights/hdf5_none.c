// SPDX-License-Identifier: Apache-2.0
//
// In place of hdf5_open.c where wader is built without the HDF5 library.
#include "weights/hdf5_open.h"

enum status hdf5_open(const char *dir, const char *name, struct model_files *files,
                      struct tensor_table *table, struct error *error) {
    (void)files;
    *table = (struct tensor_table){0};
    return error_set(error, STATUS_MODEL,
                     "%s: the weights are in %s, but this wader was built without HDF5; install "
                     "libhdf5-dev and build again, or convert them once, in Python: from "
                     "transformers import AutoModelForSequenceClassification as M; "
                     "M.from_pretrained(DIR, from_tf=True).save_pretrained(NEW_DIR, "
                     "safe_serialization=True)",
                     dir, name);
}
