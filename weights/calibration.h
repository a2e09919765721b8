// SPDX-License-Identifier: Apache-2.0
//
// calibration.json of a model directory, which wader alone reads: how sure a label has to be.
//   {"temperature": 1.37, "thresholds": {"art": 0.5, "world": 0.4}}
// Both keys may be absent, others may not be there. `thresholds` may also be one number for all
// labels; labels that it does not name have 0, which nothing is below.
#ifndef WADER_WEIGHTS_CALIBRATION_H
#define WADER_WEIGHTS_CALIBRATION_H

#include "weights/model.h"

#define CALIBRATION_NAME "calibration.json"

// About 60 bytes for each of as many labels as there may be.
enum { CALIBRATION_NBYTES_MAX = 4 << 20 };

// Beyond these every title is sure of its label, or none is: a mistake, not a calibration.
#define TEMPERATURE_MIN 1e-3
#define TEMPERATURE_MAX 1e3

// Reads the file's text for a model with these labels, which are distinct. STATUS_MODEL, naming
// place and reason, for what is not as told above; `path` is for the message. `*calibration` is set
// on success only; free(thresholds) releases it.
enum status calibration_parse(struct span text, const char *path, char *const *labels,
                              int32_t n_labels, struct calibration *calibration,
                              struct error *error);

#endif
