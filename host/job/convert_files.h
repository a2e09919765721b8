// SPDX-License-Identifier: Apache-2.0
//
// The files of a converted checkpoint beside its weights: config.json, changed where it has to be,
// and those that are copied byte for byte.
#ifndef WADER_HOST_JOB_CONVERT_FILES_H
#define WADER_HOST_JOB_CONVERT_FILES_H

#include "host/job/convert_directory.h"
#include "weights/model.h"

// What of the vocabulary, of label names and of their calibration is in `dir`, as it is.
// STATUS_MODEL when a file of them cannot be read.
enum status convert_files_copy(const char *dir, struct convert_directory *directory,
                               struct error *error);

// config.json of the model, for weights that are `dtype` ("float32"). It names the labels where the
// source's did not and another file did, or where transformers would not know how many there are.
enum status convert_files_config(const struct model *model, const char *dtype,
                                 struct convert_directory *directory, struct error *error);

#endif
