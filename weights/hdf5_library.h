// SPDX-License-Identifier: Apache-2.0
//
// All that calls libhdf5. It is known to crash on damaged files, so these functions are for
// child_run alone: the process that calls them is thrown away.
#ifndef WADER_WEIGHTS_HDF5_LIBRARY_H
#define WADER_WEIGHTS_HDF5_LIBRARY_H

#include "weights/hdf5_list.h"

// `list` and `room` are shared with the parent, the rest is only looked at.
struct hdf5_job {
    struct span image;             // the file's bytes: the library opens no file
    struct hdf5_list *list;        // zeroed; its `done` and `failure` tell how either job went
    const struct hdf5_plan *plan;  // what to read
    char *room;
};

// Jobs for child_run; `context` is a struct hdf5_job. The first fills the list with every dataset
// that is reached without following soft or external links, the second the room with every weight
// that the plan has HDF5_READ.
void hdf5_list_datasets(void *context);
void hdf5_read_datasets(void *context);

#endif
